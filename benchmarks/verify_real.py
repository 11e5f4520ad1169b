"""The real published files against alphas that rembg stored with the same weights.

python benchmarks/verify_real.py [NAME...] [--fixtures DIR]     needs the network, 6 GB of disk, 10 GB of memory

For each model: its published ONNX file is fetched and run with the catalogue's facts on four photos, and the alpha compared
with what rembg stored. Where the extra `convert` is installed and the checkpoint has an address, that is fetched, converted
and compared with the published file as well; a wrong patch order of a BiRefNet shows there. rmbg-1.4 has no stored alphas: of it
only the conversion is compared with its authors' own ONNX file. Its licence allows non-commercial use only; naming it, or none, accepts that.

rembg prepares photos otherwise (Lanczos, division by the maximum, always min-max), so that agreement is close, not exact; for
isnet-anime and u2net_cloth_seg its pipeline is so different that the figures are shown without a bar.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout import graphs
from liftout.cli.progress import shown
from liftout.engines import open_network
from liftout.errors import LiftoutError, ModelUnavailable
from liftout.images import decode
from liftout.loading import converter
from liftout.models.catalog import find
from liftout.models.download import fetch, sources_of
from liftout.models.local import ResolvedModel, from_onnx
from liftout.models.resolve import resolve
from liftout.models.spec import ModelSpec
from liftout.progress import Progress

ROOT = Path(__file__).parent.parent
PHOTOS = ("anime-girl-1", "car-1", "cloth-1", "plants-1")
MODELS = (
    "rmbg-1.4", "u2netp", "u2net", "u2net_human_seg", "silueta", "isnet-general-use", "isnet-anime", "u2net_cloth_seg",
    "birefnet-general-lite", "birefnet-general", "birefnet-portrait", "birefnet-dis", "birefnet-hrsod",
    "birefnet-cod", "birefnet-massive",
)  # fmt: skip
OTHER_PIPELINE = ("isnet-anime", "u2net_cloth_seg")
BAR_STORED = 0.9
"""Median IoU over the photos; u2netp, whose real weights are at hand, has 0.97 to 0.99."""
BAR_CONVERTED = 0.995
SUBJECT = 0.01
"""Photos on which the stored alpha holds less than this share of subject say nothing about agreement."""

UInt8 = npt.NDArray[np.uint8]


def main() -> int:
    """Print a line per model; the exit status is 0 only if all reach their bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=MODELS, metavar="NAME")
    parser.add_argument("--fixtures", type=Path, default=ROOT.parent / "shared" / "data" / "fixtures" / "rembg")
    asked = parser.parse_args()
    if not asked.fixtures.is_dir():
        print(
            f"verify-real: {asked.fixtures} is not there; --fixtures names the folder of photos and stored alphas",
            file=sys.stderr,
        )
        return 3
    statuses = []
    for name in asked.names:
        try:
            with shown() as progress:
                statuses.append(0 if check(find(name), asked.fixtures, progress) else 1)
        except LiftoutError as error:
            print(f"verify-real: {name}: {error}", file=sys.stderr, flush=True)
            statuses.append(3 if isinstance(error, ModelUnavailable) else 1)
    return 1 if 1 in statuses else max(statuses, default=0)


def check(spec: ModelSpec, fixtures: Path, progress: Progress) -> bool:
    """Compare one model on all photos and print its line. Returns whether it reaches its bars."""
    file = next((item for item in spec.files if item.role == "onnx"), None)
    if file is None:
        raise ModelUnavailable(f"{spec.name} has no published ONNX file to compare with")
    checkpoints = [item for item in spec.files if item.role == "checkpoint" and sources_of(spec, item)]
    # Before the published file is here, which would be found instead of a conversion.
    load_converter = converter()
    made = None
    if checkpoints and load_converter:
        made = resolve(spec, accept_license=True, load_converter=load_converter, progress=progress)
    published = alphas(from_onnx(fetch(spec, file, progress=progress), spec, file), fixtures)
    reached, told = compare_with_stored(spec, published, fixtures)
    if made is not None and made.source == "pack":
        converted = alphas(made, fixtures)
        closeness = min(iou(converted[photo], published[photo]) for photo in PHOTOS)
        reached &= closeness >= BAR_CONVERTED
        told += f"; converted and published, least IoU {closeness:.4f}"
    else:
        why = "no checkpoint has an address" if not checkpoints else "the extra `convert` is not installed"
        told += f"; converted and published were not compared: {why if made is None else f'there is a {made.source}'}"
    print(f"{spec.name}: {told}{'' if reached else ': BELOW THE BAR'}", flush=True)
    return reached


def compare_with_stored(spec: ModelSpec, published: dict[str, UInt8], fixtures: Path) -> tuple[bool, str]:
    """Whether the stored alphas are met, and words for it."""
    files = {photo: fixtures / f"{photo}.{spec.name}.png" for photo in PHOTOS}
    if not all(file.is_file() for file in files.values()):
        return True, "no alphas are stored"
    stored = {photo: stored_alpha(file, published[photo].shape) for photo, file in files.items()}
    scores = {
        photo: iou(published[photo], stored[photo]) for photo in PHOTOS if (stored[photo] >= 128).mean() >= SUBJECT
    }
    if not scores:
        return True, "no stored alpha holds a subject"
    median = float(np.median(list(scores.values())))
    each = ", ".join(f"{photo} {score:.3f}" for photo, score in scores.items())
    return (
        median >= BAR_STORED or spec.name in OTHER_PIPELINE,
        f"published file and stored alpha, median IoU {median:.3f} ({each})",
    )


def alphas(model: ResolvedModel, fixtures: Path) -> dict[str, UInt8]:
    """The alpha of every photo, uint8 [H, W]."""
    network = open_network(model.file)
    try:
        made = {}
        for name in PHOTOS:
            photo = decode(fixtures / f"{name}.jpg")
            tensor, box = graphs.prepare(photo.seen_by_network(), model.spec.input)
            made[name] = graphs.finish(network.run(tensor), photo.size, model.spec.output, box=box)
        return made
    finally:
        network.close()


def stored_alpha(path: Path, size: tuple[int, int]) -> UInt8:
    """An alpha stored as a grey picture, uint8 [H, W]; of clothes, three one below the other are stored: any of them counts."""
    with Image.open(path) as image:
        levels = np.asarray(image.convert("L"))
    return cast("UInt8", levels.reshape(-1, *size).max(axis=0))


def iou(one: UInt8, other: UInt8) -> float:
    """Intersection over union of two alphas at half opacity."""
    a, b = one >= 128, other >= 128
    either = (a | b).sum()
    return float((a & b).sum() / either) if either else 1.0


if __name__ == "__main__":
    sys.exit(main())
