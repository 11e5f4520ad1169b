"""How still alphas are, frame by frame and steadied, on clips with known alphas.

python benchmarks/steady.py [training|photos] [--frames N] [--clips N] [--model MODEL] [--look DIR] [--write docs/video.md]

training  clips made of training masks: what the constants of `liftout.video.steady` were chosen on
photos    clips made of the 14 photos of alphamatting.com with true alphas: what is reported

Every clip shows one subject, which moves, turns, grows and bends, over a scene that moves another way, with noise, blur and the
compression of H.264. Needs `../shared/data`. --look writes frames and alphas side by side as pictures.

MAD    mean difference of alpha from the truth, of 0..1, in thousandths
dtSSD  root of the mean square by which changes from frame to frame differ from those of the truth (Erofeev et al. 2015,
       "Perceptually Motivated Benchmark for Video Matting", BMVC, doi:10.5244/C.29.99), of 0..1, in thousandths
trail  mean alpha where the subject was in one of the last three frames and is no more, in thousandths
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from benchmarks.pages import write_part
from liftout import Remover, graphs
from liftout.video.alphas import Matted, matted
from liftout.video.source import open_source
from liftout.video.steady import steadied

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
WIDTH, HEIGHT = 480, 320
NOISE = 4.0
"""Standard deviation of the noise, in levels."""
PERIOD = 48
"""Frames in which a subject goes there and back: no part of it moves by more than about 8 pixels a frame."""
TRAIL_FRAMES = 3


@dataclass
class Clip:
    """Frames as a film's decoder gives them, and the alphas that they were made with, float32 [H, W] of 0..1."""

    name: str
    frames: list[Any]
    truth: list[np.ndarray]


def main() -> int:
    """Print the tables; exit status 1 where the photos break the promise of the issue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="training, photos")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--clips", type=int, default=14)
    parser.add_argument("--model")
    parser.add_argument("--look", type=Path)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    if not (asked.data / "eval" / "alphamatting").is_dir():
        print(f"steady: {asked.data} does not hold eval/alphamatting; give --data", file=sys.stderr)
        return 3
    kept = True
    for kind in asked.kinds or ("training", "photos"):
        rows = {"frame by frame": [], "steady": []}
        with Remover(asked.model) as remover:
            for clip in clips(kind, asked.data, asked.clips, asked.frames):
                plain = list(matted(remover, clip.frames))
                steady = list(steadied(matted(remover, clip.frames, closer=True), 1.0))
                for name, found in (("frame by frame", plain), ("steady", steady)):
                    rows[name].append(scores([one.alpha for one in found], clip.truth))
                if asked.look:
                    look(asked.look, clip, plain, steady)
                print(f"  {clip.name:44}", *(np.round(rows[name][-1], 1) for name in rows), flush=True)
        lines = table(rows)
        print(f"{kind}, {len(rows['steady'])} clips of {asked.frames} frames", *lines, sep="\n")
        before, after = (np.mean(rows[name], axis=0) for name in rows)
        if kind == "photos":
            kept = bool(after[1] <= 0.6 * before[1] and after[0] <= before[0] and after[2] <= before[2])
            if asked.write:
                write_part(asked.write, "steady", lines)
    return 0 if kept else 1


def table(rows: dict[str, list[np.ndarray]]) -> list[str]:
    """Means over the clips, as lines of Markdown."""
    lines = ["| | MAD | dtSSD | trail |", "|---|---|---|---|"]
    for name, found in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in np.mean(found, axis=0)) + " |")
    return lines


def scores(alphas: list[np.ndarray], truth: list[np.ndarray]) -> np.ndarray:
    """MAD, dtSSD and trail of a clip, in thousandths. alphas: uint8 [H, W]."""
    found, true = np.stack(alphas).astype(np.float32) / 255, np.stack(truth)
    change = np.diff(found, axis=0) - np.diff(true, axis=0)
    left = []
    for index in range(1, len(true)):
        was = true[max(0, index - TRAIL_FRAMES) : index].max(axis=0) > 0.5
        gone = was & (true[index] < 0.02)
        if gone.any():
            left.append(float(found[index][gone].mean()))
    return 1000 * np.array(
        [
            np.abs(found - true).mean(),
            np.sqrt((change**2).mean(axis=(1, 2))).mean(),
            np.mean(left) if left else 0.0,
        ]
    )


def clips(kind: str, data: Path, count: int, frames: int) -> Iterator[Clip]:
    """Clips, the same ones at every call."""
    scenes = pictures(data / "more" / "no-subject.tar", ".photo.webp", count * 4, skip=0 if kind == "training" else 200)
    subjects = training_subjects(data, count) if kind == "training" else photo_subjects(data, count)
    for number, ((name, rgb, alpha), scene) in enumerate(zip(subjects, scenes[::4], strict=False)):
        yield made(name, rgb, alpha, scene, np.random.default_rng(number), frames)


def pictures(archive: Path, ending: str, count: int, skip: int = 0) -> list[np.ndarray]:
    """Some pictures of an archive, uint8 [H, W, 3]."""
    found = []
    with tarfile.open(archive) as tar:
        names = sorted(name for name in tar.getnames() if name.endswith(ending))
        for name in names[skip : skip + count]:
            with Image.open(io.BytesIO(tar.extractfile(name).read())) as image:
                found.append(np.asarray(image.convert("RGB")))
    return found


def training_subjects(data: Path, count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Photos whose mask is one clear subject that stays away from the border."""
    given = 0
    with tarfile.open(data / "train" / "train-2.tar") as tar:
        names = sorted(name for name in tar.getnames() if name.endswith(".alpha.webp"))
        for name in names[::17]:
            with Image.open(io.BytesIO(tar.extractfile(name).read())) as image:
                alpha = np.asarray(image.convert("L"))
            border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
            soft = ((alpha > 25) & (alpha < 230)).mean() / max((alpha > 128).mean(), 1e-3)
            if border.max() > 60 or not 0.06 < (alpha > 128).mean() < 0.45 or soft > 0.2:
                continue
            with Image.open(io.BytesIO(tar.extractfile(name.replace(".alpha.", ".photo.")).read())) as image:
                yield name.removesuffix(".alpha.webp")[:44], np.asarray(image.convert("RGB")), alpha
            given += 1
            if given == count:
                return


def photo_subjects(data: Path, count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The photos of alphamatting.com."""
    folder = data / "eval" / "alphamatting"
    for path in sorted((folder / "input").glob("*.png"))[:count]:
        with Image.open(path) as photo, Image.open(folder / "alpha" / path.name) as alpha:
            yield path.stem, np.asarray(photo.convert("RGB")), np.asarray(alpha.convert("L"))


def made(
    name: str, rgb: np.ndarray, alpha: np.ndarray, scene: np.ndarray, rng: np.random.Generator, frames: int
) -> Clip:
    """A clip of one subject over one scene."""
    rgba = graphs.cutout(np.ascontiguousarray(rgb), np.ascontiguousarray(alpha)).astype(np.float32)
    rgba[..., :3] *= rgba[..., 3:] / 255
    fit = 0.8 * min(WIDTH / rgb.shape[1], HEIGHT / rgb.shape[0])
    turn, grow, phase = rng.uniform(5, 14), rng.uniform(0.04, 0.12), rng.uniform(0, 2 * np.pi, 4)
    reach, bend, pan = rng.uniform(15, 45, 2), rng.uniform(2, 6), rng.uniform(-3.5, 3.5, 2)
    drawn, truth = [], []
    for index in range(frames):
        when = 2 * np.pi * index / PERIOD
        layer = warped(
            rgba,
            scale=fit * (1 + grow * np.sin(when + phase[0])),
            angle=turn * np.sin(when + phase[1]),
            shift=reach * (np.sin(when + phase[2]), 0.5 * np.sin(when + phase[3])),
            bend=bend * np.sin(2 * when + phase[0]),
        )
        behind = moved(scene, pan * index)
        opacity = layer[..., 3:] / 255
        picture = layer[..., :3] + behind * (1 - opacity)
        picture = cv2.GaussianBlur(picture, (0, 0), 0.7) + rng.normal(0, NOISE, picture.shape)
        drawn.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        truth.append(layer[..., 3] / np.float32(255))
    return Clip(name, compressed(drawn), truth)


def warped(
    rgba: np.ndarray, *, scale: float, angle: float, shift: np.ndarray | tuple[float, float], bend: float
) -> np.ndarray:
    """A layer of the frame's size: the subject turned about its middle, scaled, shifted, and bent by a wave of `bend` pixels."""
    matrix = cv2.getRotationMatrix2D((rgba.shape[1] / 2, rgba.shape[0] / 2), angle, scale)
    matrix[:, 2] += (WIDTH / 2 - rgba.shape[1] / 2 + shift[0], HEIGHT / 2 - rgba.shape[0] / 2 + shift[1])
    inverse = cv2.invertAffineTransform(matrix)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    columns = columns + np.float32(bend) * np.sin(rows * np.float32(2 * np.pi / 160))
    x = inverse[0, 0] * columns + inverse[0, 1] * rows + inverse[0, 2]
    y = inverse[1, 0] * columns + inverse[1, 1] * rows + inverse[1, 2]
    small = scale < 1
    source = cv2.GaussianBlur(rgba, (0, 0), 0.45 / scale) if small else rgba
    return cv2.remap(source, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)


def moved(scene: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The scene, larger than the frame, shifted."""
    scale = 1.4 * max(WIDTH / scene.shape[1], HEIGHT / scene.shape[0])
    matrix = np.float32([[scale, 0, shift[0] - 0.2 * WIDTH], [0, scale, shift[1] - 0.2 * HEIGHT]])
    return cv2.warpAffine(
        scene.astype(np.float32), matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def compressed(drawn: list[np.ndarray]) -> list[Any]:
    """The frames as a reader of films gives them after H.264."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=25, options={"crf": "25", "preset": "fast"})
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
            for index, picture in enumerate(drawn):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return list(open_source(path).frames())


def look(folder: Path, clip: Clip, plain: list[Matted], steady: list[Matted]) -> None:
    """Frame, truth, frame by frame and steady, side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(6, min(len(plain), 12)):
        greys = [np.rint(clip.truth[index] * 255).astype(np.uint8), plain[index].alpha, steady[index].alpha]
        row = np.concatenate([plain[index].frame.pixels, *(np.dstack([grey] * 3) for grey in greys)], axis=1)
        Image.fromarray(row).save(folder / f"{clip.name}-{index:02}.png")


if __name__ == "__main__":
    sys.exit(main())
