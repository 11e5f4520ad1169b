"""What learns of a published network, family by family: patterns for the names of its parameters and modules.

The earliest stages see edges and colours, which a kind of photos does not change; they stay. Heads that only the authors' training reads stay
too. Of BiRefNet's Swin only low-rank adapters learn, so that it keeps what it knows and few values need an optimizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from liftout.networks import ARCHITECTURES
from liftout.tuning.low_rank import add_adapters

Named = tuple[str, nn.Module]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Patterns are matched from the beginning of a name, `adapted` and `units` against all of it."""

    backbone: str
    """Parameters of the part that recognises the subject; with a frozen backbone none of them learns."""
    fixed: str
    """Parameters that never learn."""
    adapted: str = ""
    """Linear layers that get adapters, unless the backbone is frozen; they lie in what is fixed."""
    units: str
    """Modules whose inner maps are computed again in the backward pass where memory is short."""
    rate: float
    """Highest learning rate."""
    adapter_rate: float = 1.0
    """Of the adapters, in learning rates."""
    bf16_share: float
    """Memory of the maps in bf16, beside that in fp32; measured."""

    def prepare(self, network: nn.Module, *, frozen_backbone: bool, seed: int) -> None:
        """Let learn what should, and add the adapters; batch norms keep their statistics."""
        network.eval()
        for name, values in network.named_parameters():
            values.requires_grad_(
                not re.match(self.fixed, name) and not (frozen_backbone and re.match(self.backbone, name))
            )
        if self.adapted and not frozen_backbone:
            add_adapters(network, self.adapted, torch.Generator().manual_seed(seed))

    def units_of(self, network: nn.Module) -> Iterator[Named]:
        """Modules that can be computed again, as far as something in them learns."""
        for name, module in network.named_modules():
            if re.fullmatch(self.units, name) and any(values.requires_grad for values in module.parameters()):
                yield name, module


_STAGES = r"stage\dd?"
FAMILIES = MappingProxyType(
    {
        "u2net": Family(backbone=r"stage[1-6]\.", fixed=r"stage[12]\.", units=_STAGES, rate=1e-4, bf16_share=0.55),
        "isnet": Family(
            backbone=r"(conv_in|stage[1-6])\.",
            fixed=r"(conv_in|stage[12]|side[2-6])\.",
            units=_STAGES,
            rate=1e-4,
            bf16_share=0.55,
        ),
        "birefnet": Family(
            backbone=r"bb\.",
            fixed=r"bb\.|decoder\.(conv_ms_spvn|gdt_convs_pred)_",
            adapted=r"bb\.layers\.\d\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])",
            units=r"bb\.layers\.\d\.blocks\.\d+|squeeze_module|decoder\.(decoder_block|ipt_blk)\d",
            rate=5e-5,
            adapter_rate=4.0,
            bf16_share=0.65,
        ),
    }
)
"""By the family of `liftout.networks.ARCHITECTURES`."""


def family_of(architecture: str) -> Family | None:
    """None where networks of this architecture are not tuned."""
    known = ARCHITECTURES.get(architecture)
    return FAMILIES.get(known.family) if known and known.classes == 1 else None
