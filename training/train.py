"""Train the pocket network: `python -m training.train RECIPE`.

A recipe (TOML, see recipes/) names the seed and the phases: scenes to draw, batch, learning rate from and to, what counts.
A run lives in `runs/<recipe>/`: checkpoint.pt (written every few minutes, to a temporary name first), log.csv, curves.png.
A run that was killed, even by kill -9, continues from its last checkpoint when it is started again, to the same weights.
"""

from __future__ import annotations

import argparse
import copy
import csv
import ctypes
import os
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.cache import ROOT
from training.curves import draw_curves
from training.muon import Muon
from training.network import MEAN, SIZE, STD, WIDTHS, PocketNetwork, map_channels, take_over
from training.scenes import SCENES, SIDE, Scenes, open_scenes
from training.selection import IntArray
from training.shipped import read_shipped, settle

LOG_FIELDS = (
    "step",
    "scenes",
    "rate",
    "loss",
    "hints",
    "held_out_hints",
    "held_out_mae",
    "scenes_per_second",
    "seconds",
)
HELD_OUT = 128
"""Scenes at the end of the file that are never trained on; of few, a tenth."""
EMPTY = 0.1
"""Alpha up to which a scene counts as made of nothing."""
AROUND, AGREES = 11, 0.2
"""Pixels a side over which two alphas are compared, and how far their means may be apart there."""
ADAM_SHARE = 0.3
"""Adam's rate for norms and biases, as a share of Muon's for kernels."""


@dataclass(frozen=True)
class Phase:
    """scenes: how many to draw, in batches of `batch`, all of one of `sides` pixels. rate: learning rate at the phase's first and
    last step. window: smallest part of a scene's side that is seen, in half of the cases. hints: weight of agreeing with the
    teacher's maps."""

    scenes: int
    rate: tuple[float, float]
    batch: int = 24
    sides: tuple[int, ...] = (256,)
    window: float = 0.7
    hints: float = 0.5

    @property
    def steps(self) -> int:
        return max(1, self.scenes // self.batch)


@dataclass(frozen=True)
class Recipe:
    """decay: weight decay. averaging: how much of the averaged weights each step keeps (after a warm-up). warm_up: steps over
    which the rate rises at the start. start: run whose averaged weights to start from, or a pack's .onnx file in the folder of
    runs, exported with `start_gain`. contrast: gain of alphas about one half, undoes the blur that averaging gave them. overlap:
    weight of the soft intersection over union beside the cross-entropy. widths: of the network; it may be wider than the one that
    it starts from. empties: how often in an epoch a scene without a subject is drawn."""

    phases: tuple[Phase, ...]
    seed: int = 1
    decay: float = 0.05
    averaging: float = 0.998
    warm_up: int = 100
    start: str = ""
    start_gain: float = 1.0
    contrast: float = 1.5
    overlap: float = 0.7
    widths: tuple[int, ...] = WIDTHS
    empties: int = 1

    @classmethod
    def read(cls, path: Path) -> Recipe:
        facts: dict[str, Any] = tomllib.loads(path.read_text())
        phases = [Phase(**_frozen(phase)) for phase in facts.pop("phases")]
        return cls(phases=tuple(phases), **_frozen(facts))

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> Moment:
        """Raises IndexError beyond the last step."""
        drawn, rest = 0, step
        for phase in self.phases:
            if rest < phase.steps:
                first, last = phase.rate
                rate = first + (last - first) * rest / max(1, phase.steps - 1)
                return Moment(phase, rate * min(1.0, (step + 1) / max(1, self.warm_up)), drawn + rest * phase.batch)
            rest -= phase.steps
            drawn += phase.steps * phase.batch
        raise IndexError(f"step {step} is beyond the recipe's {self.steps}")


class Moment(NamedTuple):
    """Of a run. drawn: scenes before this step."""

    phase: Phase
    rate: float
    drawn: int


def _frozen(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}


class Batch(NamedTuple):
    """photos: normalised, float32 [B, 3, side, side]. alphas: what to learn, [B, 1, side / 2, ...]; teacher: [B, 1, side / 4, ...], float32
    in [0, 1]. maps: by name, float32 [B, 64, ...], each channel less its mean, in units of its spread."""

    photos: Tensor
    alphas: Tensor
    teacher: Tensor
    maps: dict[str, Tensor]


class Batches:
    """Scenes as tensors, half of them mirrored, half of them cut; which ones and how follows from the seed and how many were drawn
    before."""

    def __init__(self, scenes: Scenes, rows: IntArray, seed: int, contrast: float, device: torch.device) -> None:
        self.scenes, self.rows, self.seed, self.contrast, self.device = scenes, rows, seed, contrast, device
        self.order: tuple[int, IntArray] = (-1, np.empty(0, np.int64))
        self.scales = {}
        for name, known in scenes.maps.items():
            spread = np.maximum(known.spread, 0.05 * np.median(known.spread))
            scale, shift = [torch.from_numpy(x / spread).view(1, -1, 1, 1).to(device) for x in (known.step, known.mean)]
            self.scales[name] = scale, shift

    def draw(self, first: int, size: int, sides: tuple[int, ...], window: float) -> Batch:
        """first: how many scenes were drawn before. window: see Phase."""
        rows = np.array([self._row(first + offset) for offset in range(size)])
        chance = np.random.default_rng([self.seed, 3, first])
        share = np.where(chance.random(size) < 0.5, chance.uniform(window, 1, size), 1)
        mirror = np.where(chance.random(size) < 0.5, -1, 1)
        matrices = np.zeros((size, 2, 3), np.float32)
        matrices[:, 0, 0], matrices[:, 1, 1] = share * mirror, share
        matrices[:, :, 2] = chance.uniform(-1, 1, (size, 2)) * (1 - share)[:, None]
        return self.take(rows, int(chance.choice(sides)), torch.from_numpy(matrices))

    def take(self, rows: IntArray, side: int, windows: Tensor | None = None) -> Batch:
        """The scenes `rows` at `side` pixels. windows: matrices, float32 [B, 2, 3], from the window to the scene, both from -1 to 1."""
        if windows is None:
            windows = torch.eye(2, 3).expand(len(rows), -1, -1)
        windows = windows.to(self.device)

        def load(values: npt.NDArray[np.uint8]) -> Tensor:
            pixels = torch.from_numpy(values[rows]).to(self.device)
            return (pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).float()

        def see(values: Tensor, stride: int) -> Tensor:
            places = functional.affine_grid(
                windows, [len(rows), 1, side // stride, side // stride], align_corners=False
            )
            return functional.grid_sample(values, places, padding_mode="border", align_corners=False)

        mean, std = [torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (MEAN, STD)]
        photos = (see(load(self.scenes.photos), 1) / 255 - mean) / std
        made = load(self.scenes.alphas) / 255
        teacher = load(self.scenes.teacher) / 255
        alphas, teacher = agreed(((made - 0.5) * self.contrast + 0.5).clamp(0, 1), teacher)
        maps = {}
        for name, (scale, shift) in self.scales.items():
            values = load(self.scenes.maps[name].values)
            maps[name] = see(values * scale - shift, SIDE // values.shape[-1]).clamp(-6, 6)
        photos = photos.contiguous(memory_format=torch.channels_last)
        return Batch(photos, see(alphas, 2), see(teacher, 4), maps)

    def _row(self, drawn: int) -> int:
        epoch, place = divmod(drawn, len(self.rows))
        if self.order[0] != epoch:
            self.order = epoch, np.random.default_rng([self.seed, 7, epoch]).permutation(self.rows)
        return int(self.order[1][place])


def agreed(made: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The alpha to learn, at both sizes: what the scene was made of where the teacher agrees, sharper than it at edges; elsewhere the
    teacher's, since a window may show a piece of what was the subject of the whole photo. A scene made of nothing stays empty,
    whatever the teacher sees in it.

    made: float32 [B, 1, 2h, 2w]. teacher: [B, 1, h, w]. Returns float32 [B, 1, 2h, 2w] and [B, 1, h, w]."""
    teacher = torch.where(made.amax((1, 2, 3), keepdim=True) < EMPTY, torch.zeros_like(teacher), teacher)
    large = functional.interpolate(teacher, scale_factor=2.0, mode="bilinear", align_corners=False)
    apart = functional.avg_pool2d(made - large, AROUND, stride=1, padding=AROUND // 2, count_include_pad=False).abs()
    return torch.where(apart < AGREES, made, large), teacher


class Hints(nn.Module):
    """How far the network's maps are from the teacher's, in units of each channel's spread; a 1x1 convolution per map translates."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        channels = map_channels(widths)
        self.translate = nn.ModuleDict({name: nn.Conv2d(width, 64, 1) for name, width in channels.items()})

    def forward(self, maps: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
        """Mean squared difference over maps, photos and channels; a scalar."""
        apart = [functional.mse_loss(turn(maps[name]).float(), wanted[name]) for name, turn in self.translate.items()]
        return torch.stack(apart).mean()


def structure_loss(outputs: list[Tensor], alphas: Tensor, teacher: Tensor, overlap: float = 0.7) -> Tensor:
    """Cross-entropy and soft intersection over union against the scene's alpha, both heavier near edges, at half size; and
    cross-entropy against the teacher's alpha at the coarser depths.

    Half size because that is where the network decides; the doubling after it learns nothing.

    Source of the weighting: Wei et al. 2020, "F3Net: Fusion, Feedback and Focus for Salient Object Detection", AAAI.
    """
    near = functional.avg_pool2d(alphas, (7, 1), stride=1, padding=(3, 0), count_include_pad=False)
    near = functional.avg_pool2d(near, (1, 7), stride=1, padding=(0, 3), count_include_pad=False)
    weights = 1 + 4 * (near - alphas).abs()
    logits = outputs[0].float()
    entropy = functional.binary_cross_entropy_with_logits(logits, alphas, weight=weights)
    guess = torch.sigmoid(logits)
    both = (weights * guess * alphas).sum((1, 2, 3))
    either = (weights * (guess + alphas - guess * alphas)).sum((1, 2, 3))
    loss = entropy + (1 - (both + 1) / (either + 1)).mean() * overlap
    for coarse in outputs[1:]:
        target = functional.avg_pool2d(teacher, teacher.shape[-1] // coarse.shape[-1])
        loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(coarse.float(), target)
    return loss


class Run:
    """One training run in one folder; `step` counts what is done."""

    def __init__(self, recipe: Recipe, folder: Path, scenes: Scenes, device: torch.device) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        count = len(scenes.photos)
        self.held_out = np.arange(count - min(HELD_OUT, count // 10), count)
        rows = np.arange(count - len(self.held_out))
        empty = rows[scenes.alphas[rows].max((1, 2)) < 255 * EMPTY]
        rows = np.concatenate([rows, *[empty] * (recipe.empties - 1)])
        self.batches = Batches(scenes, rows, recipe.seed, recipe.contrast, device)
        torch.manual_seed(recipe.seed)
        network, hints = self._start()
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.hints = hints.to(device)
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        learnt = [*self.network.parameters(), *self.hints.parameters()]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon([p for p in learnt if p.ndim > 1], lr=1.0, decay=recipe.decay),
            torch.optim.AdamW([p for p in learnt if p.ndim <= 1], weight_decay=0.0),
        ]
        self.step = 0
        self.seconds = 0.0
        self.log: list[dict[str, float]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._load()

    def _start(self) -> tuple[PocketNetwork, Hints]:
        """What the recipe starts from."""
        recipe, network, hints = self.recipe, PocketNetwork(self.recipe.widths), Hints(self.recipe.widths)
        if recipe.start.endswith(".onnx"):
            shipped = read_shipped(self.folder.parent / recipe.start, recipe.start_gain)
            side = recipe.phases[0].sides[0]
            settle(
                shipped,
                [self.batches.take(rows, side).photos.cpu() for rows in np.array_split(self.batches.rows[:64], 8)],
            )
            take_over(network, shipped.state_dict())
        elif recipe.start:
            state = torch.load(self.folder.parent / recipe.start / "checkpoint.pt", map_location="cpu")
            take_over(network, state["averaged"])
            take_over(hints, state["hints"])
        return network, hints

    def train(self, until: int | None = None, save_seconds: float = 240, autocast: bool = False) -> None:
        """Train to step `until`, or to the recipe's end."""
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        started = saved = time.monotonic()
        before, losses, seen, seconds = self.step, [], 0, self.seconds
        mark = time.monotonic()
        while self.step < last:
            losses.append(self._one_step(autocast))
            seen += self.recipe.at(self.step - 1).phase.batch
            now = time.monotonic()
            self.seconds = seconds + now - started
            if now - saved > save_seconds or self.step == last:
                self._record(losses, seen / (now - mark), autocast)
                self._save()
                pace = (now - started) / (self.step - before)
                print(self._progress(pace), flush=True)
                losses, seen = [], 0
                saved = mark = time.monotonic()

    def _one_step(self, autocast: bool) -> tuple[float, float]:
        phase, rate, drawn = self.recipe.at(self.step)
        for optimizer, share in zip(self.optimizers, (1.0, ADAM_SHARE), strict=True):
            optimizer.param_groups[0]["lr"] = rate * share
        batch = self.batches.draw(drawn, phase.batch, phase.sides, phase.window)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            outputs, maps = self.network.logits_and_maps(batch.photos)
            distance = self.hints(maps, batch.maps)
        loss = structure_loss(outputs, batch.alphas, batch.teacher, self.recipe.overlap) + phase.hints * distance
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 4.0)
        for optimizer in self.optimizers:
            optimizer.step()
        keep = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, current in zip(
                self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                if average.is_floating_point():
                    average.lerp_(current, 1 - keep)
                else:
                    average.copy_(current)
        self.step += 1
        return float(loss.detach()), float(distance.detach())

    def held_out_error(self, autocast: bool) -> tuple[float, float]:
        """How far the averaged network is on held-out scenes: from the teacher's maps, and mean absolute difference from its alpha."""
        hints = error = 0.0
        for start in range(0, len(self.held_out), 8):
            batch = self.batches.take(self.held_out[start : start + 8], SIZE)
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
                outputs, maps = self.averaged.logits_and_maps(batch.photos)
                hints += float(self.hints(maps, batch.maps)) * len(batch.photos)
            guess = functional.avg_pool2d(torch.sigmoid(outputs[0].float()), 2)
            error += float((guess - batch.teacher).abs().mean()) * len(batch.photos)
        return hints / max(1, len(self.held_out)), error / max(1, len(self.held_out))

    def _record(self, losses: list[tuple[float, float]], pace: float, autocast: bool) -> None:
        phase, rate, drawn = self.recipe.at(self.step - 1)
        loss, hints = np.mean(losses, axis=0)
        row = (self.step, drawn + phase.batch, rate, float(loss), float(hints), *self.held_out_error(autocast), pace)
        self.log.append(dict(zip(LOG_FIELDS, (*row, self.seconds), strict=True)))

    def _progress(self, pace: float) -> str:
        row = self.log[-1]
        left = time.strftime("%H:%M:%S", time.gmtime((self.recipe.steps - self.step) * pace))
        return (
            f"step {self.step}/{self.recipe.steps}  loss {row['loss']:.4f}  hints {row['hints']:.4f}  held out: hints "
            f"{row['held_out_hints']:.4f}  MAE {row['held_out_mae']:.4f}  {row['scenes_per_second']:.1f} scenes/s  {left} left"
        )

    def _save(self) -> None:
        partial = self.folder / "checkpoint.pt.part"
        torch.save(
            {
                "recipe": asdict(self.recipe),
                "step": self.step,
                "seconds": self.seconds,
                "log": self.log,
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "hints": self.hints.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            },
            partial,
        )
        partial.replace(self.folder / "checkpoint.pt")
        table = self.folder / "log.csv.part"
        with table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(self.log)
        table.replace(self.folder / "log.csv")
        draw_curves(self.log, self.folder / "curves.png")

    def _load(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location=self.device)
        if state["recipe"] != asdict(self.recipe):
            raise SystemExit(f"{self.folder} holds a run of another recipe; move it away or name this recipe otherwise")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.hints.load_state_dict(state["hints"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        print(f"continuing {self.folder.name} after step {self.step}", flush=True)


def keep_memory() -> None:
    """Tell glibc to keep what is freed: giving the buffers of a batch back and fetching them anew, page by page, is a third of
    the time that a batch takes. Does nothing elsewhere."""
    largest, without_mapping = 2**31 - 1, 0
    try:
        tune = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    tune(-4, without_mapping)  # M_MMAP_MAX
    tune(-1, largest)  # M_TRIM_THRESHOLD
    tune(-2, 256 << 20)  # M_TOP_PAD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--scenes", type=Path, default=SCENES)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bf16", action="store_true", help="autocast to bfloat16: pays on CPUs with bf16 units and on GPUs"
    )
    parser.add_argument("--save-seconds", type=float, default=240)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    recipe = Recipe.read(options.recipe)
    options.runs.mkdir(parents=True, exist_ok=True)
    (options.runs / "pid").write_text(str(os.getpid()))
    run = Run(recipe, options.runs / options.recipe.stem, open_scenes(options.scenes), torch.device(options.device))
    weights = sum(p.numel() for p in run.network.parameters())
    print(f"{weights:,} weights; {len(run.batches.rows)} scenes, {len(run.held_out)} held out", flush=True)
    run.train(save_seconds=options.save_seconds, autocast=options.bf16)


if __name__ == "__main__":
    main()
