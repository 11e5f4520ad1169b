"""How a run learns: everything that decides what comes out, so that the same recipe on the same photos gives the same weights."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, Self

Part = Literal["depth", "decoder"]
DEPTH_COST = 1 / 6
"""Of a step from which only the stages at depth learn, beside one from which all behind the first two stages does."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """depth_steps: batches that only the stages at depth learn from, on features that are computed once, at a sixth of the others' cost.
    decoder_steps: batches after that, from which everything behind the first two stages learns. batch: photos of a step, of which the
    share `others` is of other kinds, on which the answer must stay. rate: highest learning rate of each part. views: of each photo, for
    the features that are computed once; at most `most_views` in all. averaging: how much of the averaged weights each step keeps. crops: how
    often only a part of a photo is shown. overlap: weight of the intersection over union in the loss. keeping: weight of the answers
    that must stay. rounds: how often the run is measured. patience: rounds without gain after which the second
    part ends."""

    depth_steps: int
    decoder_steps: int
    seed: int = 1
    batch: int = 8
    others: float = 0.375
    depth_rate: float = 4e-4
    decoder_rate: float = 2e-4
    views: int = 6
    most_views: int = 600
    averaging: float = 0.99
    decay: float = 1e-3
    crops: float = 0.6
    overlap: float = 0.5
    keeping: float = 1.0
    rounds: int = 6
    patience: int = 3

    @property
    def steps(self) -> int:
        """In all."""
        return self.depth_steps + self.decoder_steps

    @property
    def others_in_batch(self) -> int:
        """Pictures of other kinds in a batch."""
        return round(self.batch * self.others)

    @property
    def round_ends(self) -> list[int]:
        """Steps after which the run is measured; the two parts share them by their number of steps, weighted by what one costs."""
        depth, decoder = self.depth_steps * DEPTH_COST, float(self.decoder_steps)
        first = round(self.rounds * depth / (depth + decoder)) if self.depth_steps else 0
        first = min(max(first, 1), self.rounds - 1) if self.depth_steps and self.decoder_steps else first
        second = self.rounds - first
        ends = [round(self.depth_steps * k / first) for k in range(1, first + 1)]
        ends += [self.depth_steps + round(self.decoder_steps * k / second) for k in range(1, second + 1)]
        return sorted({end for end in ends if end})

    def part_at(self, step: int) -> Part:
        """What learns at a step, counted from 0."""
        return "depth" if step < self.depth_steps else "decoder"

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: it rises over the first twentieth of a part, at least 20 steps, and falls to a twentieth along a cosine."""
        if self.part_at(step) == "depth":
            highest, at, of = self.depth_rate, step, self.depth_steps
        else:
            highest, at, of = self.decoder_rate, step - self.depth_steps, self.decoder_steps
        rising = min(1.0, (at + 1) / max(20, of / 20))
        return highest * rising * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * at / of)))

    def to_dict(self) -> dict[str, Any]:
        """For a manifest or a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**values)
