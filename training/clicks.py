"""Measure points and boxes with simulated users: `python -m training.clicks`.

Through the package as it ships, at the photos' own size. On the 200 ECSSD photos: mean IoU of the automatic alpha, and after 1, 3 and 5
clicks that correct it, each in the middle of the largest wrong region; how many clicks bring IoU to .90, at most 20; how many photos the first
click makes worse; a box alone. On scenes with two subjects, composed of photos that nothing was trained on: the one that was
clicked on, alone. `--model NAME` measures another model with its edges beside it; `--choosing` takes the photos and scenes to choose by.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout import Remover
from training.evaluate import ecssd
from training.photos import DATA, RUNS
from training.points.scenes import Scenes
from training.points.simulate import box_around, largest_error, middle, overlap
from training.targets import open_targets

UInt8Array = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

MOST_CLICKS = 20
REACHED = 0.90
SHOWN = (1, 3, 5)
SCENES = 100
SEED = 2024


@dataclass(frozen=True)
class Example:
    """pixels: uint8 [H, W, 3]. truth: bool [H, W]."""

    pixels: UInt8Array
    truth: Bool


@dataclass(frozen=True)
class Corrected:
    """IoU of the automatic alpha and after each click; the list ends after SHOWN where REACHED is reached."""

    ious: list[float]

    def after(self, clicks: int) -> float:
        return self.ious[min(clicks, len(self.ious) - 1)]

    @property
    def needed(self) -> int:
        """Clicks until REACHED, at most MOST_CLICKS."""
        return next((count for count, iou in enumerate(self.ious) if iou >= REACHED), MOST_CLICKS)


def correct(remover: Remover, example: Example) -> Corrected:
    """Click until REACHED, and at least as often as SHOWN asks for."""
    alpha = remover(example.pixels).alpha
    said: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    ious = [overlap(alpha >= 128, example.truth)]
    while len(ious) <= MOST_CLICKS and (len(ious) <= max(SHOWN) or max(ious) < REACHED):
        region, keep = largest_error(alpha >= 128, example.truth)
        if not region.any():
            break
        said[keep].append(middle(region))
        alpha = remover(example.pixels, keep=said[True], drop=said[False], start=alpha).alpha
        ious.append(overlap(alpha >= 128, example.truth))
    return Corrected(ious)


def selected(remover: Remover, example: Example) -> float:
    """IoU of what one click in its middle selects."""
    return overlap(remover(example.pixels, keep=[middle(example.truth)]).alpha >= 128, example.truth)


def boxed(remover: Remover, example: Example) -> float:
    """IoU of what the box around it gives."""
    return overlap(remover(example.pixels, box=box_around(example.truth)).alpha >= 128, example.truth)


def photos(every: int) -> Iterator[Example]:
    for photo, mask in ecssd()[::every]:
        truth = np.asarray(Image.open(mask).convert("L")) > 128
        yield Example(np.asarray(Image.open(photo).convert("RGB")), truth)


def scenes(folder: Path, count: int) -> Iterator[Example]:
    """Scenes with exactly two subjects, of which one is wanted."""
    drawn, number, found = Scenes(open_targets(folder / "photos", folder / "teacher"), choosing=True), 0, 0
    while found < count:
        scene, number = drawn.draw(SEED, number, 1.0), number + 1
        subjects = [_enlarged(subject) > 0.5 for subject in scene.subjects]
        if len(subjects) == 2 and all(subject.mean() > 0.01 for subject in subjects):
            yield Example(scene.pixels, subjects[found % 2])
            found += 1


def choosing(folder: Path, count: int) -> Iterator[Example]:
    """Photos to choose by, with the alpha that is known of them."""
    drawn = Scenes(open_targets(folder / "photos", folder / "teacher"), choosing=True)
    for name in drawn.photos[:: max(1, len(drawn.photos) // count)]:
        scene = drawn.photo(name)
        truth = _enlarged(scene.subjects[0]) > 0.5
        if truth.mean() > 0.01:
            yield Example(scene.pixels, truth)


def _enlarged(alpha: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(
        Image.fromarray(alpha).resize((2 * alpha.shape[1], 2 * alpha.shape[0]), Image.Resampling.BILINEAR)
    )


def report(remover: Remover, examples: list[Example], two: list[Example]) -> Iterator[tuple[str, str]]:
    """Lines of the table, each as soon as it is known."""
    results = [correct(remover, example) for example in examples]
    yield "mean IoU, automatic", f"{np.mean([r.ious[0] for r in results]):.4f}"
    for count in SHOWN:
        yield f"mean IoU after {count} click{'s' * (count > 1)}", f"{np.mean([r.after(count) for r in results]):.4f}"
    yield f"clicks until IoU {REACHED:.2f}", f"{np.mean([r.needed for r in results]):.2f}"
    worse = [r.after(1) < r.ious[0] for r in results]
    clearly = [r.after(1) < r.ious[0] - 0.005 for r in results]
    yield "worse after the first click", f"{np.mean(worse):.1%} (by more than .005: {np.mean(clearly):.1%})"
    yield "one click without a start", f"{np.mean([selected(remover, example) for example in examples]):.4f}"
    yield "a box alone", f"{np.mean([boxed(remover, example) for example in examples]):.4f}"
    if two:
        yield "two subjects, the clicked one", f"{np.mean([selected(remover, example) for example in two]):.4f}"
        yield "two subjects, the boxed one", f"{np.mean([boxed(remover, example) for example in two]):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="pocket", help="whose automatic alpha is corrected, and whose edges are taken"
    )
    parser.add_argument("--choosing", action="store_true", help="on the photos and scenes to choose by")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th photo")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--edges", choices=("auto", "plain"), default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=RUNS)
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"no {DATA}")
    examples = list(choosing(options.runs, 60) if options.choosing else photos(options.every))
    two = list(scenes(options.runs, options.scenes)) if options.scenes else []
    print(f"{len(examples)} photos, {len(two)} scenes with two subjects, {options.model}, edges {options.edges}")
    with Remover(options.model, edges=options.edges, threads=options.threads) as remover:
        for name, figure in report(remover, examples, two):
            print(f"{name:34}{figure}", flush=True)


if __name__ == "__main__":
    main()
