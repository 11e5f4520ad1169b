"""Where each pixel of a frame lies in another one: dense optical flow on a small copy.

Source: Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search", ECCV, doi:10.1007/978-3-319-46493-0_29; OpenCV's DIS.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

WORK_SIDE = 512
"""Longest side of the copies that motion is found in, in pixels."""


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """[height, width] of the small copy of a frame of `size`."""
    shrink = min(1.0, WORK_SIDE / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def small_copy(pixels: UInt8, size: tuple[int, int]) -> UInt8:
    """A frame or an alpha, scaled down to `size` [height, width] by areas."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


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


def grid(size: tuple[int, int]) -> Float32:
    """The coordinates (x, y) of every pixel, float32 [h, w, 2]."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.dstack([columns, rows]).astype(np.float32)


def sampled(values: npt.NDArray[Any], places: Float32) -> npt.NDArray[Any]:
    """`values` [h, w] or [h, w, C] at `places`, float32 [h, w, 2] as (x, y), linearly; beyond the border its nearest pixel."""
    nothing: Any = None  # the second half of places in fixed point
    return np.asarray(cv2.remap(values, places, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
