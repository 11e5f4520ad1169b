"""The weights that ship, read back from the pack, to train on from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.network import PocketNetwork


def read_shipped(path: Path, gain: float = 1.0) -> PocketNetwork:
    """The network of the file `path`, its normalisation folded into convolutions and norms that do nothing.

    gain: the factor of the logits that it was exported with. Raises ValueError where a weight is missing."""
    stored = {weight.name: numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer}
    network = PocketNetwork().eval()
    with torch.no_grad():
        for name, layer, norm in convolutions(network):
            if f"{name}.weight.int8" not in stored:
                raise ValueError(
                    f"{path} has no {name}.weight.int8: it holds another network, or weights stored otherwise"
                )
            kernel = torch.from_numpy(stored[f"{name}.weight.int8"] * stored[f"{name}.weight.scale"])
            bias = torch.from_numpy(stored[f"{name}.bias"].copy())
            share = 1 / gain if name == "alpha" else 1.0
            layer.weight.copy_(kernel * share)
            if norm is None:
                assert layer.bias is not None
                layer.bias.copy_(bias * share)
                continue
            norm.weight.copy_((norm.running_var + norm.eps).sqrt())  # type: ignore[operator]
            norm.bias.copy_(bias)
    return network


def settle(network: PocketNetwork, photos: Iterable[Tensor]) -> None:
    """Give the norms of a network that was read back the statistics of `photos` (batches), without changing what it computes
    from them: so it can be trained on, where norms follow their batch."""
    seen: dict[str, list[Tensor]] = {}

    def listen(name: str) -> None:
        def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            values = inputs[0].transpose(0, 1).flatten(1)
            seen.setdefault(name, []).append(torch.stack((values.mean(1), values.square().mean(1))))

        handles.append(norms[name].register_forward_hook(keep))

    norms = {name: norm for name, _, norm in convolutions(network) if norm is not None}
    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in norms:
        listen(name)
    with torch.no_grad():
        for batch in photos:
            network.logits(batch)
        for handle in handles:
            handle.remove()
        for name, norm in norms.items():
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean, square = torch.stack(seen[name]).mean(0)
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.add_(gain * (mean - norm.running_mean))
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(square - mean.square())
            norm.weight.copy_(gain * (norm.running_var + norm.eps).sqrt())


def convolutions(network: PocketNetwork) -> Iterable[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
    """Name in the graph, convolution and norm, of everything that ships."""
    for name, module in network.named_modules():
        if name.startswith("coarse") or not isinstance(module, nn.Conv2d):
            continue
        parent, _, place = name.rpartition(".")
        if name == "scene.1":
            yield "scene", module, None
        elif name == "alpha.0":
            yield "alpha", module, None
        else:
            assert place == "0"
            norm = network.get_submodule(f"{parent}.1")
            assert isinstance(norm, nn.BatchNorm2d)
            yield parent, module, norm
