"""The built-in network: U2NetP without its last decoder stage.

Half of U2NetP's 19.8 billion multiplications at 320 x 320 pixels are spent in that stage, which works at full size. What recognises a subject,
the stages at a quarter of the size and below, costs a twelfth; they may be made wider, and then start as what they were. The
alpha comes from the sum of the two finest masks that are left, at half the size and at a quarter.

Source of the structure: Qin et al. 2020, doi:10.1016/j.patcog.2020.107404 (see liftout.networks.u2net for the whole network).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

SIZE = 320
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
DEPTHS = {1: 7, 2: 6, 3: 5, 4: 4, 5: 4, 6: 4}
"""Levels of each stage; a decoder stage is as deep as its encoder stage."""
DILATED = (5, 6)
"""Stages whose levels keep their size and widen the kernels instead."""
WIDTHS = {3: 16, 4: 16, 5: 16, 6: 16}
"""Channels in the middle of the stages at depth, as U2NetP has them; a recipe may make them wider."""
SIDES = (3, 4, 5, 6)
"""Stages whose masks are supervised: at 1/4, 1/8, 1/16 and 1/32 of the size."""


class Unit(nn.Module):
    """3x3 convolution, a norm, and ReLU. U2NetP's batch norms come folded into the convolutions, so the norm starts as nothing; to
    learn, `add_norms` takes it out again."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.norm: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)))

    def add_norm(self, mean: Tensor, variance: Tensor) -> None:
        """Split the convolution into one with weights of the usual size and a batch norm that undoes the difference, so that a step of
        the optimizer means the same in every layer. Its statistics stay as they are: those of a batch of eight are far from them, and the
        network would first have to learn to live with that. mean, variance: float32 [outputs], of what the convolution gives now."""
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        norm = nn.BatchNorm2d(len(mean))
        with torch.no_grad():
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)
            usual = math.sqrt(2 / weight[0].numel())
            scale = usual / weight.square().mean((1, 2, 3)).sqrt().clamp_min(usual / 100)
            weight.mul_(scale[:, None, None, None])
            norm.running_mean.copy_((mean - bias) * scale)  # type: ignore[union-attr]
            norm.running_var.copy_((variance + norm.eps) * scale.square() - norm.eps)  # type: ignore[union-attr]
            bias.zero_()
            bias.requires_grad_(False)
        self.norm = norm.eval()

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of one convolution that computes the same without the norm."""
        weight, bias, norm = self.conv.weight.detach(), self.conv.bias, self.norm
        assert bias is not None
        if not isinstance(norm, nn.BatchNorm2d):
            return weight, bias.detach()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
        return weight * scale[:, None, None, None], (bias.detach() - norm.running_mean) * scale + norm.bias.detach()


class Stage(nn.Module):
    """A residual U-block: `depth` levels down and up again, added to the block's first convolution.

    float32 [B, inputs, h, w] -> [B, outputs, h, w]. `down[k]` is level k + 1 on the way down, `up[k]` on the way up.
    """

    def __init__(self, depth: int, inputs: int, middle: int, outputs: int = 64, *, dilated: bool = False) -> None:
        super().__init__()
        self.dilated = dilated
        spacing = [2**level if dilated else 1 for level in range(depth)]
        if not dilated:
            spacing[-1] = 2
        self.first = Unit(inputs, outputs)
        self.down = nn.ModuleList(
            Unit(outputs if level == 0 else middle, middle, spacing[level]) for level in range(depth)
        )
        self.up = nn.ModuleList(
            Unit(2 * middle, outputs if level == 0 else middle, spacing[level]) for level in range(depth - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.first(x)
        levels: list[Tensor] = [self.down[0](shortcut)]
        for unit in self.down[1:-1]:
            levels.append(unit(levels[-1] if self.dilated else halve(levels[-1])))
        y: Tensor = self.down[-1](levels[-1])
        for unit, skip in zip(reversed(self.up), reversed(levels), strict=True):
            y = unit(torch.cat((y if self.dilated else enlarge(y, skip), skip), 1))
        return y + shortcut


class Encoder(nn.Module):
    """Stages 1 and 2, which stay as U2NetP has them. float32 [B, 3, S, S] -> [B, 64, S/2, S/2]."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = Stage(DEPTHS[1], 3, 16)
        self.stage2 = Stage(DEPTHS[2], 64, 16)

    def forward(self, photo: Tensor) -> Tensor:
        details: Tensor = self.stage2(halve(self.stage1(photo)))
        return details


class Depth(nn.Module):
    """Stages 3 to 6 and back to 3d. float32 [B, 64, S/4, S/4] -> the last map, of the same shape, logits by stage, [B, 1, ...], and the
    means of the maps of stages 6, 5d, 4d and 3d, [B, 256, 1, 1]."""

    def __init__(self, widths: Mapping[int, int]) -> None:
        super().__init__()
        for number in SIDES:
            dilated = number in DILATED
            self.add_module(f"stage{number}", Stage(DEPTHS[number], 64, widths[number], dilated=dilated))
            if number != SIDES[-1]:
                self.add_module(f"stage{number}d", Stage(DEPTHS[number], 128, widths[number], dilated=dilated))
            self.add_module(f"side{number}", nn.Conv2d(64, 1, 3, padding=1))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor], Tensor]:
        parts = dict(self.named_children())
        encoded: dict[int, Tensor] = {}
        for number in SIDES:
            x = encoded[number] = parts[f"stage{number}"](x if number == SIDES[0] else halve(x))
        logits, means = {SIDES[-1]: parts[f"side{SIDES[-1]}"](x)}, [x.mean((2, 3), keepdim=True)]
        for number in reversed(SIDES[:-1]):
            x = parts[f"stage{number}d"](torch.cat((enlarge(x, encoded[number]), encoded[number]), 1))
            logits[number] = parts[f"side{number}"](x)
            means.append(x.mean((2, 3), keepdim=True))
        return x, logits, torch.cat(means, 1)


class Presence(nn.Module):
    """Whether there is a subject at all, told by the means of the deep maps, float32 [B, 256, 1, 1]: 0 where there is one, else what
    is added to all logits, less the surer it is that there is none, float32 [B, 1, 1, 1]. Where the network is sure of a mask, it
    stays."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        # without drawing random numbers: a run's start must come out of its seed as it always did
        self.first = skip_init(nn.Conv2d, 64 * len(SIDES), hidden, 1)  # type: ignore[no-untyped-call]
        self.second = skip_init(nn.Conv2d, hidden, 1, 1)  # type: ignore[no-untyped-call]
        for values in self.parameters():
            nn.init.zeros_(values)

    def forward(self, means: Tensor) -> Tensor:
        return -functional.relu(self.absence(means))

    def absence(self, means: Tensor) -> Tensor:
        """Above 0 where there is none, the surer the more."""
        absent: Tensor = self.second(functional.relu(self.first(means)))
        return absent


class Fine(nn.Module):
    """The mask at half size: the logits of stage 2d plus, enlarged, those of stage 3d. Their sum decides as their mean does, twice as hard:
    what both hardly see, such as the haze over a plain picture, rounds to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.stage2d = Stage(DEPTHS[2], 128, 16)
        self.side2 = nn.Conv2d(64, 1, 3, padding=1)

    def forward(self, details: Tensor, deep: Tensor, logits: Tensor) -> Tensor:
        own: Tensor = self.side2(self.stage2d(torch.cat((enlarge(deep, details), details), 1)))
        return own + enlarge(logits, details)


class PocketNetwork(nn.Module):
    """RGB float32 [B, 3, S, S], ImageNet-normalised, S a multiple of 32 -> alpha float32 [B, 1, S/2, S/2] in [0, 1]."""

    def __init__(self, widths: Mapping[int, int] = WIDTHS) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.depth = Depth(widths)
        self.fine = Fine()
        self.presence = Presence()

    def forward(self, photo: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(photo)[0])

    def logits(self, photo: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Logits at half the size, and those of each stage at depth."""
        details = self.encoder(photo)
        deep, logits, means = self.depth(halve(details))
        return self.fine(details, deep, logits[SIDES[0]]) + self.presence(means), logits


def add_norms(parts: Sequence[nn.Module], run: Callable[[], object]) -> None:
    """Give every unit in `parts` that has no norm one that changes nothing: mean and variance are of what `run` sends through it."""
    units = [
        unit
        for part in parts
        for unit in part.modules()
        if isinstance(unit, Unit) and isinstance(unit.norm, nn.Identity)
    ]
    statistics: dict[Unit, tuple[Tensor, Tensor]] = {}
    hooks = [
        unit.conv.register_forward_hook(
            lambda _, __, y, unit=unit: statistics.__setitem__(unit, (y.mean((0, 2, 3)), y.var((0, 2, 3))))
        )
        for unit in units
    ]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    for unit in units:
        unit.add_norm(*statistics[unit])


def folded(network: PocketNetwork) -> PocketNetwork:
    """A copy without norms that computes the same."""
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for unit in copied.modules():
            if isinstance(unit, Unit):
                weight, bias = unit.folded()
                unit.conv.weight.copy_(weight)
                unit.conv.bias.copy_(bias)  # type: ignore[union-attr]
                unit.norm = nn.Identity()
    return copied.requires_grad_(False)


def load_weights(network: PocketNetwork, weights: Mapping[str, Tensor]) -> None:
    """Take weights that were stored, with norms where they had some; what tells of presence may be missing. Raises ValueError where they
    are of another network."""
    for name, unit in network.named_modules():
        if isinstance(unit, Unit) and isinstance(unit.norm, nn.Identity) and f"{name}.norm.weight" in weights:
            width = len(weights[f"{name}.norm.weight"])
            unit.add_norm(torch.zeros(width), torch.ones(width))
    try:
        missing = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    if missing.unexpected_keys or any(not name.startswith("presence.") for name in missing.missing_keys):
        raise ValueError(f"unknown {missing.unexpected_keys}, missing {missing.missing_keys}")


def average(mine: nn.Module, new: nn.Module, share: float) -> None:
    """Move the weights and running statistics of `mine` to those of `new` by `share`, 0 to 1."""
    with torch.no_grad():
        for values, other in zip(mine.state_dict().values(), new.state_dict().values(), strict=True):
            if values.is_floating_point():
                values.lerp_(other, share)


def halve(x: Tensor) -> Tensor:
    """Maximum over 2x2 cells; odd sizes round up."""
    return functional.max_pool2d(x, 2, 2, ceil_mode=True)


def enlarge(x: Tensor, other: Tensor) -> Tensor:
    """`x` at the height and width of `other`, bilinear, pixel centres at halves."""
    return functional.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)
