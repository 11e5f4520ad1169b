"""What stages 1 and 2 make of the training photos: `python -m training.features`.

They stay as they are and cost two thirds of a run of the network, so their output, halved, is computed once for each photo and its mirror
image; the stages at depth then train on it. Stored in `runs/features`, a byte a value with a step per channel:

    features.npy  uint8 [M, 2, 64, 80, 80]      features.json  {"names": M names, "step": 64 floats, "complete": how many are there}

Which photos: those that the teacher has labelled, those with a true mask, those without a subject, and a share of the rest, whose alphas
U2NetP made. Started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.network import MEAN, SIZE, STD, Encoder, from_u2netp, halve
from training.photos import DATA, ROOT, RUNS, Photos, UInt8Array, excluded, open_photos, read_names
from training.teacher import order_of

U2NETP = DATA / "weights" / "u2netp.pth"
SIDE = SIZE // 4
KEEP_EVERY = 20
MEASURED = 48
"""Photos from which the steps follow."""


@dataclass(frozen=True)
class Features:
    """values: uint8 [M, 2, 64, 80, 80], of the photo and of its mirror image. step: float32 [64, 1, 1], what a level is worth."""

    values: UInt8Array
    step: Tensor
    names: list[str]

    def take(self, row: int, mirrored: int) -> Tensor:
        """float32 [64, 80, 80]."""
        return torch.from_numpy(np.array(self.values[row, mirrored])).float() * self.step


def open_features(folder: Path = RUNS / "features") -> Features:
    """What is complete in `folder`, memory-mapped. Raises FileNotFoundError, with the command that makes it, where there is nothing."""
    if not (folder / "features.json").exists():
        raise FileNotFoundError(f"no features in {folder}; run `python -m training.features`")
    facts = json.loads((folder / "features.json").read_text())
    values = np.load(folder / "features.npy", mmap_mode="r")[: facts["complete"]]
    step = torch.tensor(facts["step"], dtype=torch.float32)[:, None, None]
    return Features(values, step, facts["names"][: facts["complete"]])


class _Halved(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, photo: Tensor) -> Tensor:
        return halve(self.encoder(photo))


class FeatureWriter:
    """Runs the encoder over photos; what is complete survives being killed."""

    def __init__(self, photos: Photos, names: list[str], folder: Path, checkpoint: Path, threads: int) -> None:
        import openvino

        self.photos, self.folder = photos, folder
        self.rows = {name: row for row, name in enumerate(photos.names)}
        encoder = _Halved(from_u2netp(checkpoint).encoder).eval()
        with torch.no_grad(), warnings.catch_warnings():
            # OpenVINO asks torch for a trace, which torch has deprecated in favour of what OpenVINO cannot read without warnings.
            warnings.simplefilter("ignore", DeprecationWarning)
            model = openvino.convert_model(encoder, example_input=torch.zeros(1, 3, SIZE, SIZE))
        model.reshape([1, 3, SIZE, SIZE])
        hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self.compiled = openvino.Core().compile_model(model, "CPU", hints)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "features.json").exists():
            seen = np.stack([self._run(photos.pixels[self.rows[name]]) for name in names[:MEASURED]])
            step = np.maximum(np.quantile(seen, 0.9997, axis=(0, 2, 3)), 1e-3) / 255
            np.lib.format.open_memmap(folder / "features.npy", "w+", np.uint8, (len(names), 2, 64, SIDE, SIDE))
            self.facts = {"names": names, "step": step.tolist(), "complete": 0}
            self._keep(0)
        self.facts = json.loads((folder / "features.json").read_text())

    def run(self) -> None:
        """Write what is missing."""
        values = np.load(self.folder / "features.npy", mmap_mode="r+")
        step = np.array(self.facts["step"], np.float32)[:, None, None]
        names, before, started = self.facts["names"], self.facts["complete"], time.monotonic()
        for row in range(before, len(names)):
            pixels = self.photos.pixels[self.rows[names[row]]]
            for mirrored, seen in enumerate((pixels, pixels[:, ::-1])):
                values[row, mirrored] = np.rint(self._run(seen) / step).clip(0, 255)
            if (row + 1) % KEEP_EVERY == 0 or row + 1 == len(names):
                values.flush()
                self._keep(row + 1)
                pace = (time.monotonic() - started) / (row + 1 - before)
                left = pace * (len(names) - row - 1) / 60
                print(f"{row + 1} of {len(names)} photos, {pace:.2f} s each, {left:.0f} min left", flush=True)

    def _run(self, pixels: UInt8Array) -> npt.NDArray[np.float32]:
        tensor = (pixels.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        result: npt.NDArray[np.float32] = self.compiled(np.ascontiguousarray(tensor.transpose(2, 0, 1)[None]))[0][0]
        return result

    def _keep(self, complete: int) -> None:
        self.facts["complete"] = complete
        partial = self.folder / "features.json.part"
        partial.write_text(json.dumps(self.facts))
        partial.replace(self.folder / "features.json")


def names_of(photos: Photos, labelled: int, others: int, seed: int = 9) -> list[str]:
    """The photos to use, mixed: the first `labelled` that the teacher is asked about, all without a subject, and `others` of those
    whose alphas are U2NetP's."""
    kept, bare = excluded(), read_names(ROOT / "scenes.txt")
    first = [photos.names[row] for row in order_of(photos)[:labelled]]
    empty = [name for name in photos.names if name not in kept and (name.startswith("scenes__") or name in bare)]
    chance = np.random.default_rng(seed)
    rest = [name for name, alpha in zip(photos.names, photos.alpha, strict=True) if alpha and name not in kept]
    rest = [name for name in rest if name.startswith("caltech101") and "BACKGROUND" not in name]
    rest = [str(name) for name in chance.permutation(sorted(set(rest) - set(first)))[:others]]
    names = [*first, *empty, *rest]
    return [str(name) for name in chance.permutation(list(dict.fromkeys(names)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--labelled", type=int, default=1900, help="how many of the photos that the teacher is asked about"
    )
    parser.add_argument("--others", type=int, default=700, help="how many photos with U2NetP's alphas")
    parser.add_argument("--checkpoint", type=Path, default=U2NETP)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--photos", type=Path, default=RUNS / "photos")
    parser.add_argument("-o", "--output", type=Path, default=RUNS / "features")
    options = parser.parse_args()
    photos = open_photos(options.photos)
    names = names_of(photos, options.labelled, options.others)
    FeatureWriter(photos, names, options.output, options.checkpoint, options.threads).run()


if __name__ == "__main__":
    main()
