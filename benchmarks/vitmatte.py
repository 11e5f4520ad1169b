"""Which normalisation ViTMatte's weights want: three are in use, and they cannot all be right.

python -m benchmarks.vitmatte FILE.onnx [--photos FOLDER]

FILE is any export that takes [1, 4, h, w] (RGB and trimap) and gives [1, 1, h, w]. It runs on the photos of alphamatting.com
with their trimaps, and each alpha is compared with the true one where the trimap leaves it open: SAD in thousands of pixels, MSE
in thousandths. The weights are not fetched: their licence is unclear, because Composition-1k, on which they were trained, does
not allow commercial use of models made from it.

authors   RGB / 255, ImageNet's mean and deviation; the trimap 0, 0.5, 1 as it is (hustvl/ViTMatte, configs/common/model.py). Default
half      mean and deviation 0.5 for all (preprocessor_config.json of the hub's repositories)
none      / 255 and nothing else (rembg 2.0.86)

Zeros fill up right and below to multiples of 32 after normalising, or to the size that the export was fixed to; larger photos
are made smaller for such an export, which is the same for all three.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

Float32 = npt.NDArray[np.float32]

ROOT = Path(__file__).parent.parent
IMAGENET = (np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32))
RECIPES = ("authors", "half", "none")
MULTIPLE = 32


@dataclass(frozen=True)
class Matte:
    """photo float32 [H, W, 3] and alpha float32 [H, W], both in [0, 1]; trimap float32 [H, W] of 0, 0.5 and 1."""

    name: str
    photo: Float32
    trimap: Float32
    alpha: Float32


def main() -> int:
    """Print a line for each recipe, the best last; the exit status is 0 if that is the authors'."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "data" / "eval" / "alphamatting")
    asked = parser.parse_args()
    for path in (asked.file, asked.photos):
        if not path.exists():
            print(f"vitmatte: {path} is not there", file=sys.stderr)
            return 3
    session = onnxruntime.InferenceSession(str(asked.file), providers=["CPUExecutionProvider"])
    if (
        len(session.get_inputs()) != 1
        or len(session.get_inputs()[0].shape) != 4
        or session.get_inputs()[0].shape[1] != 4
    ):
        print(f"vitmatte: {asked.file} does not take [1, 4, h, w]", file=sys.stderr)
        return 3
    mattes = list(read(asked.photos))
    figures = {recipe: measure(session, mattes, recipe) for recipe in RECIPES}
    for recipe, (sad, mse) in sorted(figures.items(), key=lambda item: -item[1][0]):
        print(f"{recipe:8} SAD {sad:7.2f}  MSE {mse:6.2f}")
    return 0 if min(figures, key=lambda recipe: figures[recipe][0]) == "authors" else 1


def read(folder: Path) -> Iterator[Matte]:
    """The photos that have a trimap and a true alpha, smallest name first."""
    for path in sorted((folder / "input").glob("*.png")):
        photo, trimap, alpha = (
            np.asarray(Image.open(folder / part / path.name).convert(mode), np.float32) / 255
            for part, mode in (("input", "RGB"), ("trimap", "L"), ("alpha", "L"))
        )
        yield Matte(path.name, photo, np.where(trimap < 85 / 255, 0, np.where(trimap >= 170 / 255, 1, 0.5)), alpha)


def measure(session: onnxruntime.InferenceSession, mattes: list[Matte], recipe: str) -> tuple[float, float]:
    """SAD and MSE over what the trimaps leave open, means over the photos."""
    sads, mses = [], []
    for matte in mattes:
        alpha = solve(session, matte, recipe)
        difference = (alpha - matte.alpha)[matte.trimap == 0.5]
        sads.append(float(np.abs(difference).sum()) / 1000)
        mses.append(1000 * float(np.square(difference).mean()))
    return float(np.mean(sads)), float(np.mean(mses))


def solve(session: onnxruntime.InferenceSession, matte: Matte, recipe: str = "authors") -> Float32:
    """The alpha, float32 [H, W]: the network's where the trimap leaves it open, else the trimap's."""
    given = session.get_inputs()[0]
    height, width = matte.trimap.shape
    fixed = all(isinstance(side, int) for side in given.shape[2:])
    room = given.shape[2:] if fixed else [-(-side // MULTIPLE) * MULTIPLE for side in (height, width)]
    scale = min(1.0, room[0] / height, room[1] / width)
    size = (round(height * scale), round(width * scale))
    tensor = np.zeros((1, 4, *room), np.float32)
    tensor[0, :, : size[0], : size[1]] = normalised(_resized(matte.photo, size), _levels(matte.trimap, size), recipe)
    found = session.run(None, {given.name: tensor})[0][0, 0, : size[0], : size[1]]
    alpha = np.clip(_resized(found.astype(np.float32), (height, width)), 0, 1)
    return np.where(matte.trimap == 0.5, alpha, matte.trimap).astype(np.float32)


def normalised(photo: Float32, trimap: Float32, recipe: str) -> Float32:
    """float32 [4, H, W] as a recipe wants it."""
    if recipe == "half":
        photo, trimap = (photo - 0.5) / 0.5, (trimap - 0.5) / 0.5
    elif recipe == "authors":
        photo = (photo - IMAGENET[0]) / IMAGENET[1]
    return np.concatenate([photo.transpose(2, 0, 1), trimap[None]]).astype(np.float32)


def _resized(values: Float32, size: tuple[int, int]) -> Float32:
    if values.shape[:2] == size:
        return values
    planes = values[..., None] if values.ndim == 2 else values
    made = [
        np.asarray(Image.fromarray(np.ascontiguousarray(planes[..., i])).resize(size[::-1], Image.Resampling.BILINEAR))
        for i in range(planes.shape[2])
    ]
    return np.stack(made, axis=-1).reshape(*size, *values.shape[2:])


def _levels(trimap: Float32, size: tuple[int, int]) -> Float32:
    made = Image.fromarray(trimap.astype(np.float32)).resize(size[::-1], Image.Resampling.NEAREST)
    return np.asarray(made, np.float32)


if __name__ == "__main__":
    sys.exit(main())
