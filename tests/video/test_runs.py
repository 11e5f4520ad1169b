"""Runs that are watched, interrupted, killed, resumed; pipes; Python."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest

import liftout.video
from liftout.options import ResultOptions, VideoOptions
from liftout.remover import Remover
from liftout.video import write as writing
from liftout.video.alphas import matted
from liftout.video.clip import Clip
from liftout.video.frame import Frame
from liftout.video.raw import RawSource
from liftout.video.source import Facts
from tests.command import liftout as command
from tests.terminal import on_terminal
from tests.video.clips import RED, packets, read_rgba, scene, write_film

LENGTH = 100
posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def noisy(index: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    noise = np.random.default_rng(index).integers(-20, 20, (*size, 3))
    return np.clip(scene(index % 16, size)[0] + noise, 0, 255).astype(np.uint8)


def start(*arguments: object, stdin: int | None = None) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "liftout", "video", *map(str, arguments)]
    return subprocess.Popen(line, stdin=stdin, stderr=subprocess.PIPE)


def wait_for_parts(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while len(list(folder.glob(".*.parts/*.json"))) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """A frame a second, in parts of five seconds; long enough that a signal still meets the run."""
    (tmp_path / "clips").mkdir()
    pictures = [noisy(index) for index in range(LENGTH)]
    return write_film(tmp_path / "clips/clip.mkv", pictures, time_base=Fraction(1), rate=1)


@posix
@pytest.mark.parametrize(
    "name", ["out.webm", *(pytest.param(name, marks=pytest.mark.long) for name in ("out.mp4", "out.mov", "frames"))]
)
def test_a_killed_run_goes_on_where_it_was_and_loses_nothing(red: str, long_clip: Path, name: str) -> None:
    folder = long_clip.parent
    whole, out = folder / f"whole{Path(name).suffix}", folder / name
    assert command("video", long_clip, "-o", whole, "-m", red, "--quiet") == 0
    process = start(long_clip, "-o", out, "-m", red)
    wait_for_parts(folder, 3, process)
    process.kill()
    process.communicate()
    assert not out.exists()
    again = subprocess.run(
        [sys.executable, "-m", "liftout", "video", long_clip, "-o", out, "-m", red, "--json"],
        capture_output=True,
        check=True,
    )
    report = json.loads(again.stdout)
    assert report["frames"] == LENGTH and report["resumed"] >= 15
    if name == "frames":
        assert [path.name for path in sorted(out.iterdir())] == [path.name for path in sorted(whole.iterdir())]
        assert all(path.read_bytes() == (whole / path.name).read_bytes() for path in out.iterdir())
    else:
        assert packets(out, "video") == packets(whole, "video")
        assert [time for time, _ in read_rgba(out)] == [time for time, _ in read_rgba(whole)]
    assert not list(folder.glob(".*"))


@posix
def test_ctrl_c_leaves_no_half_file_and_other_options_begin_anew(red: str, long_clip: Path) -> None:
    out = long_clip.with_name("out.webm")
    process = start(long_clip, "-o", out, "-m", red)
    wait_for_parts(long_clip.parent, 1, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again" in said and b"Traceback" not in said
    assert not out.exists()
    assert command("video", long_clip, "-o", out, "-m", red, "--mask", "--quiet") == 0
    assert len(read_rgba(out)) == LENGTH
    assert not list(long_clip.parent.glob(".*"))


@posix
def test_a_picture_that_is_interrupted_leaves_nothing(red: str, tmp_path: Path) -> None:
    line = ["-", "--raw", "64x48", "-o", tmp_path / "out.gif", "-m", red]
    with start(*line, stdin=subprocess.PIPE) as process:
        assert process.stdin
        for index in range(16):
            process.stdin.write(noisy(index).tobytes())
        process.stdin.flush()  # it stays open: the run waits for more
        until = time.monotonic() + 60
        while not list(tmp_path.glob(".*.parts/*.part")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.terminate()
        process.wait(timeout=60)
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())


def test_a_terminal_shows_the_rate_and_the_time_left(red: str, long_clip: Path) -> None:
    status, lines, written = on_terminal("video", long_clip, "-m", red, "--end", 20)
    assert status == 0
    assert "20 frames" in lines[-1] and "a second" in lines[-1]
    assert "/20" in written and "/s" in written and " left" in written


def test_frames_without_a_change_are_computed_once(remover: Remover) -> None:
    pictures = [0, 0, 0, 1, 1, 0, 2, 2, 2, 2]
    runs = []
    network = remover._network
    run = network.run
    network.run = lambda tensor: runs.append(1) or run(tensor)  # type: ignore[method-assign]
    frames = [Frame(scene(index)[0], None, Fraction(at, 25), Fraction(at, 25)) for at, index in enumerate(pictures)]
    found = list(matted(remover, frames))
    assert len(runs) == 4
    assert [one.frame.time for one in found] == [frame.time for frame in frames]
    for index, one in zip(pictures, found, strict=True):
        assert one.alpha[24, 16 + 2 * index] == 255 and one.alpha[2, 2] == 0
    assert found[0].alpha is found[2].alpha and found[6].alpha is found[9].alpha


class Endless:
    """A source of many frames that are made when they are asked for, and counts those that are still somewhere."""

    def __init__(self, count: int) -> None:
        self.path, self.damage, self.count = None, "", count
        self.facts = Facts(size=(48, 64), time_base=Fraction(1, 25), rate=Fraction(25), frames=count)
        self.alive: set[int] = set()
        self.most = 0

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        for index in range(self.count):
            pixels = noisy(index)
            self.alive.add(index)
            weakref.finalize(pixels, self.alive.discard, index)
            self.most = max(self.most, len(self.alive))
            yield Frame(pixels, None, Fraction(index, 25), Fraction(index, 25))

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("name", ["out.webm", pytest.param("out.mp4", marks=pytest.mark.long)])
def test_a_bounded_number_of_frames_is_in_memory(remover: Remover, tmp_path: Path, name: str) -> None:
    source = Endless(90)
    clip = Clip(source, remover, VideoOptions())
    written = writing.write(clip, tmp_path / name, ResultOptions(), identity="0" * 16)
    assert written.frames == 90
    assert source.most <= 40


@pytest.mark.long
def test_memory_does_not_grow_over_10_000_frames(remover: Remover, tmp_path: Path) -> None:
    held: list[int] = []
    process, count = psutil.Process(), 0

    def advance() -> None:
        nonlocal count
        count += 1
        if count % 1000 == 0:
            held.append(process.memory_info().rss)

    clip = Clip(Endless(10_000), remover, VideoOptions())
    writing.write(clip, tmp_path / "out.webm", ResultOptions(), identity="0" * 16, advance=advance)
    assert max(held) - held[1] < 40_000_000, held


def test_python_gives_alphas_and_times(red: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / "clip.mp4", [scene(index)[0] for index in range(6)])
    with liftout.video.open(path, red, start=0.08) as clip:
        frames = list(clip.cut())
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12])
    for index, frame in enumerate(frames, start=2):
        assert frame.alpha.shape == (48, 64) and frame.alpha[24, 16 + 2 * index] == 255
        assert np.abs(frame.rgba[24, 16 + 2 * index, :3].astype(int) - RED).max() < 6
        assert frame.cutout.box is not None


def test_an_iteration_that_stops_early_leaves_no_thread(red: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / "clip.mp4", [noisy(index) for index in range(40)])
    before = threading.active_count()
    with liftout.video.open(path, red) as clip:
        frames = clip.cut()
        next(frames)
        frames.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize(("pixel", "channels"), [("bgr24", 3), pytest.param("rgba", 4, marks=pytest.mark.long)])
def test_raw_frames_go_through_pipes(red: str, pixel: str, channels: int) -> None:
    frames = [scene(index)[0] for index in range(5)]
    shown = [frame[..., ::-1] if pixel == "bgr24" else frame for frame in frames]
    if channels == 4:
        shown = [np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)]) for frame in shown]
    content = b"".join(np.ascontiguousarray(frame).tobytes() for frame in shown)
    line = [sys.executable, "-m", "liftout", "video", "-", "--raw", "64x48", "--pixel", pixel, "-m", red, "-q"]
    done = subprocess.run(line, input=content, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = np.frombuffer(done.stdout, np.uint8).reshape(5, 48, 64, 4)
    for index, rgba in enumerate(found):
        assert tuple(rgba[24, 16 + 2 * index]) == (*RED, 255) and rgba[2, 2, 3] == 0


def test_raw_frames_that_end_early_give_those_that_are_whole(remover: Remover) -> None:
    source = RawSource(io.BytesIO(scene(0)[0].tobytes() * 2 + b"part"), (48, 64))
    clip, written = Clip(source, remover, VideoOptions()), io.BytesIO()
    assert writing.write_raw(clip, written, ResultOptions()) == 2
    assert "ends in the middle of frame 3" in clip.damage
    assert len(written.getvalue()) == 2 * 48 * 64 * 4


def test_raw_frames_need_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("video", "-") == 2
    assert "--raw WIDTHxHEIGHT" in capsys.readouterr().err
