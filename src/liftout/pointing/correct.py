"""A point changes what hangs together with it, and nothing else.

The network answers for the whole photo; where it answers otherwise than the start far from any point, that is an opinion nobody asked for. A
user points at the middle of what is wrong. So around each point, with R the distance from it to where the answer agrees with the start again:

1. a region that hangs on the point's only by a neck narrower than R is another region and stays as it was;
2. nothing farther than a few R from the point changes;
3. where R is small, answers are no surer than the start is: only a disk around the point changes;
4. a subject that touches no other comes and goes whole, however large it is.

A point to keep only adds, a point to drop only takes away. Without a start the same necks tell the object that was pointed at from what
touches it. All of it works on the cells of the prediction.

Source of the idea to merge by regions: Chen et al. 2022, "FocalClick: Towards Practical Interactive Image Segmentation", CVPR (progressive merge).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftout import graphs
from liftout.compose.components import Bool, components
from liftout.models.spec import OutputSpec
from liftout.pointing.network import places
from liftout.prompts import Prompts

SURE = 5
"""Cells around a point that are as it says whatever the network answers, as far as the start's edge is not nearer."""
TOUCH = 3
"""Cells within which a region counts as touched by a point."""
THRESHOLD = 0.6
"""How sure the network must be of what it changes."""
SOLID, HAZE = 0.4, 0.1
"""How much of the start there must be to be dropped, or how much must be missing to be added; and where the point itself lies on less."""
SMALL = 6.0
"""R in cells below which only the disk changes."""
NECK, WIDEST_NECK = 0.5, 24
"""Half the width of a neck as a share of R, and its largest value in cells."""
FAR = 2.5
"""How many R from a point its change may reach."""
SELECT_NECK = 0.1
"""The same as NECK where there is no start."""
WHOLE, OTHERS = 0.7, 0.1
"""Share of a subject that must go for all of it to be meant, and what must be left beside it, in parts of it."""
RIM = 1
"""Cells by which a change is widened, so that its soft edge is taken along."""
BOX_MARGIN = 0.06
"""Share of a box's sides by which an object may stick out of it: boxes are drawn by hand."""

Points = tuple[tuple[float, float], ...]
Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Change:
    """What points change in a prediction. prediction: float32 [1, 1, h, w], as the points say. added, removed: bool [h, w]."""

    prediction: graphs.Float32
    added: Bool
    removed: Bool


def select(prediction: graphs.Float32, prompts: Prompts, size: Size) -> graphs.Float32:
    """Of an answer without a start, float32 [1, 1, h, w], what was pointed at, within the box; all of the box where there is no point.
    size: height and width of the photo."""
    plane = prediction[0, 0].copy()
    if prompts.box is not None:
        plane[~_inside(prompts.box, size, plane.shape)] = 0
    for x, y in _cells(prompts.drop, size, plane.shape):
        plane[_disk(x, y, SURE, plane.shape)] = 0
    chosen = np.full(plane.shape, not prompts.keep)
    for x, y in _cells(prompts.keep, size, plane.shape):
        plane[_disk(x, y, SURE, plane.shape)] = 1
        region = plane >= 0.5
        chosen |= _hanging(region, x, y, SELECT_NECK * _depth(region, x, y))
    return np.where(_widened(chosen, RIM), plane, np.float32(0))[None, None]


def change(prediction: graphs.Float32, prompts: Prompts, seen: graphs.Float32, size: Size) -> Change:
    """What points change of a start. prediction: float32 [1, 1, h, w]. seen: float32 [1, 1, s, s], the start as the network saw it; h
    and w are multiples of s. size: height and width of the photo."""
    plane = prediction[0, 0].copy()
    level = np.kron(seen[0, 0], np.ones(np.array(plane.shape) // seen.shape[2:], np.float32))
    added, removed = np.zeros(plane.shape, np.bool_), np.zeros(plane.shape, np.bool_)
    for points, kept, found in ((prompts.keep, True, added), (prompts.drop, False, removed)):
        for x, y in _cells(points, size, plane.shape):
            free = _left(1 - level if kept else level, x, y)
            region = free & ((plane >= THRESHOLD) if kept else (plane <= 1 - THRESHOLD))
            disk = free & _disk(x, y, max(1.0, min(_depth(free, x, y), SURE)), plane.shape)
            own = _around(region, disk, level >= 0.5, x, y)
            plane[disk] = kept
            found |= own
            level[own] = kept
    return Change(plane[None, None], added, removed)


def corrected(start: graphs.UInt8, alpha: graphs.UInt8, changed: Change) -> graphs.UInt8:
    """The start with what changed. start, alpha: uint8 [H, W], the start and the answer at the photo's size."""
    result = start
    for region, kept in ((changed.added, True), (changed.removed, False)):
        if region.any():
            near = _widened(region, RIM).astype(np.float32)[None, None]
            weight = graphs.finish(near, (start.shape[0], start.shape[1]), OutputSpec())
            if kept:
                result = np.maximum(result, np.minimum(alpha, weight))
            else:
                result = np.minimum(result, np.maximum(alpha, 255 - weight))
    return result


def _left(level: graphs.Float32, x: float, y: float) -> Bool:
    """Where there is something to change, bool [h, w], by how much of it there is, float32 [h, w] in [0, 1]."""
    row, column = min(int(y), level.shape[0] - 1), min(int(x), level.shape[1] - 1)
    found: Bool = level > (SOLID if level[row, column] > SOLID else HAZE)
    return found


def _around(region: Bool, disk: Bool, mask: Bool, x: float, y: float) -> Bool:
    """Of what the network would change of a mask, bool [h, w], what a point changes; at least the disk around it."""
    depth = _depth(region, x, y)
    if depth < SMALL:
        return disk
    hanging = _hanging(region | disk, x, y, NECK * depth) | disk
    if _is_apart(hanging, mask, x, y):
        return hanging
    return _touched(hanging & _disk(x, y, FAR * depth + 2, region.shape) | disk, x, y)


def _is_apart(region: Bool, mask: Bool, x: float, y: float) -> bool:
    """Whether a region that would change is a subject of its own: one that touches nothing of the mask, or one of several in it, gone
    nearly whole."""
    inside = _touched(mask, x, y)
    if not inside.any():
        return not (_grown(region, RIM) & mask).any()
    gone, whole, all_of_it = (int(some.sum()) for some in (region & inside, inside, mask))
    return gone >= WHOLE * whole and all_of_it - whole >= OTHERS * whole


def _hanging(region: Bool, x: float, y: float, neck: float) -> Bool:
    """What hangs together with a point by more than a neck of half the width `neck`."""
    radius = int(np.clip(neck, 1, WIDEST_NECK))
    near = region & _disk(x, y, TOUCH, region.shape)
    core = _touched(_shrunk(region, radius) | near, x, y)
    return region & _grown(core, radius + 1)


def _touched(region: Bool, x: float, y: float) -> Bool:
    """The parts of a region, bool [h, w], that a point lies in or near."""
    near = np.flatnonzero(region & _disk(x, y, TOUCH, region.shape))
    if not len(near):
        return np.zeros_like(region)
    parts = components(region)
    runs = np.searchsorted(parts.rows * region.shape[1] + parts.starts, near, side="right") - 1
    return parts.paint(np.isin(np.arange(parts.count), parts.labels[runs]))


def _depth(region: Bool, x: float, y: float) -> float:
    """Cells from a point to the nearest cell outside of a region; the picture's border is none."""
    rows, columns = np.nonzero(~region)
    if not len(rows):
        return float(max(region.shape))
    return float(np.sqrt(((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2).min()))


def _cells(points: Points, size: Size, shape: tuple[int, ...]) -> list[tuple[float, float]]:
    """Points (x, y) in cells. size: height and width of the photo."""
    return [(float(x) * shape[1], float(y) * shape[0]) for x, y in places(points, size)]


def _disk(x: float, y: float, radius: float, shape: tuple[int, ...]) -> Bool:
    """bool [h, w]: cells whose middle lies within a radius of (x, y); all in cells."""
    rows, columns = (np.arange(side) + 0.5 for side in shape)
    found: Bool = (rows[:, None] - y) ** 2 + (columns - x) ** 2 <= radius**2
    return found


def _inside(box: tuple[float, float, float, float], size: Size, shape: tuple[int, ...]) -> Bool:
    """bool [h, w]: cells whose middle lies in the box or its margin. size: height and width of the photo."""
    left, top, right, bottom = box
    aside, above = BOX_MARGIN * (right - left), BOX_MARGIN * (bottom - top)
    rows = (np.arange(shape[0]) + 0.5) * size[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * size[1] / shape[1]
    tall = (rows >= top - above) & (rows <= bottom + above)
    wide = (columns >= left - aside) & (columns <= right + aside)
    return tall[:, None] & wide


def _grown(mask: Bool, radius: int) -> Bool:
    """The mask, bool [h, w], and all cells within `radius` cells of it."""
    height, width = mask.shape
    columns = np.arange(width)
    before = np.maximum.accumulate(np.where(mask, columns, -2 * width), 1)
    after = np.minimum.accumulate(np.where(mask, columns, 3 * width)[:, ::-1], 1)[:, ::-1]
    far = np.minimum(columns - before, after - columns)  # along the row
    found = np.zeros_like(mask)
    for step in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        reach = far <= int(np.sqrt(radius**2 - step**2))
        if step < 0:
            found[:step] |= reach[-step:]
        else:
            found[step:] |= reach[: height - step]
    return found


def _shrunk(mask: Bool, radius: int) -> Bool:
    """The cells of a mask with no cell outside of it within `radius` cells; the picture's border takes nothing away."""
    return ~_grown(~mask, radius)


def _widened(mask: Bool, cells: int) -> Bool:
    return _grown(mask, cells) if mask.any() else mask
