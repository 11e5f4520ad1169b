"""The training photos as one block of pixels.

The photos come as tar files of small WebP pairs (`<source>__<id>.photo.webp`, `<source>__<id>.alpha.webp`). Decoding them
for every epoch would cost more than the network, so they are decoded once, stretched to a square the way the product
stretches its input (Pillow's antialiased bilinear), and stored as plain uint8 arrays:

    photos.npy  [N, side, side, 3]      alphas.npy  [N, side, side]      names.json  N names, sorted

`python -m training.cache` builds one of each side in SIDES. DRAWN pictures without a subject (see drawn.py) follow the
photos, named `drawn__<number>`.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.drawn import draw_all

UInt8Array = npt.NDArray[np.uint8]

SIDES = (288,)
DRAWN = 3000
ROOT = Path(__file__).resolve().parent
PHOTOS = ROOT.parent.parent / "shared" / "data" / "train"
CACHE = ROOT / "runs" / "cache"


@dataclass(frozen=True)
class Cache:
    """Every training photo with its teacher alpha.

    photos: uint8 [N, side, side, 3], sRGB. alphas: uint8 [N, side, side]. names: N names, `<source>__<id>`.
    """

    photos: UInt8Array
    alphas: UInt8Array
    names: list[str]


def open_cache(folder: Path) -> Cache:
    """The cache in `folder`, memory-mapped. Raises FileNotFoundError, with the command that builds it, where there is none."""
    if not (folder / "names.json").exists():
        raise FileNotFoundError(f"no cache of training photos in {folder}; run `python -m training.cache`")
    names = json.loads((folder / "names.json").read_text())
    photos, alphas = (np.load(folder / f"{kind}.npy", mmap_mode="r") for kind in ("photos", "alphas"))
    return Cache(photos, alphas, names)


def add_drawn(cache: Cache, folder: Path, count: int = DRAWN, workers: int = 2) -> Cache:
    """The cache with `count` drawn pictures behind its photos, in memory. They are drawn at the first call and kept in `folder`."""
    side, kept = cache.photos.shape[1], folder / "drawn.npy"
    if not kept.exists():
        numbers = np.array_split(np.arange(count), 8 * workers)
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_draw_chunk, [(chunk, side, folder) for chunk in numbers]))
        partial = folder / "drawn.npy.part"
        with partial.open("wb") as stream:
            np.save(stream, np.concatenate(parts))
        partial.replace(kept)
    drawn = np.load(kept)
    photos = np.concatenate([cache.photos, drawn])
    alphas = np.concatenate([cache.alphas, np.zeros(drawn.shape[:3], np.uint8)])
    return Cache(photos, alphas, cache.names + [f"drawn__{number:04d}" for number in range(len(drawn))])


def _draw_chunk(chunk: tuple[npt.NDArray[np.int64], int, Path]) -> UInt8Array:
    numbers, side, folder = chunk
    return draw_all(numbers, side, 1, np.load(folder / "photos.npy", mmap_mode="r"))


def build_cache(tars: list[Path], folder: Path, side: int, workers: int = 2, limit: int | None = None) -> Cache:
    """Decode `tars` into `folder`; `limit` keeps about so many photos of each tar, evenly spread. The names file is written last and
    marks the cache as complete."""
    members = [(tar, name) for tar in tars for name in _pair_names(tar, limit)]
    members.sort(key=lambda member: member[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.json").unlink(missing_ok=True)
    count = len(members)
    photos = np.lib.format.open_memmap(folder / "photos.npy", "w+", np.uint8, (count, side, side, 3))
    alphas = np.lib.format.open_memmap(folder / "alphas.npy", "w+", np.uint8, (count, side, side))
    rows = {name: row for row, (_, name) in enumerate(members)}
    del photos, alphas
    chunks: list[tuple[Path, dict[str, int], Path]] = []
    for tar in tars:
        names = [name for source, name in members if source == tar]
        step = max(1, len(names) // (4 * workers) + 1)
        chunks += [(tar, {n: rows[n] for n in names[i : i + step]}, folder) for i in range(0, len(names), step)]
    with ProcessPoolExecutor(workers) as pool:
        for done in pool.map(_decode_chunk, chunks):
            print(f"decoded {done} photos", flush=True)
    partial = folder / "names.json.part"
    partial.write_text(json.dumps([name for _, name in members]))
    partial.replace(folder / "names.json")
    return open_cache(folder)


def _pair_names(tar: Path, limit: int | None) -> list[str]:
    with tarfile.open(tar) as archive:
        members = set(archive.getnames())
    suffix = ".photo.webp"
    pairs = [m for m in members if m.endswith(suffix) and m.removesuffix(suffix) + ".alpha.webp" in members]
    names = sorted(pair.removesuffix(suffix) for pair in pairs)
    return names if limit is None else names[:: max(1, len(names) // limit)]


def _decode_chunk(chunk: tuple[Path, dict[str, int], Path]) -> int:
    tar, rows, folder = chunk
    photos = np.load(folder / "photos.npy", mmap_mode="r+")
    alphas = np.load(folder / "alphas.npy", mmap_mode="r+")
    side = photos.shape[1]
    with tarfile.open(tar) as archive:
        for member in archive:
            name, kind, _ = f"{member.name}..".split(".", 2)
            if name not in rows or kind not in ("photo", "alpha"):
                continue
            stream = archive.extractfile(member)
            assert stream is not None
            picture = Image.open(io.BytesIO(stream.read())).convert("RGB" if kind == "photo" else "L")
            target = photos if kind == "photo" else alphas
            target[rows[name]] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    return len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder with the tar files")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    tars = sorted(options.photos.glob("*.tar"))
    if not tars:
        raise SystemExit(f"no tar files in {options.photos}")
    for side in SIDES:
        cache = build_cache(tars, options.cache / str(side), side)
        print(f"{len(cache.names)} photos of {side} x {side} in {options.cache / str(side)}")


if __name__ == "__main__":
    main()
