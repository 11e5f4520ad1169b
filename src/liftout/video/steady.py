"""Alphas that stay still: each is corrected by its neighbours in time, along the motion.

A network that sees frame after frame gives the same edge a little more here and a little less there: the alpha pumps. What is the
same piece of the scene should have the same alpha, wherever it has moved. For every frame the places of its pixels in the
frames around it are found (`liftout.video.motion`); alphas are fetched from there, and weighed by how well that place looks like
this one and by whether the motion there and back ends where it began. A place that is hidden, or came into view, has no
weight there, and neither has a frame beyond a cut: nothing trails behind what moves.

The correction is found on a small copy and added to the whole alpha, so that fine edges keep their sharpness. Each result needs
`REACH` frames on each side and nothing from further away: work that was interrupted goes on with the same results.

The idea of following motion and rejecting what does not agree: Lang et al. 2012, "Practical temporal consistency for image-based
graphics applications", doi:10.1145/2185520.2185530.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from liftout.video import motion
from liftout.video.alphas import Matted

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

REACH = 6
"""Frames on each side that a frame is corrected by."""


@dataclass(eq=False)
class _Small:
    """What is needed of a frame: small copies, and the flow to its neighbours, once it is known."""

    matted: Matted
    copy: motion.Copy
    alpha: Float32
    to_next: Float32 | None = None
    to_previous: Float32 | None = None
    cut_after: bool = False
    trust_next: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    trust_previous: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def steadied(frames: Iterable[Matted], strength: float) -> Iterator[Matted]:
    """The frames with corrected alphas, in order. strength: 0 (as they are) to 1."""
    if strength <= 0:
        yield from frames
        return
    around: deque[_Small] = deque()
    """From `REACH` frames before the one that is corrected to as many after it."""
    finder = motion.Motion()
    at = 0
    for matted in frames:
        arrived = _small(matted)
        if around:
            _link(finder, around[-1], arrived)
        around.append(arrived)
        if len(around) - at > REACH:
            yield _corrected(list(around), at, strength)
            at += 1
        if at > REACH:
            around.popleft()
            at -= 1
    while at < len(around):
        yield _corrected(list(around), at, strength)
        at += 1


def _small(matted: Matted) -> _Small:
    copy = motion.copy_of(matted.frame.pixels)
    return _Small(matted, copy, motion.small_copy(matted.alpha, copy.grey.shape).astype(np.float32))


def _link(finder: motion.Motion, one: _Small, other: _Small) -> None:
    """Find the motion between two neighbours, and whether it can be followed."""
    if one.matted.frame.pixels is other.matted.frame.pixels:
        one.to_next = other.to_previous = np.zeros((*one.copy.grey.shape, 2), np.float32)
        one.trust_next = other.trust_previous = np.ones(one.copy.grey.shape, np.float32)
        return
    one.to_next = finder.between(one.copy.grey, other.copy.grey)
    other.to_previous = finder.between(other.copy.grey, one.copy.grey)
    one.trust_next = motion.trust(one.copy, other.copy, one.to_next, other.to_previous)
    other.trust_previous = motion.trust(other.copy, one.copy, other.to_previous, one.to_next)
    one.cut_after = motion.is_cut(one.trust_next)


def _corrected(around: list[_Small], at: int, strength: float) -> Matted:
    """The frame number `at` of `around`, its alpha corrected by the others."""
    here = around[at]
    total, weight = here.alpha.copy(), np.ones_like(here.alpha)
    for step in (1, -1):
        for there, trust in _followed(around, at, step):
            total += there * trust
            weight += trust
    change = (total / weight - here.alpha) * np.float32(strength)
    if float(np.abs(change).max(initial=0.0)) < 0.5:
        return here.matted
    whole = here.matted.alpha
    if change.shape != whole.shape:
        change = np.asarray(cv2.resize(change, whole.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    alpha: UInt8 = np.clip(np.rint(whole + change), 0, 255).astype(np.uint8)
    if (own := here.matted.frame.alpha) is not None:
        np.minimum(alpha, own, out=alpha)
    return replace(here.matted, alpha=alpha)


def _followed(around: list[_Small], at: int, step: int) -> Iterator[tuple[Float32, Float32]]:
    """Alphas of the frames after (`step` 1) or before (-1) the one at `at`, at the places that its pixels have there, with how far
    they can be trusted."""
    places = motion.grid(around[at].copy.grey.shape)
    start, trust = places, np.ones(places.shape[:2], np.float32)
    index = at
    while 0 <= index + step < len(around) and abs(index + step - at) <= REACH:
        here, there = around[index], around[index + step]
        if (here if step == 1 else there).cut_after:
            return
        flow, known = (here.to_next, here.trust_next) if step == 1 else (here.to_previous, here.trust_previous)
        if flow is None:
            return
        first = index == at
        trust = trust * (known if first else motion.sampled(known, start))
        start = start + (flow if first else motion.sampled(flow, start))
        yield motion.sampled(there.alpha, start), trust
        index += step
