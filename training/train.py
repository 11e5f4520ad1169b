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
from torch import Tensor, nn
from torch.nn import functional

from training.features import U2NETP, Features, open_features
from training.network import MEAN, SIDES, STD, WIDTHS, PocketNetwork, from_u2netp
from training.photos import RUNS
from training.targets import KINDS, Targets, open_targets

PARTS = ("depth", "fine", "whole")
SHARES = {"labelled": 0.72, "true": 0.06, "small teacher": 0.2, "empty": 0.02}
"""Few without a subject: a seventh of them taught the network to leave hard photos empty too."""
MOST_CHOOSING = 140
"""Photos to choose by, about; a score should cost no more than a minute or two."""
LOG_FIELDS = ("step", "photos", "rate", "loss", "seconds_a_photo", "chosen_iou", "chosen_mae", "chosen_empty")


@dataclass(frozen=True)
class Recipe:
    """part: what is learnt: "depth" (stages 3 and deeper, on stored features), "fine" (stage 2d), or "whole" (all, on photos).
    photos: how many to draw, in batches of `batch`. rate: highest learning rate; it rises over `warm_up` steps and falls along a
    cosine. start: run to start from, else U2NetP. averaging: how much of the averaged weights each step keeps. widths: channels in
    the middle of stages 3 to 6, where the run starts from U2NetP. shares: how often each kind of photo is drawn."""

    part: str
    photos: int
    rate: float
    batch: int = 8
    start: str = ""
    seed: int = 1
    warm_up: int = 20
    averaging: float = 0.99
    decay: float = 1e-3
    widths: list[int] = field(default_factory=lambda: list(WIDTHS.values()))
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Raises SystemExit where a part or kind has another name."""
        recipe = cls(**tomllib.loads(path.read_text()))
        if recipe.part not in PARTS or set(recipe.shares) - set(KINDS):
            raise SystemExit(f"{path.name}: part is one of {', '.join(PARTS)}; shares are of {', '.join(KINDS)}")
        return recipe

    @property
    def steps(self) -> int:
        """Batches in all."""
        return max(1, self.photos // self.batch)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return self.rate * min(1.0, (step + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))


class Batch(NamedTuple):
    """inputs: features [B, 64, 80, 80] or photos [B, 3, 320, 320], float32. alphas: float32 [B, 1, 160, 160]."""

    inputs: Tensor
    alphas: Tensor


class Score(NamedTuple):
    """On the photos to choose by. iou: mean over the sources of photos. mae: mean error. empty: mean alpha where nothing is. sources: IoU by source."""

    iou: float
    mae: float
    empty: float
    sources: dict[str, float]


class Examples:
    """Photos as tensors, half of them mirrored; which ones follows from the seed and the step. features: None where photos are wanted."""

    def __init__(self, targets: Targets, features: Features | None, recipe: Recipe, folder: Path) -> None:
        self.targets, self.features, self.recipe = targets, features, recipe
        self.places = {name: row for row, name in enumerate(features.names)} if features else targets.rows
        listed = folder / "photos.json"
        if not listed.exists():
            known = {kind: [name for name in targets.training(kind) if name in self.places] for kind in KINDS}
            listed.write_text(json.dumps(known))
        self.names: dict[str, list[str]] = json.loads(listed.read_text())
        known = [name for name in targets.choosing if name in self.places and targets.kinds[name] != "small teacher"]
        self.choosing = known[:: max(1, len(known) // MOST_CHOOSING)]

    def draw(self, step: int) -> Batch:
        """The batch of a step."""
        chance = np.random.default_rng([self.recipe.seed, step])
        kinds = [kind for kind in KINDS if self.names[kind] and self.recipe.shares.get(kind)]
        shares = np.array([self.recipe.shares[kind] for kind in kinds])
        drawn = [
            self.names[kind][chance.integers(len(self.names[kind]))]
            for kind in chance.choice(kinds, self.recipe.batch, p=shares / shares.sum())
        ]
        return self.take(drawn, chance.integers(2, size=len(drawn)).tolist())

    def take(self, names: list[str], mirrored: list[int]) -> Batch:
        """These photos; `mirrored` has a 1 for each that is seen mirrored."""
        inputs, alphas = [], []
        for name, turn in zip(names, mirrored, strict=True):
            place, alpha = self.places[name], self.targets.alpha(name)
            inputs.append(self.features.take(place, turn) if self.features else self._photo(place, turn))
            alphas.append(alpha.flip(1) if turn else alpha)
        stacked = torch.stack(inputs).contiguous(memory_format=torch.channels_last)
        return Batch(stacked, torch.stack(alphas)[:, None])

    def _photo(self, row: int, mirrored: int) -> Tensor:
        pixels = np.array(self.targets.photos.pixels[row][:, :: -1 if mirrored else 1])
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        return (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / std


def mask_loss(logits: Tensor, alphas: Tensor) -> Tensor:
    """Cross-entropy, heavier near edges, and where there is a subject soft intersection over union; both [B, 1, h, w].

    Source of the weighting: Wei et al. 2020, "F3Net: Fusion, Feedback and Focus for Salient Object Detection", AAAI.
    """
    near = functional.avg_pool2d(alphas, 5, stride=1, padding=2, count_include_pad=False)
    entropy = functional.binary_cross_entropy_with_logits(logits, alphas, weight=1 + 3 * (near - alphas).abs())
    guess = torch.sigmoid(logits)
    both = (guess * alphas).sum((1, 2, 3))
    either = (guess + alphas - guess * alphas).sum((1, 2, 3))
    return entropy + 0.5 * ((1 - (both + 4) / (either + 4)) * alphas.amax((1, 2, 3))).mean()


class Run:
    """One training run in one folder; `step` counts what is done."""

    def __init__(self, recipe: Recipe, folder: Path, targets: Targets, features: Features | None) -> None:
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.examples = Examples(targets, features, recipe, folder)
        torch.manual_seed(recipe.seed)
        widths = dict(zip(SIDES, recipe.widths, strict=True))
        self.network = load_run(folder.parent / recipe.start) if recipe.start else from_u2netp(U2NETP, widths)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        learnt = {"depth": self.network.depth, "fine": self.network.fine, "whole": self.network}[recipe.part]
        self.network.requires_grad_(False)
        learnt.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(learnt.parameters(), weight_decay=recipe.decay, betas=(0.9, 0.99))
        self.step, self.log = 0, list[dict[str, float]]()
        if (folder / "checkpoint.pt").exists():
            self._load()

    def train(self, until: int | None = None, save_seconds: float = 240) -> None:
        """Train to step `until`, or to the recipe's end."""
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        losses: list[float] = []
        mark = time.monotonic()
        while self.step < last:
            losses.append(self._one_step())
            now = time.monotonic()
            if now - mark > save_seconds or self.step == last:
                self._record(losses, (now - mark) / (len(losses) * self.recipe.batch))
                self._save()
                losses, mark = [], time.monotonic()

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
            for mine, new in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mine.lerp_(new, share)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Tensor:
        if self.recipe.part == "depth":
            return self._depth_loss(self.network.depth(batch.inputs)[1], batch.alphas)
        fine, coarse = self.network.logits(batch.inputs)
        loss = mask_loss(fine, batch.alphas)
        return loss + self._depth_loss(coarse, batch.alphas) if self.recipe.part == "whole" else loss

    @staticmethod
    def _depth_loss(logits: dict[int, Tensor], alphas: Tensor) -> Tensor:
        finest = min(logits)
        loss = mask_loss(logits[finest], functional.avg_pool2d(alphas, 2))
        for stage, guess in logits.items():
            if stage != finest:
                target = functional.avg_pool2d(alphas, alphas.shape[-1] // guess.shape[-1])
                loss = loss + 0.25 * functional.binary_cross_entropy_with_logits(guess, target)
        return loss

    def score(self, network: PocketNetwork | None = None, batch: int = 8) -> Score:
        """Of the averaged network, or of another one, on the photos to choose by."""
        network = network or self.averaged
        found: dict[str, list[float]] = {}
        errors, empty = [], []
        names = self.examples.choosing
        for start in range(0, len(names), batch):
            some = names[start : start + batch]
            inputs = self.examples.take(some, [0] * len(some)).inputs
            with torch.no_grad():
                alphas = self._answer(network, inputs)[:, 0]
            for name, alpha in zip(some, alphas, strict=True):
                if self.examples.targets.kinds[name] == "empty":
                    empty.append(float(alpha.mean()))
                    continue
                mask = self.examples.targets.mask(name)
                inside, right = alpha > 0.5, mask > 0.5
                overlap = (float((inside & right).sum()) + 1e-9) / (float((inside | right).sum()) + 1e-9)
                found.setdefault(name.split("__")[0], []).append(overlap)
                errors.append(float((alpha - mask).abs().mean()))
        sources = {source: float(np.mean(values)) for source, values in sorted(found.items())}
        means = [float(np.mean(values)) if values else math.nan for values in (list(sources.values()), errors, empty)]
        return Score(*means, sources)

    def _answer(self, network: PocketNetwork, inputs: Tensor) -> Tensor:
        """Alphas at half size."""
        if self.recipe.part != "depth":
            return network(inputs)  # type: ignore[no-any-return]
        alphas = torch.sigmoid(network.depth(inputs)[1][3])
        return functional.interpolate(alphas, scale_factor=2.0, mode="bilinear", align_corners=False)

    def _record(self, losses: list[float], pace: float) -> None:
        score = self.score()
        photos = self.step * self.recipe.batch
        rate, loss = self.recipe.rate_at(self.step - 1), float(np.mean(losses))
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


def load_run(folder: Path) -> PocketNetwork:
    """The averaged network of a run's last checkpoint."""
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", map_location="cpu")
    network = PocketNetwork(dict(zip(SIDES, state["recipe"]["widths"], strict=True)))
    network.load_state_dict(state["averaged"])
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--photos", type=Path, default=RUNS / "photos")
    parser.add_argument("--teacher", type=Path, default=RUNS / "teacher")
    parser.add_argument("--features", type=Path, default=RUNS / "features")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--save-seconds", type=float, default=240)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe)
    targets = open_targets(options.photos, options.teacher)
    features = open_features(options.features) if recipe.part == "depth" else None
    run = Run(recipe, options.runs / options.recipe.stem, targets, features)
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in run.examples.names.items())
    print(f"{counts}; {len(run.examples.choosing)} to choose by; starts at {run.score()}", flush=True)
    run.train(save_seconds=options.save_seconds)


if __name__ == "__main__":
    main()
