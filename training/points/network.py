"""The prompted network: the built-in one's stages 1 and 2 as they are, and copies of all behind them that also see the prompts.

The prompts are drawn as maps (`Stem`), and what a small convolution makes of them is added to the details that stage 3 and stage 2d
see, and to the logits. The last weights of each of these ways start at zero: at first the network answers as the built-in one does.

Disks for points: Benenson et al. 2019, "Large-scale interactive object segmentation with human annotators", CVPR; the mask so far as an
input: Sofiiuk et al. 2022, "Reviving Iterative Training with Mask Guidance for Interactive Segmentation", ICIP. What looks like the place that
was pointed at is a map of its own: the details there, compared with those everywhere.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.tuning.network import SIDES, Depth, Fine, PocketNetwork, Unit, enlarge, halve

MAPS = 10
"""keep, drop, wide keep, wide drop, like keep, like drop, inside, outside, start, started."""
STEM = 16
"""Channels of what is made of the maps."""
LIKENESS = 24
"""Channels in which places are compared."""
CELL = 1 / 160
"""Unit of the radii below, as a share of the photo's sides."""
RADIUS, WIDE = 3.0, 40.0
DISK_CELLS = 12.0
"""Cells, at a quarter of the photo's size, that a disk covers about."""
SHARP = 1e4


@dataclass(frozen=True)
class Marks:
    """Prompts of a batch. keep, drop: float32 [B, K, 2], x and y as shares of the sides; (-1, -1) is none. box: float32 [B, 4], left, top,
    right, bottom as shares, all zero for none. start: float32 [B, 1, h, w] in [0, 1], zero where there is none. started: float32 [B]."""

    keep: Tensor
    drop: Tensor
    box: Tensor
    start: Tensor
    started: Tensor


class Stem(nn.Module):
    """details float32 [B, 64, h, w] and marks -> float32 [B, STEM, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.likeness = nn.Conv2d(64, LIKENESS, 1)
        self.first = nn.Conv2d(MAPS, STEM, 3, padding=1)
        self.second = nn.Conv2d(STEM, STEM, 3, padding=1)

    def forward(self, details: Tensor, marks: Marks) -> Tensor:
        maps = self.maps(details, marks)
        seen: Tensor = functional.relu(self.second(functional.relu(self.first(maps))))
        return seen

    def maps(self, details: Tensor, marks: Marks) -> Tensor:
        """What the prompts look like, float32 [B, MAPS, h, w]."""
        height, width = details.shape[2:]
        looks = functional.instance_norm(self.likeness(halve(details)))
        near, wide, like = [], [], []
        for points in (marks.keep, marks.drop):
            squares = _squares(points, height, width)
            disks = ((RADIUS**2 - squares) / (2 * RADIUS) + 0.5).clamp(0, 1)
            near.append(disks.amax(1, keepdim=True))
            wide.append((1 - squares / WIDE**2).clamp(0, 1).amax(1, keepdim=True))
            there = torch.einsum("bkhw,bchw->bkc", halve(disks), looks) / DISK_CELLS
            alike = torch.einsum("bkc,bchw->bkhw", there, looks) / LIKENESS
            like.append(enlarge(functional.relu(alike.amax(1, keepdim=True)), details))
        inside, outside = _boxed(marks.box, height, width)
        started = marks.started[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat((*near, *wide, *like, inside, outside, marks.start, started), 1)


def _squares(points: Tensor, height: int, width: int) -> Tensor:
    """Squared distances to each point in cells, float32 [B, K, h, w]."""
    rows, columns = ((torch.arange(side) + 0.5) / side for side in (height, width))
    x, y = points[:, :, 0, None, None], points[:, :, 1, None, None]
    return ((rows[:, None] - y) / CELL) ** 2 + ((columns[None] - x) / CELL) ** 2


def _boxed(box: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What is inside the box, and outside of it; zero both where there is none."""
    rows, columns = ((torch.arange(side) + 0.5) / side for side in (height, width))
    left, top, right, bottom = (box[:, place, None, None, None] for place in range(4))
    given = ((right - left) * SHARP).clamp(0, 1)
    inside = given.expand(-1, 1, height, width)
    for far in (columns - left, right - columns, rows[:, None] - top, bottom - rows[:, None]):
        inside = inside * (far / CELL + 0.5).clamp(0, 1)
    return inside, given - inside


class PromptedNetwork(nn.Module):
    """details float32 [B, 64, h, w] of the built-in network's encoder, and marks -> logits float32 [B, 1, h, w], and those of each stage
    at depth."""

    def __init__(self, widths: dict[int, int]) -> None:
        super().__init__()
        self.stem = Stem()
        self.to_depth, self.to_fine = nn.Conv2d(STEM, 64, 1), nn.Conv2d(STEM, 64, 1)
        self.to_logits = nn.Conv2d(STEM, 1, 3, padding=1)
        for layer in (self.to_depth, self.to_fine, self.to_logits):
            for values in layer.parameters():
                nn.init.zeros_(values)
        self.depth, self.fine = Depth(widths), Fine()

    def forward(self, details: Tensor, marks: Marks) -> tuple[Tensor, dict[int, Tensor]]:
        seen = self.stem(details, marks)
        deep, logits, _ = self.depth(halve(details) + self.to_depth(halve(seen)))
        fine = self.fine(details + self.to_fine(seen), deep, logits[SIDES[0]])
        return fine + self.to_logits(seen), logits

    @property
    def prompted(self) -> list[nn.Module]:
        """What the built-in network does not have."""
        return [self.stem, self.to_depth, self.to_fine, self.to_logits]


def prompted(network: PocketNetwork, seed: int = 1) -> PromptedNetwork:
    """The prompted network as a run starts with it: answers as `network` does without its presence."""
    torch.manual_seed(seed)
    widths = {
        number: network.depth.get_submodule(f"stage{number}").down[0].conv.out_channels  # type: ignore[index, union-attr]
        for number in SIDES
    }
    made = PromptedNetwork(widths)
    made.depth, made.fine = copy.deepcopy(network.depth), copy.deepcopy(network.fine)
    return made.requires_grad_(True)


def read(path: Path) -> PromptedNetwork:
    """A network that `training.points.train` kept: the weights of a checkpoint, without norms. Raises SystemExit."""
    state: dict[str, Any] = torch.load(path, map_location="cpu")
    network = PromptedNetwork({int(number): width for number, width in state["widths"].items()})
    try:
        network.load_state_dict({name: values.float() for name, values in state["network"].items()})
    except RuntimeError as error:
        raise SystemExit(f"{path} is of another network: {error}") from None
    return network.eval().requires_grad_(False)


def compact(network: PromptedNetwork) -> dict[str, Any]:
    """What `read` reads: float16 weights, norms folded in."""
    copied = copy.deepcopy(network).requires_grad_(False)
    for unit in copied.modules():
        if isinstance(unit, Unit):
            weight, bias = unit.folded()
            unit.norm = nn.Identity()
            unit.conv.weight.copy_(weight)
            assert unit.conv.bias is not None
            unit.conv.bias.copy_(bias)
    widths = {
        str(number): copied.depth.get_submodule(f"stage{number}").down[0].conv.out_channels  # type: ignore[index, union-attr]
        for number in SIDES
    }
    weights = {name: values.half().contiguous() for name, values in copied.state_dict().items()}
    return {"widths": widths, "network": weights}
