"""`liftout video` as a user runs it; the written files are read back by PyAV and Pillow."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from liftout.errors import ExtraMissing
from liftout.video import open as open_clip
from tests.command import liftout
from tests.video.clips import GREEN, RED, packets, read_rgba, scene, sounds, write_film

FRAMES = 8


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_film(
        tmp_path / "clip.mp4", [scene(index)[0] for index in range(FRAMES)], sound="aac", sound_seconds=0.32
    )


def cut(red: str, *arguments: object) -> int:
    return liftout("video", *arguments, "-m", red, "--quiet")


def check_cutouts(frames: list[tuple[float, np.ndarray]], *, tolerance: int = 14) -> None:
    """The disc is opaque red where it is in that frame, and nothing else is to be seen."""
    for index, (_, rgba) in enumerate(frames):
        inside = scene(index, rgba.shape[:2])[1]
        near = np.zeros_like(inside)
        near[2:-2, 2:-2] = inside[:-4, 2:-2] & inside[4:, 2:-2] & inside[2:-2, :-4] & inside[2:-2, 4:]
        far = ~(
            np.roll(inside, 3, 0) | np.roll(inside, -3, 0) | np.roll(inside, 3, 1) | np.roll(inside, -3, 1) | inside
        )
        assert near.sum() > 100 and far.sum() > 100
        assert rgba[near][:, 3].min() > 235 and rgba[far][:, 3].max() < 20
        assert np.abs(np.median(rgba[near][:, :3], axis=0) - RED).max() <= tolerance


def test_webm_holds_the_alpha_of_every_frame_and_the_sound(red: str, clip: Path) -> None:
    assert cut(red, clip) == 0
    out = clip.with_name("clip-cutout.webm")
    frames = read_rgba(out)
    assert [time for time, _ in frames] == pytest.approx([index / 25 for index in range(FRAMES)], abs=0.001)
    check_cutouts(frames)
    ((codec, seconds),) = sounds(out)
    assert codec == "opus" and seconds == pytest.approx(0.32, abs=0.06)
    assert sorted(path.name for path in clip.parent.iterdir() if path.name != "home") == [
        "clip-cutout.webm",
        "clip.mp4",
    ]


def test_mov_is_prores_4444_with_the_sound_copied(red: str, clip: Path) -> None:
    out = clip.with_suffix(".mov")
    assert cut(red, clip, "-o", out) == 0
    check_cutouts(read_rgba(out))
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.name == "prores"
        assert container.streams.video[0].codec_context.codec_tag == "ap4h"
    assert packets(out) == packets(clip)


def test_mp4_is_h264_over_a_background(red: str, clip: Path) -> None:
    out = clip.with_name("over.mp4")
    assert cut(red, clip, "-o", out, "--background", "#2040c0") == 0
    for index, (_, rgba) in enumerate(read_rgba(out)):
        assert np.abs(rgba[2, 60, :3].astype(int) - (0x20, 0x40, 0xC0)).max() <= 3
        assert np.abs(rgba[24, 16 + 2 * index, :3].astype(int) - RED).max() <= 6
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert packets(out) == packets(clip)


def test_mp4_without_a_background_is_white_and_says_so(
    red: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = clip.with_name("white.mp4")
    assert liftout("video", clip, "-o", out, "-m", red) == 0
    assert "placed over white" in capsys.readouterr().err
    assert read_rgba(out)[3][1][2, 60, :3].min() >= 252


def test_a_film_is_a_background_too_and_begins_again(red: str, clip: Path, tmp_path: Path) -> None:
    levels = [30, 90, 150, 210]
    behind = write_film(tmp_path / "behind.mkv", [np.full((48, 64, 3), level, np.uint8) for level in levels])
    out = clip.with_name("over.mp4")
    assert cut(red, clip, "-o", out, "--background", behind) == 0
    found = [int(rgba[2, 60, 0]) for _, rgba in read_rgba(out)]
    assert found == pytest.approx([*levels, *levels], abs=3)


def test_a_picture_and_a_blur_are_backgrounds(red: str, clip: Path, tmp_path: Path) -> None:
    Image.new("RGB", (30, 30), (250, 200, 10)).save(tmp_path / "behind.png")
    for background, expected in ((tmp_path / "behind.png", (250, 200, 10)), ("blur", GREEN)):
        out = clip.with_name("over.mp4")
        assert cut(red, clip, "-o", out, "--background", background, "--overwrite") == 0
        assert np.abs(read_rgba(out)[0][1][2, 60, :3].astype(int) - expected).max() <= 4


def test_a_folder_takes_one_png_for_each_frame(red: str, clip: Path) -> None:
    out = clip.with_name("frames")
    assert cut(red, clip, "-o", f"{out}/") == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"{number:05}.png" for number in range(1, FRAMES + 1)]
    check_cutouts([(0, np.asarray(Image.open(out / name).convert("RGBA"))) for name in names])


@pytest.mark.parametrize("suffix", ["gif", "webp", pytest.param("png", marks=pytest.mark.long)])
def test_animated_pictures_are_written_and_read(red: str, clip: Path, suffix: str) -> None:
    first = clip.with_name(f"first.{suffix}")
    assert cut(red, clip, "-o", first) == 0
    with Image.open(first) as image:
        assert image.n_frames == FRAMES and image.info["loop"] == 0
        frames, durations = [], []
        for index in range(FRAMES):
            image.seek(index)
            frames.append((0.0, np.asarray(image.convert("RGBA"))))
            durations.append(image.info["duration"])
        assert durations[:-1] == [40] * (FRAMES - 1)
    check_cutouts(frames, tolerance=25)
    again = clip.with_name("again.webm")
    assert cut(red, first, "-o", again) == 0
    frames = read_rgba(again)
    assert [time for time, _ in frames] == pytest.approx([index / 25 for index in range(FRAMES)], abs=0.001)
    check_cutouts(frames, tolerance=25)


def test_mask_and_fill_are_what_editors_put_together(red: str, clip: Path) -> None:
    assert cut(red, clip, "--mask") == 0
    assert cut(red, clip, "--fill") == 0
    masks, fills = read_rgba(clip.with_name("clip-mask.webm")), read_rgba(clip.with_name("clip-fill.webm"))
    assert len(masks) == len(fills) == FRAMES
    joined = [
        (time, np.dstack([fill[..., :3], mask[..., 0]])) for (time, fill), (_, mask) in zip(fills, masks, strict=True)
    ]
    check_cutouts(joined)
    mask = masks[0][1]
    assert np.ptp(mask[..., :3].astype(int), axis=2).max() <= 3  # grey


def test_times_of_a_variable_rate_are_kept(red: str, tmp_path: Path) -> None:
    times = [0, 40, 90, 91, 300, 301, 777]
    pictures = [scene(index)[0] for index in range(len(times))]
    clip = write_film(tmp_path / "clip.mkv", pictures, times=times, time_base=Fraction(1, 1000))
    for name in ("out.webm", "out.mp4", "out.mov"):
        assert cut(red, clip, "-o", tmp_path / name) == 0
        assert [round(time * 1000) for time, _ in read_rgba(tmp_path / name)] == times, name


@pytest.mark.parametrize("rotation", [90, *(pytest.param(turn, marks=pytest.mark.long) for turn in (180, 270))])
def test_a_rotation_flag_turns_the_frames(red: str, tmp_path: Path, rotation: int) -> None:
    upright = [scene(index)[0] for index in range(3)]
    lying = [np.rot90(picture, -rotation // 90) for picture in upright]
    clip = write_film(tmp_path / "clip.mp4", lying, rotation=rotation)
    with av.open(str(clip)) as container:
        assert (
            next(container.decode(video=0)).rotation % 360 == rotation
        )  # turned to the left, as in FFmpeg's display.h
    assert cut(red, clip) == 0
    frames = read_rgba(tmp_path / "clip-cutout.webm")
    assert frames[0][1].shape == (48, 64, 4)
    check_cutouts(frames)


@pytest.mark.parametrize("name", ["out.webm", "out.mov", "out.mp4", "out.gif"])
def test_odd_sizes(red: str, tmp_path: Path, name: str) -> None:
    clip = write_film(tmp_path / "clip.mkv", [scene(index, (47, 63))[0] for index in range(3)])
    assert cut(red, clip, "-o", tmp_path / name, *(("--background", "blue") if name.endswith("mp4") else ())) == 0
    rgba = read_rgba(tmp_path / name)[0][1]
    assert rgba.shape[:2] == ((48, 64) if name.endswith("mp4") else (47, 63))


def test_start_end_fps_and_size(red: str, tmp_path: Path) -> None:
    clip = write_film(
        tmp_path / "clip.mp4",
        [scene(index)[0] for index in range(25)],
        sound="aac",
        sound_seconds=1.0,
        time_base=Fraction(1, 25),
    )
    out = tmp_path / "part.webm"
    assert cut(red, clip, "-o", out, "--start", "0.2", "--end", "0:00.6", "--fps", 10, "--size", "32x") == 0
    frames = read_rgba(out)
    assert [round(time, 3) for time, _ in frames] == [0, 0.1, 0.2, 0.3]
    assert frames[0][1].shape == (24, 32, 4)
    for number, (_, rgba) in enumerate(frames):  # what is shown at 0.2, 0.3, 0.4 and 0.5 s
        middle = (rgba[..., 3] > 128)[12].nonzero()[0].mean()
        assert middle == pytest.approx((16 + 2 * [5, 7, 10, 12][number]) / 2, abs=0.8)
    assert sounds(out)[0][1] == pytest.approx(0.4, abs=0.06)


def test_a_film_that_was_cut_short_is_finished_as_far_as_it_goes(
    red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(scene(index)[0] + rng.integers(-9, 9, (48, 64, 3)), 0, 255).astype(np.uint8) for index in range(40)
    ]
    whole = write_film(tmp_path / "whole.mkv", noisy)
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert cut(red, clip) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "ends early" in said[0] and "clip-cutout.webm" in said[0]
    assert 8 < len(read_rgba(tmp_path / "clip-cutout.webm")) < 35


def test_damage_in_the_middle_costs_only_the_frames_it_hits(
    red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_film(
        tmp_path / "clip.mov", [scene(index)[0] for index in range(12)], codec="prores_ks", pixel_format="yuv422p10le"
    )
    content = bytearray(clip.read_bytes())
    at = [place for place in range(len(content)) if content[place : place + 4] == b"icpf"][5]
    content[at : at + 40] = bytes(40)
    clip.write_bytes(content)
    assert cut(red, clip) == 1
    assert "1 of its frames are damaged" in capsys.readouterr().err
    assert len(read_rgba(tmp_path / "clip-cutout.webm")) == 11


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "not a film"), (b"nothing of the kind" * 50, "not a film"), (None, "no such file")]
)
def test_what_is_no_film_is_one_line(
    red: str, tmp_path: Path, content: bytes | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    if content is not None:
        clip.write_bytes(content)
    assert cut(red, clip) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and says in said[0]
    assert not list(tmp_path.glob("*webm*")) and not list(tmp_path.glob(".*"))


def test_sound_alone_is_no_film(red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_film(tmp_path / "whole.mkv", [scene(0)[0]], sound="libopus")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "sound.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert cut(red, tmp_path / "sound.mkv") == 1
    assert "no moving picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--start", "x"), "is not a time"), (("--start", "2", "--end", "1"), "not after the start"), (("--size", "big"), "is not a size"),
        (("--bitrate", "much"), "is not a bitrate"), (("--mask", "--fill"), "another film than the mask"), (("--steady", "2"), "steady"),
        (("-o", "x.avi"), "not a kind of clip"), (("--background", "nowhere.jpg"), "neither a colour nor a file"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_wrong_usage(
    red: str, clip: Path, options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cut(red, clip, *options) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in clip.parent.iterdir() if path.name != "home"] == ["clip.mp4"]


def test_an_existing_file_stays_unless_overwriting_was_asked_for(
    red: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = clip.with_name("clip-cutout.webm")
    out.write_bytes(b"mine")
    assert cut(red, clip) == 1
    assert "--overwrite" in capsys.readouterr().err and out.read_bytes() == b"mine"
    assert cut(red, clip, "--overwrite") == 0
    assert len(read_rgba(out)) == FRAMES
    assert cut(red, clip, "-o", clip, "--overwrite") == 1
    assert "would replace what it is made of" in capsys.readouterr().err


def test_json_tells_what_was_written(red: str, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("video", clip, "-m", red, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == FRAMES and report["model"] == "red" and (report["width"], report["height"]) == (64, 48)
    assert report["output"] == str(clip.with_name("clip-cutout.webm"))


def test_without_the_extra_one_line_says_what_to_install(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert liftout("video", clip) == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "pip install 'liftout[video]'" in said[0]
    with pytest.raises(ExtraMissing, match="video"), open_clip(clip):
        pass


def test_quality_and_bitrate_change_the_size_of_the_file(red: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(scene(index)[0] + rng.integers(-25, 25, (48, 64, 3)), 0, 255).astype(np.uint8) for index in range(4)
    ]
    clip = write_film(tmp_path / "clip.mkv", noisy)
    sizes = []
    for options in (("--quality", 20), ("--quality", 95), ("--bitrate", "20k")):
        assert cut(red, clip, "-o", tmp_path / "out.mp4", "--background", "blur", "--overwrite", *options) == 0
        sizes.append((tmp_path / "out.mp4").stat().st_size)
    assert sizes[0] < sizes[1] and sizes[2] < sizes[1]
