"""Which photos are learnt from, which choose, and which are held out to measure on; photos that look alike stay together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftout.errors import UsageError
from liftout.tuning.examples import Examples, likeness

FEWEST = 10
"""Photos with masks below which nothing can be told of the gain."""
HELD_OUT, CHOOSING = 0.15, 0.12
"""Shares of the photos."""
MOST_HELD_OUT, MOST_CHOOSING, LEAST = 60, 40, 3
ALIKE = 0.95
"""Likeness from which two photos are of one scene."""


@dataclass(frozen=True)
class Split:
    """Rows of the examples. training: learnt from. choosing: by which rate, length and share of the learnt are chosen. held_out: measured once,
    before and after."""

    training: tuple[int, ...]
    choosing: tuple[int, ...]
    held_out: tuple[int, ...]


def split(examples: Examples, seed: int) -> Split:
    """Raises UsageError where there are too few."""
    count = len(examples)
    if count < FEWEST:
        raise UsageError(
            f"{count} photos with good masks", remedy=f"give {FEWEST} or more; 20 are useful, 100 are good"
        )
    groups = _groups(examples)
    order = np.random.default_rng([seed, 3]).permutation(len(groups))
    held_out, choosing, training = list[int](), list[int](), list[int]()
    wanted = {
        "held_out": min(MOST_HELD_OUT, max(LEAST, round(HELD_OUT * count))),
        "choosing": min(MOST_CHOOSING, max(LEAST, round(CHOOSING * count))),
    }
    for number in order:
        group = groups[number]
        if len(held_out) + len(group) <= wanted["held_out"]:
            held_out += group
        elif len(choosing) + len(group) <= wanted["choosing"]:
            choosing += group
        else:
            training += group
    if not held_out or not choosing or not training:
        raise UsageError("all photos look alike", remedy="add photos of other subjects or scenes")
    return Split(tuple(sorted(training)), tuple(sorted(choosing)), tuple(sorted(held_out)))


def _groups(examples: Examples) -> list[list[int]]:
    """Rows of photos that look alike, directly or through others."""
    alike = likeness(examples.pixels) > ALIKE
    group_of = list(range(len(examples)))
    for row in range(len(examples)):
        for other in np.flatnonzero(alike[row, :row]):
            old, new = group_of[row], group_of[int(other)]
            if old != new:
                group_of = [new if group == old else group for group in group_of]
    groups: dict[int, list[int]] = {}
    for row, group in enumerate(group_of):
        groups.setdefault(group, []).append(row)
    return list(groups.values())
