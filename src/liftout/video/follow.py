"""A choice of the subject, followed through a clip.

What was pointed at in one frame is carried to the next one along the motion. There the network that reads prompts is asked anew, at the
thickest places of what was carried and in the box around it, so that errors do not add up; of its answer counts what lies near what
was carried. Where it sees something else altogether, what was carried holds. Before the first prompt, and after a cut until the next one,
nothing is chosen: there the alpha is the model's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from liftout.prompts import Prompts
from liftout.remover import Remover
from liftout.video import motion
from liftout.video.alphas import Matted, UInt8, at_time_of
from liftout.video.frame import Frame
from liftout.video.prompts import Said

Bool = npt.NDArray[np.bool_]
Points = tuple[tuple[float, float], ...]

_SOLID = 128
_REACH = 0.06
"""Share of the root of the choice's area by which it may grow or shrink from one frame to the next."""
_LEAST_REACH = 4
"""The same in pixels of the small copy, at least."""
_AGREES = 0.6
"""Intersection over union with what was carried at which an answer counts."""
_GONE = 12
"""Pixels of the small copy below which a choice has left the picture."""
_MOST_PLACES, _THICK = 4, 0.4
"""How many places the network is pointed at, and their depth as a share of the deepest one's."""


def followed(
    remover: Remover,
    frames: Iterable[Frame],
    said: Sequence[Said],
    *,
    after: Fraction | None = None,
    begun: UInt8 | None = None,
) -> Iterator[Matted]:
    """Every frame with the alpha of what was chosen, in order.

    said: prompts by time. after: the `origin` of the first frame, where an earlier run went as far; begun: uint8 [H, W], the alpha that
    it followed there, or None where nothing was chosen then.
    Raises what `Remover.prompted` raises.
    """
    due = deque(one for one in said if after is None or one.time > after)
    follower = _Follower(remover)
    before: Matted | None = None
    for frame in frames:
        asked = []
        while due and due[0].time <= frame.origin:
            asked.append(due.popleft())
        if begun is not None:
            follower.begin(frame, begun)
            before, begun = Matted(frame, begun, begun), None
        elif before is not None and not asked and frame.looks_like(before.frame):
            before = Matted(at_time_of(frame, before.frame), before.alpha, before.chosen)
        else:
            alpha = follower.carried_on(frame)
            for one in asked:
                alpha = follower.choose(frame, one, alpha)
            chosen = alpha
            if alpha is None:
                alpha = remover(frame.picture()).alpha
            before = Matted(frame, alpha, chosen)
        yield before


class _Follower:
    """The choice in the frame before."""

    def __init__(self, remover: Remover) -> None:
        self._remover = remover
        self._finder = motion.Motion()
        self._copy: motion.Copy | None = None
        self._alpha: UInt8 | None = None
        self._drop: Points = ()

    def begin(self, frame: Frame, alpha: UInt8) -> None:
        """Follow this alpha from this frame on."""
        self._copy, self._alpha = motion.copy_of(frame.pixels), alpha

    def choose(self, frame: Frame, said: Said, carried: UInt8 | None) -> UInt8:
        """The alpha that prompts ask for: points correct what is followed, a box chooses anew."""
        prompts = said.asked.at(frame.pixels.shape[:2])
        if carried is not None and prompts.box is None and (carried >= _SOLID).any():
            prompts = replace(prompts, start=carried)
        self._drop = prompts.drop if prompts.start is None else (*self._drop, *prompts.drop)
        alpha = self._remover.prompted(frame.picture(), prompts).alpha
        self.begin(frame, alpha)
        return alpha

    def carried_on(self, frame: Frame) -> UInt8 | None:
        """The alpha of what is followed in the next frame; None where nothing is chosen, or a cut lies between."""
        if self._copy is None or self._alpha is None:
            return None
        copy = motion.copy_of(frame.pixels)
        there, back = self._finder.between(copy.grey, self._copy.grey), self._finder.between(self._copy.grey, copy.grey)
        if motion.is_cut(motion.trust(copy, self._copy, there, back)):
            self._copy = self._alpha = None
            self._drop = ()
            return None
        small = motion.small_copy(self._alpha, copy.grey.shape)
        carried = np.asarray(motion.sampled(small, motion.grid(copy.grey.shape) + there), np.uint8)
        self._drop = _moved(self._drop, back, frame.pixels.shape[:2])
        alpha = self._seen(frame, carried)
        self._copy, self._alpha = copy, alpha
        return alpha

    def _seen(self, frame: Frame, carried: UInt8) -> UInt8:
        """What the network sees of the choice. carried: uint8 [h, w], the choice along the motion, on the small copy."""
        size = frame.pixels.shape[:2]
        solid = carried >= _SOLID
        if int(solid.sum()) < _GONE:
            return np.zeros(size, np.uint8)
        reach = max(_LEAST_REACH, round(_REACH * float(np.sqrt(solid.sum()))))
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        near = cv2.dilate(carried, disk)
        prompts = Prompts(keep=_places(solid, size), drop=self._drop, box=_box(near >= _SOLID, size))
        answer = self._remover.prompted(frame.picture(), prompts).alpha
        small = motion.small_copy(answer, carried.shape)
        found = np.maximum(np.minimum(small, near), cv2.erode(carried, disk))
        whole = found >= _SOLID
        if (whole & solid).sum() < _AGREES * (whole | solid).sum():
            return _scaled(carried, size)
        return np.maximum(np.minimum(answer, _scaled(near, size)), _scaled(cv2.erode(carried, disk), size))


def _scaled(alpha: npt.NDArray[np.uint8], size: tuple[int, ...]) -> UInt8:
    return np.asarray(cv2.resize(alpha, size[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _places(solid: Bool, size: tuple[int, ...]) -> Points:
    """The middles of the thickest places of a mask on the small copy, as (x, y) in a frame of `size`."""
    left = np.pad(solid, 1).astype(np.uint8)
    depth = np.asarray(cv2.distanceTransform(left, cv2.DIST_L2, 3), np.float32)[1:-1, 1:-1].copy()
    least = _THICK * float(depth.max())
    rows, columns = np.mgrid[: solid.shape[0], : solid.shape[1]]
    places = []
    while len(places) < _MOST_PLACES and depth.max() >= max(least, 1.0):
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        places.append(((column + 0.5) * size[1] / solid.shape[1], (row + 0.5) * size[0] / solid.shape[0]))
        depth[np.hypot(rows - row, columns - column) <= 2 * depth[row, column]] = 0
    return tuple((float(x), float(y)) for x, y in places)


def _box(near: Bool, size: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The box around a mask on the small copy, in a frame of `size`."""
    rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
    down, across = size[0] / near.shape[0], size[1] / near.shape[1]
    return columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down


def _moved(points: Points, flow: npt.NDArray[np.float32], size: tuple[int, ...]) -> Points:
    """Points (x, y) of the frame before where they are now; those that have left the picture are left out."""
    found = []
    down, across = flow.shape[0] / size[0], flow.shape[1] / size[1]
    for x, y in points:
        row, column = min(int(y * down), flow.shape[0] - 1), min(int(x * across), flow.shape[1] - 1)
        moved = x + float(flow[row, column, 0]) / across, y + float(flow[row, column, 1]) / down
        if 0 <= moved[0] < size[1] and 0 <= moved[1] < size[0]:
            found.append(moved)
    return tuple(found)
