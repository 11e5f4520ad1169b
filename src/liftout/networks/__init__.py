"""The networks themselves, in plain PyTorch: U2-Net, IS-Net, BiRefNet, InSPyReNet, BEN2 and MODNet, with the parameter names of their authors.

    from liftout.networks import load_network, read_checkpoint

    network = load_network("birefnet_swin_v1_t", read_checkpoint(path), patch_order="wgc")
    logits = network(tensor)            # float32 [N, 3, h, w] -> [N, 1, h, w]

Needs the extra `convert`. The run-time path never imports this package.
"""

from liftout.networks.architectures import ARCHITECTURES, Architecture
from liftout.networks.birefnet import PatchOrder
from liftout.networks.checkpoints import fit_state, load_network, read_checkpoint

__all__ = ["ARCHITECTURES", "Architecture", "PatchOrder", "fit_state", "load_network", "read_checkpoint"]
