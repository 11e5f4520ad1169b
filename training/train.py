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

from liftout.tuning.loss import decoder_loss, depth_loss
from liftout.tuning.network import SIDES, WIDTHS, PocketNetwork, add_norms, average, folded, halve, load_weights
from liftout.tuning.views import View, normalised
from training.network import from_u2netp
from training.photos import RUNS, U2NETP
from training.targets import KINDS, Targets, open_targets

PARTS = {"depth": ("depth",), "decoder": ("depth", "fine"), "whole": ("encoder", "depth", "fine")}
SHARES = {"labelled": 0.87, "true": 0.05, "empty": 0.08}
MOST_CHOOSING = 200
"""Photos to choose by, about; a score should cost no more than a minute or two."""
NORM_PHOTOS = 48
"""Photos from whose statistics the norms start."""
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
        average(self.averaged, self.network, share)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            if self.recipe.part == "depth":
                with torch.no_grad():
                    details = halve(self.network.encoder(batch.photos))
                coarse = self.network.depth(details)[1]
            else:
                fine, coarse = self.network.logits(batch.photos)
        coarse = {number: logits.float() for number, logits in coarse.items()}
        if self.recipe.part == "depth":
            return depth_loss(coarse, batch.alphas, self.recipe.overlap)
        return decoder_loss(fine.float(), coarse, batch.alphas, self.recipe.overlap)

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
    return mixed(folder / "checkpoint.pt", folder / "presence.pt", share)


def mixed(checkpoint: Path, presence: Path, share: float) -> PocketNetwork:
    """The same from the two files of a run, wherever they are kept; `presence` may be missing."""
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu")
    start = start_of(Recipe(**state["recipe"]), checkpoint.parent.parent)
    first, last = folded(start), folded(_averaged(checkpoint, state))
    average(first, last, share)
    if presence.exists():
        learnt = torch.load(presence, map_location="cpu")
        if learnt["share"] == share:
            first.presence.load_state_dict(learnt["presence"])
    return first


def load_run(folder: Path) -> PocketNetwork:
    """The averaged network of a run's last checkpoint."""
    checkpoint = folder / "checkpoint.pt"
    return _averaged(checkpoint, torch.load(checkpoint, map_location="cpu"))


def _averaged(checkpoint: Path, state: dict[str, Any]) -> PocketNetwork:
    weights: dict[str, Tensor] = state["averaged"]
    network = PocketNetwork(dict(zip(SIDES, state["recipe"]["widths"], strict=True)))
    try:
        load_weights(network, weights)
    except ValueError:
        raise SystemExit(f"{checkpoint} is of another network") from None
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
