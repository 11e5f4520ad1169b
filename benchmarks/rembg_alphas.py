"""How far alphas are from rembg 2.0.86's with the same weights, and which step makes the difference.

python -m benchmarks.rembg_alphas [--write docs/rembg.md]

Needs `../shared/data` (U2NetP, 200 ECSSD photos) and the package index the first time, for rembg's own environment. rembg's
pipeline is repeated here step by step, which must give the masks of rembg itself on the example photos, level for level; then
each of its steps is exchanged for liftout's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from benchmarks.pages import write_part
from benchmarks.peers import REMBG, python_of
from liftout import graphs
from liftout.engines import Network, NetworkFile, open_network
from liftout.models.catalog import find
from liftout.options import RunOptions

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
MODEL = "u2netp"
SPEC = find(MODEL)
NETWORK = NetworkFile(
    name=MODEL, path=DATA / "weights" / f"{MODEL}.onnx", size=SPEC.input.size, output=SPEC.output.index
)

MASKS = """
import sys
from pathlib import Path
from PIL import Image
from rembg import new_session, remove
session = new_session(sys.argv[1])
for path in map(Path, sys.argv[3:]):
    remove(Image.open(path), session=session, only_mask=True).save(Path(sys.argv[2]) / f"{path.stem}.png")
"""

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


def main() -> int:
    """Print the table; exit status 1 where the repeated pipeline is not rembg's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="PAGE")
    asked = parser.parse_args()
    examples = sorted((ROOT / "examples").glob("*.jpg"))
    photos = sorted((DATA / "eval" / "ecssd" / "images").glob("*.jpg"))
    network = open_network(NETWORK, RunOptions(device="cpu", precision="fp32"))
    exact = is_rembgs(examples, [alphas(path, network)[0] for path in examples])
    agreements: dict[str, list[tuple[float, float]]] = {}
    for number, path in enumerate(photos, start=1):
        theirs, ours = alphas(path, network)
        for way, alpha in ours.items():
            agreements.setdefault(way, []).append(agreement(alpha, theirs))
        if number % 20 == 0:
            print(f"{number} of {len(photos)} photos", file=sys.stderr, flush=True)
    lines = table(agreements, exact=exact, examples=len(examples))
    print("\n".join(lines))
    if asked.write:
        write_part(asked.write, "alphas", lines)
    return 0 if exact else 1


def alphas(path: Path, network: Network) -> tuple[UInt8, dict[str, UInt8]]:
    """rembg's mask of a photo, and the alpha with one or more of its steps exchanged for liftout's."""
    photo = opened(path)
    size = photo.shape[:2]
    tensor, box = graphs.prepare(photo, SPEC.input)
    theirs, ours = network.run(lanczos_input(photo)), network.run(tensor)
    return lanczos_output(theirs, size), {
        "shrinks the photo": lanczos_output(ours, size),
        "enlarges the prediction": graphs.finish(theirs, size, SPEC.output, box=box),
        'both: `edges="plain"`': graphs.finish(ours, size, SPEC.output, box=box),
        "follows the photo's edges, on rembg's prediction": graphs.finish(
            theirs, size, SPEC.output, box=box, image=photo
        ),
        'all: `edges="auto"`, the default': graphs.finish(ours, size, SPEC.output, box=box, image=photo),
    }


def table(agreements: dict[str, list[tuple[float, float]]], *, exact: bool, examples: int) -> list[str]:
    """The lines of the page. exact: whether rembg itself makes the masks that are compared with, on the example photos."""
    count = len(next(iter(agreements.values())))
    return [
        f"U2NetP, {count} ECSSD photos, against rembg 2.0.86 (its pipeline, repeated: "
        f"{'the same masks' if exact else 'NOT THE SAME MASKS'} as rembg itself on the {examples} example photos).",
        "",
        "| liftout's own step | alpha, mean difference of 1 | its worst photo | IoU at one half, mean | worst photo |",
        "|---|---|---|---|---|",
        *(row(way, pairs) for way, pairs in agreements.items()),
    ]


def opened(path: Path) -> UInt8:
    """A photo upright, uint8 [H, W, 3]."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def lanczos_input(photo: UInt8) -> Float32:
    """rembg's input of U-2-Net: shrunk by Lanczos, divided by the largest level, ImageNet's mean and deviation."""
    levels = np.asarray(Image.fromarray(photo).resize((320, 320), Image.Resampling.LANCZOS)).astype(np.float64)
    scaled = levels / max(levels.max(), 1e-6)
    normal = (scaled - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def lanczos_output(prediction: Float32, size: tuple[int, int]) -> UInt8:
    """rembg's mask: min-max, cut to whole levels, enlarged by Lanczos."""
    plane = prediction[0, 0]
    plane = (plane - plane.min()) / (plane.max() - plane.min())
    mask = Image.fromarray((plane * 255).astype(np.uint8))
    return np.asarray(mask.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def is_rembgs(photos: list[Path], masks: list[UInt8]) -> bool:
    """Whether rembg itself makes these masks of these photos."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NETWORK.path.name).symlink_to(NETWORK.path)
        subprocess.run(
            [python_of("rembg", REMBG), "-c", MASKS, MODEL, folder, *photos],
            check=True,
            env={**os.environ, "U2NET_HOME": folder},
        )
        theirs = [np.asarray(Image.open(Path(folder) / f"{path.stem}.png")) for path in photos]
    return all(np.array_equal(one, other) for one, other in zip(masks, theirs, strict=True))


def agreement(alpha: UInt8, other: UInt8) -> tuple[float, float]:
    """Mean difference of two alphas (of 1), and the overlap of what is at least half opaque: 1 where both are empty."""
    one, two = alpha >= 128, other >= 128
    union = np.count_nonzero(one | two)
    difference = float(np.abs(alpha.astype(float) - other).mean()) / 255
    return difference, np.count_nonzero(one & two) / union if union else 1.0


def row(way: str, pairs: list[tuple[float, float]]) -> str:
    """One row of the table: difference and overlap, in the mean and of the worst photo."""
    differences, overlaps = zip(*pairs, strict=True)
    return f"| {way} | {np.mean(differences):.4f} | {max(differences):.4f} | {np.mean(overlaps):.3f} | {min(overlaps):.3f} |"


if __name__ == "__main__":
    sys.exit(main())
