"""Train the built-in network: `python -m training.train RECIPE`.

A recipe (TOML, see recipes/) says what is learnt, from where, and how long. A run lives in `runs/<recipe>/`: checkpoint.pt (written every few
minutes, to a temporary name first), log.csv, and photos.json, the photos that it began with. A run that was killed, even by kill -9, continues
from its last checkpoint when it is started again, to the same weights.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import os
import time
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from training.network import (
    MEAN,
    SIDES,
    STD,
    WIDTHS,
    PocketNetwork,
    Unit,
    add_norms,
    folded,
    from_u2netp,
    halve,
)
from training.photos import RUNS, U2NETP
from training.targets import KINDS, Targets, open_targets

PARTS = {"depth": ("depth",), "decoder": ("depth", "fine"), "whole": ("encoder", "depth", "fine")}
SHARES = {"labelled": 0.87, "true": 0.05, "empty": 0.08}
MOST_CHOOSING = 200
"""Photos to choose by, about; a score should cost no more than a minute or two."""
NORM_PHOTOS = 48
"""Photos from whose statistics the norms start."""
SMALLEST_CROP = 0.7
"""Of a photo's sides, where a part of it is shown."""
LOG_FIELDS = ("step", "photos", "rate", "loss", "seconds_a_photo", "chosen_iou", "chosen_mae", "chosen_empty")


@dataclass(frozen=True)
class Recipe:
    """part: what is learnt: "depth" (stages 3 and deeper), "decoder" (those and stage 2d), or "whole". photos: how many to draw, in
    batches of `batch`. rate: highest learning rate; it rises over `warm_up` steps and falls along a cosine. start: run to start from,
    else U2NetP. averaging: how much of the averaged weights each step keeps. widths: channels in the middle of stages 3 to 6, where
    the run starts from U2NetP. shares: how often each kind of photo is drawn. crops: how often only a part of a photo is shown.
    overlap: weight of the intersection over union in the loss. score_every: photos between two scores. precision: f32, or bf16 where
    the processor computes in it, at half the time."""

    part: str
    photos: int
    rate: float
    batch: int = 8
    start: str = ""
    seed: int = 1
    warm_up: int = 50
    averaging: float = 0.995
    decay: float = 1e-3
    widths: list[int] = field(default_factory=lambda: list(WIDTHS.values()))
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    crops: float = 0.5
    overlap: float = 0.5
    score_every: int = 4000
    precision: str = "f32"

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Raises SystemExit where a part or kind has another name."""
        recipe = cls(**tomllib.loads(path.read_text()))
        if recipe.part not in PARTS or set(recipe.shares) - set(KINDS) or recipe.precision not in ("f32", "bf16"):
            allowed = f"part is one of {', '.join(PARTS)}; shares are of {', '.join(KINDS)}; precision is f32 or bf16"
            raise SystemExit(f"{path.name}: {allowed}")
        return recipe

    @property
    def steps(self) -> int:
        """Batches in all."""
        return max(1, self.photos // self.batch)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return self.rate * min(1.0, (step + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))


class Batch(NamedTuple):
    """photos: float32 [B, 3, 320, 320], ImageNet-normalised. alphas: float32 [B, 1, 160, 160]."""

    photos: Tensor
    alphas: Tensor


class View(NamedTuple):
    """How a photo is shown. box: left, top, right, bottom, as shares of its sides. light: factor of each colour."""

    mirrored: bool = False
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def draw(cls, chance: np.random.Generator, crops: float) -> View:
        """Half of the views are mirrored; a share `crops` shows a part."""
        sides = chance.uniform(SMALLEST_CROP, 1, 2) if chance.random() < crops else np.ones(2)
        left, top = chance.uniform(0, 1, 2) * (1 - sides)
        light = chance.uniform(0.75, 1.25) * chance.uniform(0.93, 1.07, 3)
        box = (float(left), float(top), float(left + sides[0]), float(top + sides[1]))
        return cls(bool(chance.integers(2)), box, tuple(light.tolist()))

    def of(self, picture: np.ndarray) -> Image.Image:
        """The part of `picture`, uint8 [h, w] or [h, w, 3], that is shown, at the size of the whole."""
        seen = Image.fromarray(np.ascontiguousarray(picture[:, ::-1] if self.mirrored else picture))
        if self.box == (0.0, 0.0, 1.0, 1.0):
            return seen
        box = tuple(share * seen.size[place % 2] for place, share in enumerate(self.box))
        return seen.resize(seen.size, Image.Resampling.BILINEAR, box)  # type: ignore[arg-type]


class Score(NamedTuple):
    """On the photos to choose by. iou: mean over the sources of photos. mae: mean error. empty: mean alpha where nothing is. sources: IoU by source."""

    iou: float
    mae: float
    empty: float
    sources: dict[str, float]


class Examples:
    """Photos as tensors; which ones, and how they are shown, follows from the seed and the step."""

    def __init__(self, targets: Targets, recipe: Recipe, folder: Path) -> None:
        self.targets, self.recipe = targets, recipe
        listed = folder / "photos.json"
        if not listed.exists():
            listed.write_text(json.dumps({kind: targets.training(kind) for kind in KINDS}))
        self.names: dict[str, list[str]] = json.loads(listed.read_text())
        known = targets.judging
        self.choosing = known[:: max(1, len(known) // MOST_CHOOSING)]

    def draw(self, step: int, count: int | None = None) -> Batch:
        """The batch of a step."""
        chance = np.random.default_rng([self.recipe.seed, step])
        kinds = [kind for kind in KINDS if self.names[kind] and self.recipe.shares.get(kind)]
        shares = np.array([self.recipe.shares[kind] for kind in kinds])
        drawn = [
            self.names[kind][chance.integers(len(self.names[kind]))]
            for kind in chance.choice(kinds, count or self.recipe.batch, p=shares / shares.sum())
        ]
        return self.take(drawn, [View.draw(chance, self.recipe.crops) for _ in drawn])

    def take(self, names: list[str], views: list[View] | None = None) -> Batch:
        """See `take`."""
        return take(self.targets, names, views)


def take(targets: Targets, names: list[str], views: list[View] | None = None) -> Batch:
    """These photos, each as its view says, or whole."""
    photos, alphas = [], []
    for name, view in zip(names, views or [View()] * len(names), strict=True):
        pixels = np.asarray(view.of(targets.pixels(name)), np.float32)
        photos.append(normalised((pixels * np.array(view.light, np.float32)).clip(0, 255)))
        levels = np.rint(targets.alpha(name).numpy() * 255).astype(np.uint8)
        alphas.append(torch.from_numpy(np.asarray(view.of(levels), np.float32) / 255))
    return Batch(torch.stack(photos).contiguous(memory_format=torch.channels_last), torch.stack(alphas)[:, None])


def normalised(pixels: np.ndarray) -> Tensor:
    """uint8 or float [h, w, 3] in 0 to 255 -> float32 [3, h, w], normalised as ImageNet's photos are."""
    scaled = (np.asarray(pixels, np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(scaled).permute(2, 0, 1)


def mask_loss(logits: Tensor, alphas: Tensor, overlap: float) -> Tensor:
    """Cross-entropy, heavier near edges, and where there is a subject `overlap` times soft intersection over union; both [B, 1, h, w].

    Source of the weighting: Wei et al. 2020, "F3Net: Fusion, Feedback and Focus for Salient Object Detection", AAAI.
    """
    near = functional.avg_pool2d(alphas, 5, stride=1, padding=2, count_include_pad=False)
    entropy = functional.binary_cross_entropy_with_logits(logits, alphas, weight=1 + 3 * (near - alphas).abs())
    if not overlap:
        return entropy
    guess = torch.sigmoid(logits)
    both = (guess * alphas).sum((1, 2, 3))
    either = (guess + alphas - guess * alphas).sum((1, 2, 3))
    return entropy + overlap * ((1 - (both + 4) / (either + 4)) * alphas.amax((1, 2, 3))).mean()


class Run:
    """One training run in one folder; `step` counts what is done."""

    def __init__(self, recipe: Recipe, folder: Path, targets: Targets) -> None:
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.examples = Examples(targets, recipe, folder)
        self.network = start_of(recipe, folder.parent)
        self.network = self.network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.network.requires_grad_(False)
        self.learnt = [self.network.get_submodule(name) for name in PARTS[recipe.part]]
        for part in self.learnt:
            part.requires_grad_(True)
        photos = self.examples.draw(0, NORM_PHOTOS).photos
        add_norms(self.learnt, lambda: self.network(photos))
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        parameters = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, weight_decay=recipe.decay, betas=(0.9, 0.99))
        self.step, self.log, self.losses = 0, list[dict[str, float]](), list[float]()
        if (folder / "checkpoint.pt").exists():
            self._load()

    def train(self, until: int | None = None, save_seconds: float = 240) -> None:
        """Train to step `until`, or to the recipe's end."""
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        every = max(1, self.recipe.score_every // self.recipe.batch)
        started, begun, mark = time.monotonic(), self.step, time.monotonic()
        while self.step < last:
            self.losses.append(self._one_step())
            if self.step % every == 0 or self.step == last:
                self._record((time.monotonic() - started) / ((self.step - begun) * self.recipe.batch))
            if time.monotonic() - mark > save_seconds or self.step == last:
                self._save()
                mark = time.monotonic()

    def _one_step(self) -> float:
        rate = self.recipe.rate_at(self.step)
        self.optimizer.param_groups[0]["lr"] = rate
        loss = self._loss(self.examples.draw(self.step))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], 2.0)
        self.optimizer.step()
        self.step += 1
        share = 1 - min(self.recipe.averaging, self.step / (self.step + 20))
        with torch.no_grad():
            for mine, new in zip(_floats(self.averaged), _floats(self.network), strict=True):
                mine.lerp_(new, share)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            if self.recipe.part == "depth":
                with torch.no_grad():
                    details = halve(self.network.encoder(batch.photos))
                coarse = self.network.depth(details)[1]
            else:
                fine, coarse = self.network.logits(batch.photos)
        loss = self._depth_loss({number: logits.float() for number, logits in coarse.items()}, batch.alphas)
        if self.recipe.part == "depth":
            return loss
        return loss + mask_loss(fine.float() / 2, batch.alphas, self.recipe.overlap)

    def _depth_loss(self, logits: dict[int, Tensor], alphas: Tensor) -> Tensor:
        finest = min(logits)
        loss = mask_loss(logits[finest], functional.avg_pool2d(alphas, 2), self.recipe.overlap)
        for stage, guess in logits.items():
            if stage != finest:
                target = functional.avg_pool2d(alphas, alphas.shape[-1] // guess.shape[-1])
                loss = loss + 0.25 * functional.binary_cross_entropy_with_logits(guess, target)
        return loss

    def score(self, network: PocketNetwork | None = None, batch: int = 8) -> Score:
        """Of the averaged network, or of another one, on the photos to choose by."""
        network = network or self.averaged
        overlaps: dict[str, list[float]] = {}
        errors, empty = [], []
        names = self.examples.choosing
        for start in range(0, len(names), batch):
            some = names[start : start + batch]
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                alphas = network(self.examples.take(some).photos)[:, 0].float()
            for name, alpha in zip(some, alphas, strict=True):
                if self.examples.targets.kinds[name] == "empty":
                    empty.append(float(alpha.mean()))
                    continue
                mask = self.examples.targets.mask(name)
                inside, right = alpha > 0.5, mask > 0.5
                overlap = (float((inside & right).sum()) + 1e-9) / (float((inside | right).sum()) + 1e-9)
                overlaps.setdefault(name.split("__")[0], []).append(overlap)
                errors.append(float((alpha - mask).abs().mean()))
        sources = {source: float(np.mean(values)) for source, values in sorted(overlaps.items())}
        means = [float(np.mean(values)) if values else math.nan for values in (list(sources.values()), errors, empty)]
        return Score(*means, sources)

    def _record(self, pace: float) -> None:
        score = self.score()
        photos = self.step * self.recipe.batch
        rate, loss = self.recipe.rate_at(self.step - 1), float(np.mean(self.losses))
        self.losses = []
        values = (self.step, photos, rate, loss, pace, score.iou, score.mae, score.empty)
        self.log.append(dict(zip(LOG_FIELDS, values, strict=True)))
        left = pace * (self.recipe.photos - photos) / 60
        by_source = "  ".join(f"{source} {iou:.3f}" for source, iou in score.sources.items())
        print(
            f"{photos} of {self.recipe.photos} photos  loss {loss:.4f}  IoU {score.iou:.4f}  MAE {score.mae:.4f}  "
            f"empty {score.empty:.4f}  {pace:.2f} s a photo, {left:.0f} min left\n    {by_source}",
            flush=True,
        )

    def _save(self) -> None:
        state = {
            "recipe": asdict(self.recipe), "step": self.step, "log": self.log, "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        partial = self.folder / "checkpoint.pt.part"
        torch.save(state, partial)
        partial.replace(self.folder / "checkpoint.pt")
        with (self.folder / "log.csv.part").open("w", newline="") as stream:
            rows = csv.DictWriter(stream, LOG_FIELDS)
            rows.writeheader()
            rows.writerows(self.log)
        (self.folder / "log.csv.part").replace(self.folder / "log.csv")

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self.folder / "checkpoint.pt", map_location="cpu")
        if state["recipe"] != asdict(self.recipe):
            raise SystemExit(f"{self.folder} was begun with another recipe; give this one another name")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.log = state["step"], state["log"]


def _floats(network: nn.Module) -> list[Tensor]:
    """What averaging averages: weights and running statistics."""
    return [values for values in network.state_dict().values() if values.is_floating_point()]


def start_of(recipe: Recipe, runs: Path) -> PocketNetwork:
    """The network that a run with this recipe starts from."""
    if recipe.start:
        return load_run(runs / recipe.start)
    torch.manual_seed(recipe.seed)
    return from_u2netp(U2NETP, dict(zip(SIDES, recipe.widths, strict=True))).eval()


def between(folder: Path, share: float) -> PocketNetwork:
    """The network whose weights lie between the start of a run, 0, and its last checkpoint, 1. It is often better than both. It knows
    whether there is a subject where `training.presence` was run for this share.

    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", CVPR.
    """
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", map_location="cpu")
    first, last = (
        folded(network) for network in (start_of(Recipe(**state["recipe"]), folder.parent), load_run(folder))
    )
    with torch.no_grad():
        for mine, other in zip(first.parameters(), last.parameters(), strict=True):
            mine.lerp_(other, share)
    if (folder / "presence.pt").exists():
        learnt = torch.load(folder / "presence.pt", map_location="cpu")
        if learnt["share"] == share:
            first.presence.load_state_dict(learnt["presence"])
    return first


def load_run(folder: Path) -> PocketNetwork:
    """The averaged network of a run's last checkpoint."""
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", map_location="cpu")
    weights: dict[str, Tensor] = state["averaged"]
    network = PocketNetwork(dict(zip(SIDES, state["recipe"]["widths"], strict=True)))
    for name, unit in network.named_modules():
        if isinstance(unit, Unit) and f"{name}.norm.weight" in weights:
            width = len(weights[f"{name}.norm.weight"])
            unit.add_norm(torch.zeros(width), torch.ones(width))
    missing = network.load_state_dict(weights, strict=False)
    if missing.unexpected_keys or any(not name.startswith("presence.") for name in missing.missing_keys):
        raise SystemExit(f"{folder / 'checkpoint.pt'} is of another network")
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--photos", type=Path, default=RUNS / "photos")
    parser.add_argument("--teacher", type=Path, default=RUNS / "teacher")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--save-seconds", type=float, default=240)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe)
    targets = open_targets(options.photos, options.teacher)
    run = Run(recipe, options.runs / options.recipe.stem, targets)
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in run.examples.names.items())
    print(f"{counts}; {len(run.examples.choosing)} to choose by; starts at {run.score()}", flush=True)
    run.train(save_seconds=options.save_seconds)


if __name__ == "__main__":
    main()
