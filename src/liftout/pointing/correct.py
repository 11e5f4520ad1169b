"""A point changes what hangs together with it, and nothing else.

The network answers for the whole photo; where it answers otherwise than the start far from any point, that is an opinion nobody
asked for. So of the regions that changed only those stay that a point of the right kind lies in.

Source of the idea: Chen et al. 2022, "FocalClick: Towards Practical Interactive Image Segmentation", CVPR (progressive merge).
"""

from __future__ import annotations

import numpy as np

from liftout import graphs
from liftout.compose.components import Bool, Components, components
from liftout.models.spec import OutputSpec
from liftout.pointing.network import places
from liftout.prompts import Prompts

REACH = 4
"""Cells of the prediction within which a region counts as touched by a point, and by which a change is widened."""
SURE = 3
"""Cells around a point that are as it says, whatever the network answers."""
BOX_MARGIN = 0.06
"""Share of a box's sides by which an object may stick out of it: boxes are drawn by hand."""
FAINT = 0.06
"""Of a prediction, what counts as nothing where its parts are told apart."""

Points = tuple[tuple[float, float], ...]
Size = tuple[int, int]


def insist(prediction: graphs.Float32, prompts: Prompts, size: Size) -> graphs.Float32:
    """The prediction, float32 [1, 1, h, w], with nothing outside of the box and its margin, and every point as it says; where
    both kinds meet, keep wins. size: height and width of the photo."""
    plane = prediction[0, 0].copy()
    if prompts.box is not None:
        plane[~_inside(prompts.box, size, plane.shape)] = 0
    plane[_near(prompts.drop, size, plane.shape, SURE)] = 0
    plane[_near(prompts.keep, size, plane.shape, SURE)] = 1
    return plane[None, None]


def confine(prediction: graphs.Float32, prompts: Prompts, size: Size) -> graphs.Float32:
    """Of an answer without a start, the parts that hang together with a point to keep; all of it where there is none."""
    if not prompts.keep:
        return prediction
    plane = prediction[0, 0]
    chosen = _touched(plane >= FAINT, prompts.keep, size)
    return np.where(chosen, plane, np.float32(0))[None, None]


def corrected(
    start: graphs.UInt8, alpha: graphs.UInt8, seen: graphs.Float32, prediction: graphs.Float32, prompts: Prompts
) -> graphs.UInt8:
    """The answer where a point corrects the start, else the start; the whole answer where there is no point.

    start, alpha: uint8 [H, W], the start and the answer at the photo's size. seen: float32 [1, 1, s, s], the start as the network saw
    it. prediction: float32 [1, 1, h, w], the network's answer; h and w are multiples of s.
    """
    if not prompts.keep and not prompts.drop:
        return alpha
    height, width = start.shape
    after = prediction[0, 0] >= 0.5
    before = np.kron(seen[0, 0] >= 0.5, np.ones(np.array(after.shape) // seen.shape[2:], np.bool_))
    changed = _touched(after & ~before, prompts.keep, (height, width))
    changed |= _touched(before & ~after, prompts.drop, (height, width))
    if not changed.any():
        return start
    near = _widened(changed, REACH).astype(np.float32)[None, None]
    weight = graphs.finish(near, (height, width), OutputSpec()).astype(np.int32)
    return ((start * (255 - weight) + alpha * weight + 127) // 255).astype(np.uint8)


def _touched(region: Bool, points: Points, size: Size) -> Bool:
    """The parts of a region, bool [h, w], that a point lies in or near."""
    near = np.flatnonzero(region & _near(points, size, region.shape, REACH))
    if not len(near):
        return np.zeros_like(region)
    parts = components(region)
    return parts.paint(np.isin(np.arange(parts.count), _labels_at(parts, near)))


def _labels_at(
    parts: Components, places: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The component of each set pixel, given by its place in the flat picture."""
    runs = np.searchsorted(parts.rows * parts.size[1] + parts.starts, places, side="right") - 1
    return parts.labels[runs]


def _near(points: Points, size: Size, shape: tuple[int, ...], radius: float) -> Bool:
    """bool [h, w]: cells whose middle lies within `radius` cells of a point. size: height and width of the photo."""
    found = np.zeros(shape, np.bool_)
    rows, columns = (np.arange(side) + 0.5 for side in shape)
    for x, y in places(points, size):
        found |= (rows[:, None] - y * shape[0]) ** 2 + (columns - x * shape[1]) ** 2 <= radius**2
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


def _widened(mask: Bool, cells: int) -> Bool:
    """The mask, bool [h, w], and all within so many rows and columns of it."""
    for axis in (0, 1):
        ahead = np.moveaxis(mask, axis, 0)
        found = ahead.copy()
        for step in range(1, cells + 1):
            found[step:] |= ahead[:-step]
            found[:-step] |= ahead[step:]
        mask = np.moveaxis(found, 0, axis)
    return mask
