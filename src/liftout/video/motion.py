"""Where each pixel of a frame lies in another one: dense optical flow on a small copy.

Source: Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search", ECCV, doi:10.1007/978-3-319-46493-0_29; OpenCV's DIS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

WORK_SIDE = 512
"""Longest side of the copies that motion is found in, in pixels."""
_LIKENESS = 16.0
"""Levels of difference, in the channel that differs most, at which a place counts for 1/e."""
_NOISE_BLUR = 0.8
"""Standard deviation in pixels of the blur that takes noise out of the comparison."""
_DRIFT = 1.0
"""Pixels of the small copy by which the way there and back may miss, at which a place counts for 1/e."""
_CUT_SHARE = 0.35
"""Between two frames in which less than this share of the places is found again lies a cut."""


def small_size(size: tuple[int, ...]) -> tuple[int, int]:
    """[height, width] of the small copy of a frame of `size`."""
    shrink = min(1.0, WORK_SIDE / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def small_copy(pixels: UInt8, size: tuple[int, ...]) -> UInt8:
    """A frame or an alpha, scaled down to `size` [height, width] by areas."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True, eq=False)
class Copy:
    """A small copy of a frame. grey: uint8 [h, w], what flow is found in. colours: float32 [h, w, 3], without noise."""

    grey: UInt8
    colours: Float32


def copy_of(pixels: UInt8) -> Copy:
    """The small copy of a frame, uint8 [H, W, 3]."""
    small = small_copy(pixels, small_size(pixels.shape[:2]))
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    return Copy(grey, cv2.GaussianBlur(small, (0, 0), _NOISE_BLUR).astype(np.float32))


def trust(frame: Copy, other: Copy, there: Float32, back: Float32) -> Float32:
    """How far each place of `frame` is found again in `other`, float32 [h, w] of 0..1: it looks alike, and the way back ends where it
    began. there, back: flow from one to the other, float32 [h, w, 2]."""
    goal = grid(frame.grey.shape) + there
    missed = there + sampled(back, goal)
    difference = np.abs(frame.colours - sampled(other.colours, goal)).max(axis=2)
    difference = cv2.GaussianBlur(difference, (0, 0), _NOISE_BLUR)
    height, width = frame.grey.shape
    inside = (goal[..., 0] >= 0) & (goal[..., 0] <= width - 1) & (goal[..., 1] >= 0) & (goal[..., 1] <= height - 1)
    drift = np.einsum("hwc,hwc->hw", missed, missed) / np.float32(_DRIFT**2)
    return np.asarray(np.exp(-((difference / np.float32(_LIKENESS)) ** 2) - drift) * inside, np.float32)


def is_cut(found: Float32) -> bool:
    """Whether a cut lies between two frames. found: what `trust` gives of them."""
    return float(found.mean()) < _CUT_SHARE


_FINEST = 1
"""Scale of the pyramid at which the search ends: half the small copy. One coarser, motion bleeds over the subject's edge."""


class Motion:
    """Finds flow between grey frames, uint8 [h, w]. Not safe for use from several threads."""

    def __init__(self) -> None:
        opencv: Any = cv2  # whose annotations lack the search
        self._dis = opencv.DISOpticalFlow_create(opencv.DISOPTICAL_FLOW_PRESET_FAST)
        self._dis.setFinestScale(_FINEST)

    def between(self, frame: UInt8, other: UInt8) -> Float32:
        """Flow, float32 [h, w, 2]: the pixel (x, y) of `frame` is at (x, y) + flow[y, x] in `other`."""
        if min(frame.shape) < _SMALLEST:
            return np.zeros((*frame.shape, 2), np.float32)
        return np.asarray(self._dis.calc(frame, other, None), np.float32)


_SMALLEST = 32
"""Frames with a side below this are too small for the pyramid of the search."""


def grid(size: tuple[int, ...]) -> Float32:
    """The coordinates (x, y) of every pixel, float32 [h, w, 2]."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.dstack([columns, rows]).astype(np.float32)


def sampled(values: npt.NDArray[Any], places: Float32) -> npt.NDArray[Any]:
    """`values` [h, w] or [h, w, C] at `places`, float32 [h, w, 2] as (x, y), linearly; beyond the border its nearest pixel."""
    nothing: Any = None  # the second half of places in fixed point
    return np.asarray(cv2.remap(values, places, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
