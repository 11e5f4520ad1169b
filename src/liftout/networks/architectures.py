"""The architectures liftout knows, by the name that the catalogue uses.

architecture = ARCHITECTURES["isnet"]
network = architecture.build()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from liftout.networks.ben2 import BEN2
from liftout.networks.birefnet import BiRefNet, PatchOrder
from liftout.networks.inspyrenet import InSPyReNet
from liftout.networks.isnet import ISNet
from liftout.networks.modnet import MODNet
from liftout.networks.swin import SWIN_V1_B, SWIN_V1_L, SWIN_V1_T, SwinSize
from liftout.networks.u2net import FULL_WIDTHS, SMALL_WIDTHS, U2Net


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What can be said of an architecture without its weights."""

    name: str
    family: str
    """`u2net`, `isnet`, `birefnet`, `inspyrenet`, `ben2` or `modnet`: which structure it is, whatever its widths."""
    classes: int
    """Channels of the output."""
    multiple_of: int
    """Height and width of the input must be multiples of this."""
    sigmoid: bool
    """Whether the authors' network ends in a sigmoid; where not, it gives logits."""
    backbone: SwinSize | None = None
    base: tuple[int, int] = (0, 0)
    """InSPyReNet: (height, width) that the weights were trained at."""
    _build: Callable[[bool, PatchOrder], nn.Module]

    def build(self, *, patch_order: PatchOrder = "cgw", sigmoid: bool | None = None) -> nn.Module:
        """The network with fresh weights, in training mode, as torch leaves modules.

        patch_order: see `PatchOrder`; architectures that do not cut the photo into tiles ignore it.
        sigmoid: end in a probability (True) or a logit (False) instead of what the authors' network does.
        """
        return self._build(self.sigmoid if sigmoid is None else sigmoid, patch_order)


def _u2net(name: str, widths: dict[str, tuple[int, int, int]], *, classes: int, sigmoid: bool) -> Architecture:
    return Architecture(
        name=name,
        family="u2net",
        classes=classes,
        multiple_of=1,
        sigmoid=sigmoid,
        _build=lambda sigmoid, _: U2Net(widths, classes=classes, sigmoid=sigmoid),
    )


def _birefnet(name: str, size: SwinSize) -> Architecture:
    return Architecture(
        name=name,
        family="birefnet",
        classes=1,
        multiple_of=32,
        sigmoid=False,
        backbone=size,
        _build=lambda sigmoid, patch_order: BiRefNet(size, patch_order=patch_order, sigmoid=sigmoid),
    )


def _inspyrenet(name: str, base: int) -> Architecture:
    return Architecture(
        name=name,
        family="inspyrenet",
        classes=1,
        multiple_of=32,
        sigmoid=True,
        backbone=SWIN_V1_B,
        base=(base, base),
        _build=lambda sigmoid, _: InSPyReNet(SWIN_V1_B, base=(base, base), sigmoid=sigmoid),
    )


_ALL = (
    _u2net("u2net", FULL_WIDTHS, classes=1, sigmoid=True),
    _u2net("u2netp", SMALL_WIDTHS, classes=1, sigmoid=True),
    _u2net("u2net_cloth_seg", FULL_WIDTHS, classes=4, sigmoid=False),
    Architecture(
        name="isnet",
        family="isnet",
        classes=1,
        multiple_of=1,
        sigmoid=True,
        _build=lambda sigmoid, _: ISNet(sigmoid=sigmoid),
    ),
    Architecture(
        name="modnet",
        family="modnet",
        classes=1,
        multiple_of=32,
        sigmoid=True,
        _build=lambda sigmoid, _: MODNet(sigmoid=sigmoid),
    ),
    _birefnet("birefnet_swin_v1_t", SWIN_V1_T),
    _birefnet("birefnet_swin_v1_l", SWIN_V1_L),
    _inspyrenet("inspyrenet", 1024),
    _inspyrenet("inspyrenet_384", 384),
    Architecture(
        name="ben2",
        family="ben2",
        classes=1,
        multiple_of=512,
        sigmoid=True,
        backbone=SWIN_V1_B,
        _build=lambda sigmoid, _: BEN2(SWIN_V1_B, sigmoid=sigmoid),
    ),
)

ARCHITECTURES = MappingProxyType({architecture.name: architecture for architecture in _ALL})
