"""The training photos, decoded once: `python -m training.photos`.

The photos come as tar files of small WebP pairs (`<source>__<id>.photo.webp`, and for some `<source>__<id>.alpha.webp`). Decoding them for
every epoch would cost more than the network, so they are stretched to a square once, the way the product stretches its input
(Pillow's antialiased bilinear), and stored as plain arrays in `runs/photos`:

    pixels.npy  uint8 [N, 320, 320, 3]      alphas.npy  uint8 [N, 160, 160], zero where a photo has none
    photos.json  {"names": N names, sorted, "alpha": N times whether there is one}
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.tuning.network import SIZE

UInt8Array = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent
DATA = ROOT.parent.parent / "shared" / "data"
U2NETP = DATA / "weights" / "u2netp.pth"
RUNS = ROOT / "runs"
CHOOSING_EVERY = 14
"""One photo in so many serves for choosing between runs and settings, and for nothing else."""


@dataclass(frozen=True)
class Photos:
    """pixels: uint8 [N, 320, 320, 3], sRGB. alphas: uint8 [N, 160, 160]. names: N names, `<source>__<id>`. alpha: whether there is one."""

    pixels: UInt8Array
    alphas: UInt8Array
    names: list[str]
    alpha: list[bool]


def open_photos(folder: Path = RUNS / "photos") -> Photos:
    """The photos in `folder`, memory-mapped. Raises FileNotFoundError, with the command that stores them, where there are none."""
    if not (folder / "photos.json").exists():
        raise FileNotFoundError(f"no training photos in {folder}; run `python -m training.photos`")
    facts = json.loads((folder / "photos.json").read_text())
    pixels, alphas = (np.load(folder / f"{kind}.npy", mmap_mode="r") for kind in ("pixels", "alphas"))
    return Photos(pixels, alphas, facts["names"], facts["alpha"])


def store_photos(tars: list[Path], folder: Path, workers: int = 2, limit: int | None = None) -> Photos:
    """Decode `tars` into `folder`; `limit` keeps about so many photos of each, evenly spread. `photos.json` is written last and marks
    the folder as complete."""
    found: dict[str, tuple[Path, bool]] = {}
    for tar in tars:
        with tarfile.open(tar) as archive:
            members = set(archive.getnames())
        names = sorted(member.removesuffix(".photo.webp") for member in members if member.endswith(".photo.webp"))
        for name in names if limit is None else names[:: max(1, len(names) // limit)]:
            found[name] = tar, f"{name}.alpha.webp" in members
    names = sorted(found)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photos.json").unlink(missing_ok=True)
    np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, (len(names), SIZE, SIZE, 3))
    np.lib.format.open_memmap(folder / "alphas.npy", "w+", np.uint8, (len(names), SIZE // 2, SIZE // 2))
    jobs = [(tar, {name: row for row, name in enumerate(names) if found[name][0] == tar}, folder) for tar in tars]
    with ProcessPoolExecutor(workers) as pool:
        for tar, count in zip(tars, pool.map(_decode, jobs), strict=True):
            print(f"{tar.name}: {count} photos", flush=True)
    partial = folder / "photos.json.part"
    partial.write_text(json.dumps({"names": names, "alpha": [found[name][1] for name in names]}))
    partial.replace(folder / "photos.json")
    return open_photos(folder)


def _decode(job: tuple[Path, dict[str, int], Path]) -> int:
    tar, rows, folder = job
    pixels, alphas = (np.load(folder / f"{kind}.npy", mmap_mode="r+") for kind in ("pixels", "alphas"))
    with tarfile.open(tar) as archive:
        for member in archive:
            name, kind, _ = f"{member.name}..".split(".", 2)
            stream = archive.extractfile(member) if name in rows and kind in ("photo", "alpha") else None
            if stream is None:
                continue
            picture = Image.open(io.BytesIO(stream.read())).convert("RGB" if kind == "photo" else "L")
            target = pixels if kind == "photo" else alphas
            target[rows[name]] = np.asarray(picture.resize(target.shape[2:0:-1], Image.Resampling.BILINEAR))
    return len(rows)


def read_names(path: Path) -> set[str]:
    """Names of photos, one a line, `#` for comments."""
    return {line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")}


def excluded() -> set[str]:
    """Names that are never trained on: three domains kept for measuring `liftout tune`, and the pictures without a subject that measure."""
    return read_names(ROOT / "kept.txt") | read_names(ROOT / "no_subject.txt")


def serves_for_choosing(name: str) -> bool:
    """Whether the photo called `name` is kept from training to choose by; decided by its name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()) % CHOOSING_EVERY == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds train/*.tar and more/*.tar")
    parser.add_argument("-o", "--output", type=Path, default=RUNS / "photos")
    options = parser.parse_args()
    tars = [tar for part in ("train", "more") for tar in sorted((options.data / part).glob("*.tar"))]
    if not tars:
        raise SystemExit(f"no tar files in {options.data}/train and {options.data}/more")
    print(f"{len(store_photos(tars, options.output).names)} photos in {options.output}")


if __name__ == "__main__":
    main()
