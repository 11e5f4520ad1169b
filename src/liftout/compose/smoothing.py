"""Smoothing: specks and notches go, and the edge becomes hard.

A grey opening by a cross of five pixels, a Gaussian of two pixels, and a threshold at one half: what rembg calls post-processing
of a mask. The Gaussian is cut off at four standard deviations and the photo is mirrored at its border, as scipy's
`gaussian_filter` does; sums are formed in its order, so that no pixel falls on the other side of the threshold.

Source: the behaviour of `post_process` in rembg 2.0.86. Until 2.0.67 rembg cut the Gaussian off at two pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]

_SIGMA = 2.0
_REACH = 8
"""Pixels on each side of the Gaussian's centre: four standard deviations."""
_HALF = 127
_STRIP_PIXELS = 250_000
"""So many pixels of float64 stay in a processor's cache."""


def smoothed(alpha: UInt8) -> UInt8:
    """A hard, smooth alpha, uint8 [H, W] of 0 and 255. alpha: uint8 [H, W]."""
    padded = np.pad(_opened(alpha), _REACH, mode="symmetric")
    weights = _gaussian()
    height, width = alpha.shape
    result = np.empty_like(alpha)
    rows = max(1, _STRIP_PIXELS // width)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        strip = padded[first : last + 2 * _REACH]
        if strip.min() > _HALF or strip.max() < _HALF:
            result[first:last] = 255 if strip[0, 0] > _HALF else 0
            continue
        blurred = _convolved(_convolved(strip.astype(np.float64), weights).T, weights).T
        result[first:last] = np.where(blurred < _HALF, 0, 255)
    return result


def _opened(alpha: UInt8) -> UInt8:
    """Grey opening: what is thinner than a cross of five pixels takes the level of its darker surroundings."""
    return _extreme(_extreme(alpha, np.minimum), np.maximum)


def _extreme(plane: UInt8, pick: np.ufunc) -> UInt8:
    """The least or greatest of each pixel and its four neighbours within the picture."""
    extreme = plane.copy()
    pick(extreme[1:], plane[:-1], out=extreme[1:])
    pick(extreme[:-1], plane[1:], out=extreme[:-1])
    pick(extreme[:, 1:], plane[:, :-1], out=extreme[:, 1:])
    pick(extreme[:, :-1], plane[:, 1:], out=extreme[:, :-1])
    return extreme


def _gaussian() -> Float64:
    """Weights of the centre and of the pixels at distance 1, 2, ... from it."""
    offsets = np.arange(-_REACH, _REACH + 1)
    weights = np.exp(-0.5 / (_SIGMA * _SIGMA) * offsets**2)
    return np.asarray((weights / weights.sum())[_REACH:])


def _convolved(plane: Float64, weights: Float64) -> Float64:
    """float64 [H, W] along its rows: [H - 2 * reach, W]. Pairs of equal distance are summed, the farthest first."""
    height = plane.shape[0] - 2 * _REACH
    total: Float64 = plane[_REACH : _REACH + height] * weights[0]
    for distance in range(_REACH, 0, -1):
        before = plane[_REACH - distance : _REACH - distance + height]
        after = plane[_REACH + distance : _REACH + distance + height]
        total += (before + after) * weights[distance]
    return total
