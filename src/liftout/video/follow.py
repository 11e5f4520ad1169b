"""A choice of the subject, followed through a clip.

What was pointed at in one frame is carried to the next one along the motion. There the network that reads prompts is asked anew, with what
was carried as its start, so that errors do not add up; of its answer counts what lies near what was carried. Where it sees something else
altogether, what was carried holds. Before the first prompt, and after a cut until the next one,
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

_SOLID = 128
_REACH = 0.06
"""Share of the root of the choice's area by which it may grow or shrink from one frame to the next."""
_LEAST_REACH = 4
"""The same in pixels of the small copy, at least."""
_AGREES = 0.6
"""Intersection over union with what was carried at which an answer counts."""
_GONE = 12
"""Pixels of the small copy below which a choice has left the picture."""


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

    def begin(self, frame: Frame, alpha: UInt8) -> None:
        """Follow this alpha from this frame on."""
        self._copy, self._alpha = motion.copy_of(frame.pixels), alpha

    def choose(self, frame: Frame, said: Said, carried: UInt8 | None) -> UInt8:
        """The alpha that prompts ask for: points correct what is followed, a box chooses anew."""
        prompts = said.asked.at(frame.pixels.shape[:2])
        if carried is not None and prompts.box is None and (carried >= _SOLID).any():
            prompts = replace(prompts, start=carried)
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
            return None
        small = motion.small_copy(self._alpha, copy.grey.shape)
        carried = np.asarray(motion.sampled(small, motion.grid(copy.grey.shape) + there), np.uint8)
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
        near = np.asarray(cv2.dilate(carried, disk), np.uint8)
        core = np.asarray(cv2.erode(carried, disk), np.uint8)
        answer = self._remover.prompted(frame.picture(), Prompts(start=_scaled(carried, size))).alpha
        small = motion.small_copy(answer, carried.shape)
        found = np.maximum(np.minimum(small, near), core)
        whole = found >= _SOLID
        if (whole & solid).sum() < _AGREES * (whole | solid).sum():
            return _scaled(carried, size)
        return np.maximum(np.minimum(answer, _scaled(near, size)), _scaled(core, size))


def _scaled(alpha: npt.NDArray[np.uint8], size: tuple[int, ...]) -> UInt8:
    return np.asarray(cv2.resize(alpha, size[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
