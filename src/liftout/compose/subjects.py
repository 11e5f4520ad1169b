"""Which parts of an alpha are subjects, and where they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from liftout.compose.components import Components, Int32, Int64, components
from liftout.compose.geometry import Box

UInt8 = npt.NDArray[np.uint8]

VISIBLE = 16
"""Alpha from which a pixel counts as visible: fainter haze does not widen a box."""
SOLID = 128
"""Alpha from which a pixel is more subject than not."""
MOST_SUBJECTS = 32
"""How many subjects are told apart in one photo."""

_LEAST_PIXELS = 16
_TIMES_SMALLER = 2000
_TIMES_SMALLER_IF_SMALL = 16
"""How many times smaller than the largest a part may be; the second holds where the largest has few pixels itself."""
_TIMES_SMALLER_SUBJECT = 100
"""How many times smaller than the largest a subject of its own may be: a ball beside its player is one, a lock of hair is none."""


def subject_box(alpha: UInt8) -> Box | None:
    """(left, top, right, bottom) around all visible subjects, right and bottom exclusive; None where nothing is visible.

    alpha: uint8 [H, W]. Specks do not count: a part counts from 16 pixels and a 2000th of the largest part up, in small
    pictures from a 16th of the largest part up. The browser follows the same rule: `tests/vectors/crop.json`.
    """
    parts = components(alpha >= VISIBLE)
    if not parts.count:
        return None
    areas = parts.areas
    largest = int(areas.max())
    least = min(max(_LEAST_PIXELS, largest / _TIMES_SMALLER), largest / _TIMES_SMALLER_IF_SMALL)
    return parts.box(areas >= least)


def largest_subjects(alpha: UInt8, count: int = 1) -> UInt8:
    """The alpha of the `count` largest subjects alone, soft edges included; zero elsewhere.

    alpha: uint8 [H, W]. Subjects are told apart by their solid parts; what is soft belongs to those that are kept as far as it hangs
    together with them.
    """
    cores = components(alpha >= SOLID)
    if not cores.count:
        return alpha
    kept = _by_size(cores)[:count]
    others = np.ones(cores.count, np.bool_)
    others[kept] = False
    soft = components((alpha > 0) & ~cores.paint(others))
    own_parts = np.zeros(soft.count, np.bool_)
    own_parts[_holders(soft, cores, kept)] = True
    return np.where(soft.paint(own_parts), alpha, 0).astype(np.uint8)


def separate_subjects(alpha: UInt8) -> Iterator[UInt8]:
    """The alpha of each subject, uint8 [H, W], the largest first; together they are `alpha`. None where nothing is visible.

    alpha: uint8 [H, W]. A subject of its own is a solid part that stands apart and has at least a hundredth of the pixels of the
    largest one; there are at most 32. What else is visible belongs to the subject that it hangs together with, or to the nearest
    where it hangs together with several or with none.
    """
    cores = components(alpha >= SOLID)
    order = _by_size(cores)[:MOST_SUBJECTS]
    order = order[cores.areas[order] * _TIMES_SMALLER_SUBJECT >= cores.areas.max(initial=0)]
    if len(order) < 2:
        if (alpha >= VISIBLE).any():
            yield alpha
        return
    owners = _owners(alpha, cores, order)
    for subject in range(len(order)):
        yield np.where(owners == subject, alpha, 0).astype(np.uint8)


def nearest_seed(seeds: Int32, count: int) -> Int32:
    """int32 [H, W]: the nearest of `count` seeds, by steps along rows and columns. seeds: their numbers where they are, -1 elsewhere.

    Distance and number are one integer, distance * count + number, of which a running minimum down, up, right and left keeps the least.
    """
    height, width = seeds.shape
    cost = np.where(seeds >= 0, seeds, (height + width) * count).astype(np.int32)
    for axis, length in ((0, height), (1, width)):
        steps = np.arange(length, dtype=np.int32) * np.int32(count)
        ramp = steps[:, None] if axis == 0 else steps
        before = np.minimum.accumulate(cost - ramp, axis=axis)
        before += ramp
        cost += ramp
        behind = np.flip(np.minimum.accumulate(np.flip(cost, axis), axis=axis), axis) - ramp
        cost = np.minimum(before, behind, out=before)
    return cost % np.int32(count)


def _by_size(parts: Components) -> Int64:
    """The components, the largest first."""
    return np.argsort(-parts.areas, kind="stable")


def _holders(soft: Components, cores: Components, chosen: Int64) -> Int64:
    """The components of `soft` that hold the chosen ones of `cores`."""
    rows, columns = cores.first_pixels()
    return soft.components_at(rows[chosen], columns[chosen])


def _owners(alpha: UInt8, cores: Components, order: Int64) -> Int32:
    """int32 [H, W]: which subject each pixel belongs to, 0 for the first core of `order`."""
    numbers = np.arange(len(order))
    of_cores = np.full(cores.count, -1, np.int64)
    of_cores[order] = numbers
    nearest = nearest_seed(cores.spread(of_cores, elsewhere=-1), len(order))
    whole = components(alpha >= VISIBLE)
    holders = _holders(whole, cores, order)
    of_parts = np.full(whole.count, -1, np.int64)
    of_parts[holders] = numbers
    of_parts[np.bincount(holders, minlength=whole.count) > 1] = -1
    hanging = whole.spread(of_parts, elsewhere=-1)
    return np.where(hanging < 0, nearest, hanging)
