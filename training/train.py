"""Train the pocket network: `python -m training.train RECIPE`.

A recipe (TOML, see recipes/) names the seed and the phases: picture side, batch, photos to draw, learning rate from and to.
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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.augment import Batch, Batches, IntArray, Mixture
from training.cache import CACHE, ROOT, Cache, add_drawn, open_cache
from training.curves import draw_curves
from training.network import MAP_CHANNELS, MEAN, SIZE, STD, PocketNetwork, take_over
from training.teacher import TeacherMap, open_teacher

LOG_FIELDS = ("step", "photos", "side", "rate", "loss", "held_out_mae", "photos_per_second", "seconds")
HELD_OUT_EVERY = 50
NARROW = (32, 64, 128, 160)
"""Widths of the runs before the thirteenth."""


@dataclass(frozen=True)
class Phase:
    """photos: how many to draw, in batches of `batch`. rate: learning rate at the phase's first and last step. cache: side
    of the cached photos to draw from. hints: weight of agreeing with the teacher's maps; they exist beside the cache of 288."""

    side: int
    batch: int
    photos: int
    rate: tuple[float, float]
    cache: int = 288
    hints: float = 0.0

    @property
    def steps(self) -> int:
        return max(1, self.photos // self.batch)


@dataclass(frozen=True)
class Recipe:
    """decay: AdamW's weight decay. averaging: how much of the averaged weights each step keeps (after a warm-up).
    warm_up: steps over which the rate rises at the start. start: run whose averaged weights to start from.
    drawn: whether pictures without a subject are drawn as further scenes. overlap: weight of the soft intersection over
    union beside the cross-entropy; the more, the harder the network decides. widths: of the network; it may be wider than
    the one that it starts from. shares: how often photos of a source are drawn, by the first part of their names; 1, every
    one once an epoch, for sources that are not named."""

    phases: tuple[Phase, ...]
    seed: int = 1
    decay: float = 0.05
    averaging: float = 0.999
    warm_up: int = 300
    start: str = ""
    drawn: bool = False
    overlap: float = 0.7
    widths: tuple[int, ...] = NARROW
    shares: dict[str, float] = field(default_factory=dict)
    mixture: Mixture = field(default_factory=Mixture)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        facts: dict[str, Any] = tomllib.loads(path.read_text())
        phases = tuple(Phase(**{**phase, "rate": tuple(phase["rate"])}) for phase in facts.pop("phases"))
        widths = tuple(facts.pop("widths", NARROW))
        return cls(phases=phases, mixture=Mixture(**facts.pop("mixture", {})), widths=widths, **facts)

    @property
    def caches(self) -> list[int]:
        return sorted({phase.cache for phase in self.phases})

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, float, int]:
        """The phase of `step`, its learning rate, and how many photos were drawn before it."""
        drawn = 0
        rest = step
        for phase in self.phases:
            if rest < phase.steps:
                first, last = phase.rate
                rate = first + (last - first) * rest / max(1, phase.steps - 1)
                return phase, rate * min(1.0, (step + 1) / max(1, self.warm_up)), drawn + rest * phase.batch
            rest -= phase.steps
            drawn += phase.steps * phase.batch
        raise IndexError(f"step {step} is beyond the recipe's {self.steps}")


@dataclass(frozen=True)
class Selection:
    """Which rows of the cache serve for what; see `select`."""

    photos: IntArray
    scenes: IntArray
    crisp: IntArray
    held_out: IntArray


def select(cache: Cache, excluded: set[str], scenes: set[str]) -> Selection:
    """Sort the cached photos by what their teacher alphas are good for.

    A teacher that is right is also sure: photos whose alpha is more half-tone than subject are dropped, and only the surest
    ones are cut out and pasted elsewhere. One photo in fifty is held out to watch the run. `excluded` and the rest of
    BACKGROUND_Google (pictures that a search for "things" found; their alphas are mostly accidents) are never drawn;
    `scenes`, of them, are drawn with an alpha of zero, and so are the pictures that were made for it, together twice as often.
    """
    usable, crisp, held_out, bare, made = [], [], [], [], []
    for row, name in enumerate(cache.names):
        if name in excluded:
            continue
        if name in scenes:
            bare.append(row)
            continue
        if name.startswith("drawn__"):
            made.append(row)
            continue
        if "BACKGROUND_Google" in name:
            continue
        alpha = cache.alphas[row][::4, ::4].astype(np.float32) / 255
        area = float(alpha.mean())
        doubt = float((4 * alpha * (1 - alpha)).mean()) / max(area, 0.02)
        if doubt > 1.0 or not 0.015 < area < 0.9:
            continue
        if row % HELD_OUT_EVERY == 0:
            held_out.append(row)
            continue
        usable.append(row)
        if doubt < 0.2 and area < 0.5:
            crisp.append(row)
    bare = bare * max(1, len(made) // (2 * max(1, len(bare)))) + made
    return Selection(*[np.array(rows, np.int64) for rows in (usable, bare, crisp, held_out)])


def structure_loss(outputs: list[Tensor], alphas: Tensor, overlap: float = 0.7) -> Tensor:
    """Cross-entropy and soft intersection over union, both heavier near edges, at half size and at the coarser depths.

    Half size because that is where the network decides; the doubling after it learns nothing.

    Source of the weighting: Wei et al. 2020, "F3Net: Fusion, Feedback and Focus for Salient Object Detection", AAAI.
    """
    alphas = functional.avg_pool2d(alphas, 2)
    near = functional.avg_pool2d(alphas, (7, 1), stride=1, padding=(3, 0), count_include_pad=False)
    near = functional.avg_pool2d(near, (1, 7), stride=1, padding=(0, 3), count_include_pad=False)
    weights = 1 + 4 * (near - alphas).abs()
    logits = outputs[0]
    entropy = functional.binary_cross_entropy_with_logits(logits, alphas, weight=weights)
    guess = torch.sigmoid(logits)
    both = (weights * guess * alphas).sum((1, 2, 3))
    either = (weights * (guess + alphas - guess * alphas)).sum((1, 2, 3))
    loss = entropy + (1 - (both + 1) / (either + 1)).mean() * overlap
    target = alphas
    for coarse, share in zip(outputs[:0:-1], (0.3, 0.2, 0.2), strict=True):
        target = functional.avg_pool2d(target, target.shape[-1] // coarse.shape[-1])
        loss = loss + share * functional.binary_cross_entropy_with_logits(coarse, target)
    return loss


class Hints(nn.Module):
    """How far the network's maps are from the teacher's, each channel in units of its spread; a 1x1 convolution per map
    translates. Only photos that stand as they are count: the teacher has not seen the others."""

    def __init__(self, teacher: dict[int, TeacherMap]):
        super().__init__()
        self.teacher = teacher
        self.translate = nn.ModuleDict(
            {str(stride): nn.Conv2d(MAP_CHANNELS[stride], len(known.step), 1) for stride, known in teacher.items()}
        )

    def forward(self, maps: dict[int, Tensor], batch: Batch) -> Tensor:
        """Mean squared difference over maps, photos and channels; a scalar."""
        whole = np.flatnonzero(batch.whole)
        total = batch.photos.new_zeros(())
        if not len(whole):
            return total
        where = torch.from_numpy(whole).to(batch.photos.device)
        windows = batch.windows[where].permute(0, 3, 1, 2)
        for stride, known in self.teacher.items():
            values = np.stack([known.values[row] for row in batch.rows[whole]])
            wanted = torch.from_numpy(values).to(batch.photos.device).permute(0, 3, 1, 2).float()
            scale = torch.from_numpy(known.step / known.spread.clip(1e-3)).view(1, -1, 1, 1)
            shift = torch.from_numpy(known.mean / known.spread.clip(1e-3)).view(1, -1, 1, 1)
            wanted = wanted * scale.to(wanted.device) - shift.to(wanted.device)
            places = functional.avg_pool2d(windows, stride).permute(0, 2, 3, 1)
            wanted = functional.grid_sample(wanted, places, padding_mode="reflection", align_corners=False)
            guess = self.translate[str(stride)](maps[stride][where])
            total = total + functional.mse_loss(guess.float(), wanted.clamp(-6, 6)) / len(self.teacher)
        return total


class Run:
    """One training run in one folder; `step` counts what is done."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        caches: dict[int, Cache],
        selection: Selection,
        device: torch.device,
        teacher: dict[int, TeacherMap] | None = None,
    ) -> None:
        self.recipe, self.folder, self.caches, self.selection, self.device = recipe, folder, caches, selection, device
        torch.manual_seed(recipe.seed)
        network, self.hints = PocketNetwork(recipe.widths), Hints(teacher or {}).to(device)
        if recipe.start:
            state = torch.load(folder.parent / recipe.start / "checkpoint.pt", map_location="cpu")
            take_over(network, state["averaged"])
            if teacher and state.get("hints"):
                self.hints.load_state_dict(state["hints"])
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        parameters = [*self.network.parameters(), *self.hints.parameters()]
        matrices = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
        self.batches = {
            side: Batches(
                cache,
                selection.photos,
                selection.scenes,
                selection.crisp,
                recipe.mixture,
                recipe.seed,
                np.array([recipe.shares.get(cache.names[row].split("__")[0], 1.0) for row in selection.photos]),
            )
            for side, cache in caches.items()
        }
        self.step = 0
        self.seconds = 0.0
        self.log: list[dict[str, float]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._load()

    def train(self, until: int | None = None, save_seconds: float = 240, autocast: bool = False) -> None:
        """Train to step `until`, or to the recipe's end."""
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        started = saved = time.monotonic()
        before, losses, seen, seconds = self.step, [], 0, self.seconds
        mark = time.monotonic()
        while self.step < last:
            losses.append(self._one_step(autocast))
            seen += self.recipe.at(self.step - 1)[0].batch
            now = time.monotonic()
            self.seconds = seconds + now - started
            if now - saved > save_seconds or self.step == last:
                self._record(losses, seen / (now - mark))
                self._save()
                pace = (now - started) / (self.step - before)
                print(self._progress(pace), flush=True)
                losses, seen = [], 0
                saved = mark = time.monotonic()

    def _one_step(self, autocast: bool) -> float:
        phase, rate, drawn = self.recipe.at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.batches[phase.cache](self.step, drawn, phase.batch, phase.side, self.device)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            outputs, maps = self.network.logits_and_maps(batch.photos)
            distance = self.hints(maps, batch) if phase.hints else torch.zeros(())
        loss = structure_loss([output.float() for output in outputs], batch.alphas, self.recipe.overlap)
        loss = loss + phase.hints * distance
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
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
        return float(loss.detach())

    def held_out_error(self) -> float:
        """Mean absolute difference of the averaged network from the teacher on held-out photos, at the final size."""
        rows, cache = self.selection.held_out, self.caches[max(self.caches)]
        mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
        total = 0.0
        for start in range(0, len(rows), 8):
            some = rows[start : start + 8]
            photos = torch.from_numpy(cache.photos[some]).permute(0, 3, 1, 2).float() / 255
            photos = functional.interpolate(photos, size=(SIZE, SIZE), mode="bilinear", antialias=True)
            alphas = torch.from_numpy(cache.alphas[some]).float()[:, None] / 255
            alphas = functional.interpolate(alphas, size=(SIZE, SIZE), mode="bilinear", antialias=True)
            with torch.no_grad():
                guess = self.averaged(((photos - mean) / std).to(self.device)).cpu()
            total += float((guess - alphas).abs().mean((1, 2, 3)).sum())
        return total / max(1, len(rows))

    def _record(self, losses: list[float], pace: float) -> None:
        phase, rate, drawn = self.recipe.at(self.step - 1)
        row = (self.step, drawn + phase.batch, phase.side, rate, float(np.mean(losses)), self.held_out_error(), pace)
        self.log.append(dict(zip(LOG_FIELDS, (*row, self.seconds), strict=True)))

    def _progress(self, pace: float) -> str:
        row = self.log[-1]
        left = time.strftime("%H:%M:%S", time.gmtime((self.recipe.steps - self.step) * pace))
        return (
            f"step {self.step}/{self.recipe.steps}  side {row['side']}  loss {row['loss']:.4f}  held-out MAE "
            f"{row['held_out_mae']:.4f}  {row['photos_per_second']:.1f} photos/s  {left} left"
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
                "optimizer": self.optimizer.state_dict(),
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
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        print(f"continuing {self.folder.name} after step {self.step}", flush=True)


def read_names(path: Path) -> set[str]:
    """Names of photos, one a line, `#` for comments; none where the file is absent."""
    if not path.exists():
        return set()
    return {line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")}


def select_by_lists(cache: Cache) -> Selection:
    """`select` by the lists of this folder: what measures and what is doubted is never drawn."""
    excluded = read_names(ROOT / "no_subject.txt") | read_names(ROOT / "doubted.txt")
    return select(cache, excluded, read_names(ROOT / "scenes.txt"))


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
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16: pays on CPUs with AMX and on GPUs")
    parser.add_argument("--save-seconds", type=float, default=240)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    recipe = Recipe.read(options.recipe)
    caches = {side: open_cache(options.cache / str(side)) for side in recipe.caches}
    if recipe.drawn:
        caches = {side: add_drawn(cache, options.cache / str(side)) for side, cache in caches.items()}
    selection = select_by_lists(caches[min(caches)])
    options.runs.mkdir(parents=True, exist_ok=True)
    (options.runs / "pid").write_text(str(os.getpid()))
    hinted = {phase.cache for phase in recipe.phases if phase.hints}
    if len(hinted) > 1:
        raise SystemExit("hints are drawn from one cache; give all phases with hints the same `cache`")
    teacher = {stride: known for side in hinted for stride, known in open_teacher(options.cache / str(side)).items()}
    run = Run(recipe, options.runs / options.recipe.stem, caches, selection, torch.device(options.device), teacher)
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in vars(selection).items())
    print(f"{sum(p.numel() for p in run.network.parameters()):,} weights; {counts}", flush=True)
    run.train(save_seconds=options.save_seconds, autocast=options.bf16)


if __name__ == "__main__":
    main()
