"""What the network learns from: scenes, and what the teacher makes of them: `python -m training.scenes`.

Nine thousand photos are soon learnt by heart. Here they are cut, pasted onto each other, recoloured and degraded into as many
scenes as wanted (see augment.py), and U2NetP is run on exactly these pixels, so that what it knows about pictures that it has
not seen is asked for too. Kept are its alpha and its maps on the way there, which a small network learns from several times
faster than from alphas alone (Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", ICLR):

    photos.npy    uint8 [N, 320, 320, 3], sRGB
    alphas.npy    uint8 [N, 160, 160], what the photo was made of: exact where a subject was pasted or there is none
    teacher.npy   uint8 [N, 80, 80], the teacher's alpha of the scene at a quarter of the size
    MAP.npy       uint8 [N, side, side, 64] for every one of MAPS
    scenes.json   how many scenes are complete, the seed, and per map and channel: value of a step of one, mean, spread

A value v of a map stands for v * step; maps are not negative in U2-Net. A run that was killed continues where it was.
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
from torch.nn import functional

from liftout.networks.residual_u import halve, resize_like
from liftout.networks.u2net import SMALL_WIDTHS, U2Net
from training.augment import Mixture, PhotoBatches
from training.cache import CACHE, ROOT, Cache, add_drawn, open_cache
from training.network import MEAN, STD
from training.selection import Selection, select_by_lists, shares_of

TEACHER = ROOT.parent.parent / "shared" / "data" / "weights" / "u2netp.pth"
SCENES = ROOT / "runs" / "scenes"
SIDE = 320
CHUNK = 32
MAPS = {
    "stage4": 40,
    "stage5": 20,
    "stage6": 10,
    "stage5d": 20,
    "stage4d": 40,
}
"""Side of every map."""

MIXTURE = Mixture(
    paste=0.25, empty=0.06, ground=0.18, paste_on_ground=0.8, grey=0.04, tint=0.05, soften=0.1, noise=0.1, window=0.5
)
SHARES = {"ccp": 0.35, "clothing_small": 0.2}
"""Clothing is learnt soon, so it is drawn seldom."""

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TeacherMap:
    """One map of all scenes. values: uint8 [N, side, side, C]. step, mean, spread: float32 [C]; of the values times step."""

    values: UInt8Array
    step: FloatArray
    mean: FloatArray
    spread: FloatArray


@dataclass(frozen=True)
class Scenes:
    """See the module. photos, alphas, teacher: uint8; maps by name."""

    photos: UInt8Array
    alphas: UInt8Array
    teacher: UInt8Array
    maps: dict[str, TeacherMap]


class Teacher(nn.Module):
    """U2NetP up to its third decoder stage. float32 [1, 3, 320, 320] -> the maps of MAPS, and logits [1, 1, 80, 80].

    The last two stages draw edges at full size and cost two thirds of the whole."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.whole = U2Net(SMALL_WIDTHS)
        self.whole.load_state_dict(torch.load(weights, map_location="cpu"))
        self.eval()

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        stage = self.whole.get_submodule
        stage2 = stage("stage2")(halve(stage("stage1")(photo)))
        stage3 = stage("stage3")(halve(stage2))
        stage4 = stage("stage4")(halve(stage3))
        stage5 = stage("stage5")(halve(stage4))
        stage6 = stage("stage6")(halve(stage5))
        stage5d = stage("stage5d")(torch.cat((resize_like(stage6, stage5), stage5), 1))
        stage4d = stage("stage4d")(torch.cat((resize_like(stage5d, stage4), stage4), 1))
        stage3d = stage("stage3d")(torch.cat((resize_like(stage4d, stage3), stage3), 1))
        known = {
            "stage4": stage4,
            "stage5": stage5,
            "stage6": stage6,
            "stage5d": stage5d,
            "stage4d": stage4d,
        }
        return (*[known[name] for name in MAPS], stage("side3")(stage3d))


def open_scenes(folder: Path) -> Scenes:
    """The scenes in `folder`, memory-mapped. Raises FileNotFoundError, with the command that makes them, where there are none."""
    if not (folder / "scenes.json").exists():
        raise FileNotFoundError(f"no scenes in {folder}; run `python -m training.scenes`")
    facts = json.loads((folder / "scenes.json").read_text())
    read = {path: np.load(folder / f"{path}.npy", mmap_mode="r")[: facts["complete"]] for path in _shapes(1)}
    maps = {
        name: TeacherMap(
            read[name], *[np.array(facts["maps"][name][key], np.float32) for key in ("step", "mean", "spread")]
        )
        for name in MAPS
    }
    return Scenes(read["photos"], read["alphas"], read["teacher"], maps)


def make_scenes(
    cache: Cache, selection: Selection, folder: Path, count: int, seed: int, teacher: Path = TEACHER
) -> None:
    """Write `count` scenes of the selected photos into `folder`, or those that are still missing there. Raises SystemExit where
    the folder holds other ones."""
    shares = shares_of([cache.names[row] for row in selection.photos], SHARES)
    photos = PhotoBatches(cache, selection.photos, selection.scenes, selection.crisp, MIXTURE, seed, shares)
    SceneWriter(photos, teacher, folder, count, seed).run()


def _shapes(count: int) -> dict[str, tuple[int, ...]]:
    maps = {name: (count, side, side, 64) for name, side in MAPS.items()}
    return {
        "photos": (count, SIDE, SIDE, 3),
        "alphas": (count, SIDE // 2, SIDE // 2),
        "teacher": (count, SIDE // 4, SIDE // 4),
        **maps,
    }


class SceneWriter:
    """Makes scenes chunk by chunk; what is complete survives being killed."""

    def __init__(self, batches: PhotoBatches, weights: Path, folder: Path, count: int, seed: int) -> None:
        import openvino

        self.batches, self.folder, self.count, self.seed = batches, folder, count, seed
        core = openvino.Core()
        with torch.no_grad(), warnings.catch_warnings():
            # OpenVINO asks torch for a trace, which torch has deprecated in favour of what OpenVINO cannot read without warnings.
            warnings.simplefilter("ignore", DeprecationWarning)
            model = openvino.convert_model(Teacher(weights), example_input=torch.zeros(1, 3, SIDE, SIDE))
        model.reshape([1, 3, SIDE, SIDE])
        hints = {"PERFORMANCE_HINT": "THROUGHPUT"}
        if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            hints["INFERENCE_PRECISION_HINT"] = "bf16"
        self.compiled = core.compile_model(model, "CPU", hints)
        self.queue = openvino.AsyncInferQueue(self.compiled)
        self.queue.set_callback(self._keep)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "scenes.json").exists():
            self.facts = json.loads((folder / "scenes.json").read_text())
            if (self.facts["count"], self.facts["seed"]) != (count, seed):
                raise SystemExit(
                    f"{folder} holds {self.facts['count']} scenes of seed {self.facts['seed']}; move it away"
                )
        else:
            maps = self._measure()
            for name, shape in _shapes(count).items():
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
            self.facts = {"count": count, "seed": seed, "complete": 0, "maps": maps}
            self._mark(0)
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _shapes(count)}
        self.steps = [np.array(self.facts["maps"][name]["step"], np.float32)[:, None, None] for name in MAPS]

    def run(self) -> None:
        started, before = time.monotonic(), self.facts["complete"]
        for start in range(before, self.count, CHUNK):
            photos, alphas = self.batches(start // CHUNK, start, CHUNK, SIDE, torch.device("cpu"))
            size = min(CHUNK, self.count - start)
            seen = _to_pixels(photos)
            self.arrays["photos"][start : start + size] = seen[:size]
            small = functional.avg_pool2d(alphas, 2)[:size, 0]
            self.arrays["alphas"][start : start + size] = (small * 255).round().byte().numpy()
            for row in range(size):
                self.queue.start_async(to_teacher(seen[row]), start + row)
            self.queue.wait_all()
            if (start // CHUNK) % 16 == 15 or start + size == self.count:
                self._mark(start + size)
                pace = (start + size - before) / (time.monotonic() - started)
                left = time.strftime("%H:%M:%S", time.gmtime((self.count - start - size) / pace))
                print(f"{start + size} of {self.count} scenes  {pace:.1f} a second  {left} left", flush=True)

    def _keep(self, request: object, row: int) -> None:
        outputs = [request.get_output_tensor(index).data[0] for index in range(len(MAPS) + 1)]  # type: ignore[attr-defined]
        for name, values, step in zip(MAPS, outputs[:-1], self.steps, strict=True):
            levels = np.clip(np.rint(values / step), 0, 255).astype(np.uint8)
            self.arrays[name][row] = levels.transpose(1, 2, 0)
        self.arrays["teacher"][row] = np.rint(255 / (1 + np.exp(-outputs[-1][0].astype(np.float32))))

    def _measure(self, chunks: int = 6) -> dict[str, dict[str, list[float]]]:
        """What the maps' values are like, from some scenes of numbers that are not used otherwise."""
        seen: dict[str, list[FloatArray]] = {name: [] for name in MAPS}
        for number in range(chunks):
            photos, _ = self.batches(10**6 + number, number * CHUNK, CHUNK, SIDE, torch.device("cpu"))
            for photo in _to_pixels(photos):
                for name, values in zip(MAPS, self.compiled(to_teacher(photo)).values(), strict=False):
                    seen[name].append(values[0].astype(np.float32))
        facts = {}
        for name, maps in seen.items():
            values = np.stack(maps)
            facts[name] = {
                "step": (np.maximum(np.quantile(values, 0.9995, axis=(0, 2, 3)), 1e-3) / 255).tolist(),
                "mean": values.mean((0, 2, 3)).tolist(),
                "spread": values.std((0, 2, 3)).tolist(),
            }
        return facts

    def _mark(self, complete: int) -> None:
        self.facts["complete"] = complete
        partial = self.folder / "scenes.json.part"
        partial.write_text(json.dumps(self.facts))
        partial.replace(self.folder / "scenes.json")


def _to_pixels(photos: Tensor) -> UInt8Array:
    """Normalised float32 [B, 3, h, w] -> uint8 [B, h, w, 3]."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    pixels: UInt8Array = ((photos * std + mean) * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return pixels


def to_teacher(photo: UInt8Array) -> FloatArray:
    """uint8 [320, 320, 3] -> what the teacher sees: divided by the largest value, then ImageNet's."""
    scaled = photo.astype(np.float32) / max(1, int(photo.max()))
    normal = (scaled - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16_000)
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--teacher", type=Path, default=TEACHER)
    parser.add_argument("--cache", type=Path, default=CACHE / "288")
    parser.add_argument("-o", "--output", type=Path, default=SCENES)
    options = parser.parse_args()
    torch.set_num_threads(2)
    cache = add_drawn(open_cache(options.cache), options.cache)
    make_scenes(cache, select_by_lists(cache), options.output, options.count, options.seed, options.teacher)


if __name__ == "__main__":
    main()
