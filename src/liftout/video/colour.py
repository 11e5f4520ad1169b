"""Between the frames of a film and RGB: with the film's own matrix and range, and without the shortcuts of fast scalers.

RGB keeps the primaries and the transfer of the film: the matrix is undone, nothing else. What is written carries the same matrix,
primaries and transfer, so colours pass through as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation

UInt8 = npt.NDArray[np.uint8]

_EXACT = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_LIMITED, _FULL = 1, 2
_RGB, _BT709, _UNKNOWN, _FCC, _BT601, _SMPTE170M, _SMPTE240M, _BT2020, _BT2020_CL = 0, 1, 2, 4, 5, 6, 7, 9, 10
"""ITU-T H.273, table 4: MatrixCoefficients; so are primaries and transfer below."""
_UNSPECIFIED = 2
_USUAL = {_SMPTE170M: (6, 6), _BT2020: (9, 14)}
"""Primaries and transfer of a matrix, where they are not BT.709's."""
_HD_WIDTH, _HD_HEIGHT = 1280, 576
"""From more than this height or this width, a film that names no matrix has BT.709's, as players assume."""


@dataclass(frozen=True)
class Colours:
    """How a film's numbers mean colours, by the code points of ITU-T H.273."""

    matrix: int = _BT709
    primaries: int = _BT709
    transfer: int = _BT709


def colours_of(frame: av.VideoFrame) -> Colours:
    """The colours of a frame; of one that does not say, those that players assume for its size."""
    matrix = int(frame.colorspace)
    if matrix in (_RGB, _UNKNOWN):
        matrix = matrix_for(frame.width, frame.height)
    elif matrix in (_BT601, _FCC):
        matrix = _SMPTE170M  # the same coefficients
    elif matrix == _BT2020_CL:
        matrix = _BT2020
    usual = usual_colours(matrix)
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    return Colours(
        matrix,
        usual.primaries if primaries == _UNSPECIFIED else primaries,
        usual.transfer if transfer == _UNSPECIFIED else transfer,
    )


def usual_colours(matrix: int) -> Colours:
    """The primaries and the transfer that go with a matrix."""
    return Colours(matrix, *_USUAL.get(matrix, (_BT709, _BT709)))


def matrix_for(width: int, height: int) -> int:
    """The matrix that players assume for a film of this size that names none."""
    return _BT709 if height > _HD_HEIGHT or width >= _HD_WIDTH else _SMPTE170M


def to_rgb(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> tuple[UInt8, UInt8 | None]:
    """RGB, uint8 [H, W, 3], and alpha, uint8 [H, W], or None where the frame has none.

    size: [height, width] of the result; by default that of the frame.
    """
    has_alpha = any(component.is_alpha for component in frame.format.components)
    height, width = size or (frame.height, frame.width)
    matrix = colours_of(frame).matrix
    full = frame.format.is_rgb or frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    pixels: Any = frame.reformat(
        width=width,
        height=height,
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        interpolation=_EXACT,
        src_color_range=_FULL if full else _LIMITED,
        dst_color_range=_FULL,
    ).to_ndarray()
    if not has_alpha:
        return pixels, None
    return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])


def to_frame(pixels: UInt8, pixel_format: str, colours: Colours) -> av.VideoFrame:
    """A frame in an encoder's format, in limited range unless that format is RGB or grey.

    pixels: uint8 [H, W] (grey), [H, W, 3] or [H, W, 4], straight alpha.
    """
    layout = "gray" if pixels.ndim == 2 else "rgb24" if pixels.shape[2] == 3 else "rgba"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), layout)
    if layout == pixel_format:
        return frame
    full = av.VideoFormat(pixel_format).is_rgb
    return frame.reformat(
        format=pixel_format,
        src_colorspace=colours.matrix,
        dst_colorspace=colours.matrix,
        interpolation=_EXACT,
        src_color_range=_FULL,
        dst_color_range=_FULL if full else _LIMITED,
    )


def tag(encoder: Any, colours: Colours) -> None:
    """Write into a codec context, whose frames come from `to_frame`, what its numbers mean."""
    encoder.colorspace = colours.matrix
    encoder.color_primaries = colours.primaries
    encoder.color_trc = colours.transfer
    encoder.color_range = _LIMITED
