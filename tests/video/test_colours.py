"""A colour chart through matrices, ranges and depths."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from liftout.video.colour import Colours, colours_of, to_frame, to_rgb, usual_colours
from liftout.video.source import open_source
from tests.command import liftout
from tests.video.clips import UInt8, read_rgba

# Kr and Kb of ITU-R BT.709, BT.601 and BT.2020, by their code points in ITU-T H.273.
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
PATCH = 8


def chart() -> UInt8:
    colours = np.random.default_rng(0).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    colours[0, :8] = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    return colours.repeat(PATCH, 0).repeat(PATCH, 1)


def by_definition(rgb: UInt8, matrix: int, *, full: bool, bits: int) -> list[np.ndarray]:
    """Y', Cb and Cr as the standards define them (BT.709, item 3.4 and 3.5)."""
    kr, kb = LUMA[matrix]
    red, green, blue = (rgb[..., channel] / 255 for channel in range(3))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    scale, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        planes = [luma * top, cb * top + 128 * scale, cr * top + 128 * scale]
    else:
        planes = [(16 + 219 * luma) * scale, (128 + 224 * cb) * scale, (128 + 224 * cr) * scale]
    return [np.clip(np.rint(plane), 0, top).astype(np.uint16 if bits > 8 else np.uint8) for plane in planes]


def frame_of(rgb: UInt8, matrix: int, *, full: bool, pixel_format: str) -> av.VideoFrame:
    bits = 10 if "10" in pixel_format else 8
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pixel_format)
    planes = by_definition(rgb, matrix, full=full, bits=bits)
    if "420" in pixel_format:
        planes[1:] = [plane[::2, ::2] for plane in planes[1:]]
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, values.dtype).reshape(values.shape[0], -1).copy()
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p", "yuv420p10le"])
def test_a_chart_is_read_within_2_levels(matrix: int, full: bool, pixel_format: str) -> None:
    frame = frame_of(chart(), matrix, full=full, pixel_format=pixel_format)
    found, alpha = to_rgb(frame)
    middles = (slice(PATCH // 2, None, PATCH),) * 2
    assert alpha is None and colours_of(frame).matrix == matrix
    assert np.abs(found.astype(int) - chart())[middles].max() <= 2


@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le"])
def test_a_chart_is_written_within_a_level_of_the_standards(matrix: int, pixel_format: str) -> None:
    bits = 10 if "10" in pixel_format else 8
    frame = to_frame(chart(), pixel_format, usual_colours(matrix))
    for plane, expected in zip(frame.planes, by_definition(chart(), matrix, full=False, bits=bits), strict=True):
        found = np.frombuffer(plane, expected.dtype).reshape(expected.shape[0], -1)[:, : expected.shape[1]]
        assert np.abs(found.astype(int) - expected).max() <= 2 ** (bits - 8)


@pytest.mark.parametrize(
    ("matrix", "full"),
    [
        (9, True),
        (6, False),
        *(pytest.param(*case, marks=pytest.mark.long) for case in ((1, False), (1, True), (6, True), (9, False))),
    ],
)
def test_a_chart_passes_from_film_to_film(red: str, tmp_path: Path, matrix: int, full: bool) -> None:
    source, out = tmp_path / "chart.mkv", tmp_path / "chart.mov"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *chart().shape[:2], "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        for index in range(2):
            frame = frame_of(chart(), matrix, full=full, pixel_format="yuv444p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert open_source(source).facts.colours.matrix == matrix
    assert liftout("video", source, "-o", out, "-m", red, "--fill", "--edges", "plain", "--quiet") == 0
    with av.open(str(out)) as container:
        assert container.streams.video[0].colorspace == matrix
        written, _ = to_rgb(next(container.decode(video=0)))
    shown = read_alpha(red, source, tmp_path) == 255
    middles = np.zeros_like(shown)
    middles[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH] = True
    assert (shown & middles).sum() > 5
    error = np.abs(written.astype(int) - chart())[shown & middles]
    assert (
        error.mean() <= 2 and error.max() <= 8
    )  # ProRes loses a little beside hard edges; another matrix misses by 20


def read_alpha(red: str, source: Path, folder: Path) -> UInt8:
    out = folder / "alpha.png"
    assert liftout("video", source, "-o", out, "-m", red, "--mask", "--edges", "plain", "--quiet") == 0
    return read_rgba(out)[0][1][..., 0]


def test_a_film_that_names_no_matrix_has_that_of_its_size() -> None:
    for (width, height), matrix in {(1280, 720): 1, (640, 480): 6, (720, 576): 6, (1920, 1080): 1}.items():
        assert colours_of(av.VideoFrame(width, height, "yuv420p")) == usual_colours(matrix)
    assert Colours() == usual_colours(1)
