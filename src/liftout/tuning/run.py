"""A run of `liftout tune`: from photos with masks to a pack, in rounds, each measured; it goes on after being killed.

    run = TuningRun(source, folder, minutes=20)
    for report in run.rounds():
        print(report.choosing.iou)
    outcome = run.finish()

What is needed to go on lies in one folder: the photos as the network sees them, the recipe, and a checkpoint, each written under another
name first.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from liftout.errors import BelowBar, UsageError
from liftout.files import write_whole
from liftout.models.spec import InputSpec
from liftout.remedies import UseOption
from liftout.tuning import sheet
from liftout.tuning.examples import Examples
from liftout.tuning.lessons import Lessons, scene
from liftout.tuning.measuring import Figures, UInt8, figures
from liftout.tuning.recipe import DEPTH_COST, Recipe
from liftout.tuning.split import Split, split
from liftout.tuning.start import Start, answers

SHARES = (1.0, 0.75, 0.5)
"""How far from the start to what was learnt: looked at when the end has come."""
STAY = 0.3
"""What a lost hundredth of agreement on other photos weighs beside a gained hundredth of IoU, when the share is chosen."""
SAVE_SECONDS = 60.0
SHOWN = 6
"""Held-out photos on the picture of each round."""
_OTHERS_MEASURED = 0.35
"""Of the photos of other kinds, those that are not learnt from: half of them choose, half measure."""
_MOST_OTHERS_MEASURED = 40
_DRAWN_MEASURED = 8


@dataclass(frozen=True)
class Source:
    """What is learnt from. examples: photos with masks. others: photos of other kinds. fingerprint: of all that came in, so that a run
    goes on with the same only."""

    start: Start
    examples: Examples
    others: Examples
    fingerprint: str


@dataclass(frozen=True)
class Round:
    """What a round came to. loss: mean of its steps; NaN where it had none. before, choosing: on the photos that choose. seconds_left: about."""

    number: int
    rounds: int
    step: int
    loss: float
    before: Figures
    choosing: Figures
    best: bool
    seconds_left: float
    picture: Path


@dataclass(frozen=True)
class Outcome:
    """What a run came to. share: of what was learnt. others: what is still answered as before on photos of other kinds. stopped: whether it ended
    before its last step, for want of gain."""

    network: nn.Module
    share: float
    step: int
    before: Figures
    after: Figures
    others: Figures
    choosing_before: Figures
    choosing: Figures
    stopped: bool


class TuningRun:
    """One run in one folder. Raises UsageError where there are too few photos, or where the folder holds a run of other photos or settings."""

    def __init__(self, source: Source, folder: Path, recipe: Recipe, picture: Path) -> None:
        self.source, self.folder, self.picture = source, folder, picture
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe = self._agreed(recipe)
        self.split: Split = split(source.examples, self.recipe.seed)
        seen_as = source.start.spec.input
        self.others = _split_others(source.others, self.recipe.seed, seen_as)
        training = source.examples.take(self.split.training)
        self.choosing = source.examples.take(self.split.choosing)
        self.held_out = source.examples.take(self.split.held_out)
        old = source.start.network()
        self._answered = {
            "choosing": self._answers(old, self.choosing.pixels),
            "held_out": self._answers(old, self.held_out.pixels),
            "others": self._answers(old, self.others[1].pixels),
            "others_held_out": self._answers(old, self.others[2].pixels),
        }
        del old  # before there is a second one
        self.learner = source.start.learner(self.recipe, Lessons(training, self.others[0], self.recipe, seen_as))
        self.before = figures(self._answered["choosing"], self.choosing.masks)
        self.best: tuple[float, int, dict[str, torch.Tensor]] | None = None
        self._barren = 0
        self._losses: list[float] = []
        self.stopped = False
        self.resumed = self._load()

    def rounds(self) -> Iterator[Round]:
        """Learn; gives a report at the end of each round, before which its checkpoint is written."""
        ends = self.recipe.round_ends
        began, first, mark = time.monotonic(), self.learner.step, time.monotonic()
        while self.learner.step < self.recipe.steps and not self.stopped:
            self._losses.append(self.learner.advance())
            step = self.learner.step
            if step in ends:
                report = self._measured(ends.index(step) + 1, len(ends), began, first)
                self.save()
                mark = time.monotonic()
                yield report
            elif time.monotonic() - mark > SAVE_SECONDS:
                self.save()
                mark = time.monotonic()

    def finish(self) -> Outcome:
        """Choose how much of what was learnt is kept, and measure it on what was held out. Raises BelowBar where nothing was gained."""
        before = figures(self._answered["held_out"], self.held_out.masks)
        share, network, choosing = self._chosen()
        if network is None:
            raise BelowBar(
                f"nothing was gained on the {len(self.choosing)} photos that choose (IoU {self.before.iou:.3f} before); nothing was written",
                remedy=("give more photos", UseOption("check", True)),
            )
        after = figures(self._answers(network, self.held_out.pixels), self.held_out.masks)
        if after.iou < before.iou:
            raise BelowBar(
                f"the {before.photos} photos that were held out came out worse (IoU {after.iou:.3f}, before {before.iou:.3f}); "
                "nothing was written",
                remedy=("give more photos", UseOption("check", True)),
            )
        others = figures(self._answers(network, self.others[2].pixels), self._answered["others_held_out"])
        assert self.best is not None  # noqa: S101 - there is a network
        return Outcome(network, share, self.best[1], before, after, others, self.before, choosing, self.stopped)

    def _chosen(self) -> tuple[float, nn.Module | None, Figures]:
        """The share that is best on the photos that choose, less what is lost on others; no network where none is better than the start."""
        best: tuple[float, float, nn.Module | None, Figures] = self.before.iou, 0.0, None, self.before
        for share in SHARES if self.best else ():
            network = self.learner.at_share(share, self.best[2])  # type: ignore[index]
            own = figures(self._answers(network, self.choosing.pixels), self.choosing.masks)
            kept = figures(self._answers(network, self.others[1].pixels), self._answered["others"])
            worth = own.iou - STAY * (1 - kept.iou)
            if own.iou > self.before.iou and (best[2] is None or worth > best[0]):
                best = worth, share, network, own
        return best[1], best[2], best[3]

    def _measured(self, number: int, rounds: int, began: float, first: int) -> Round:
        network = self.learner.at_share(1)
        choosing = figures(self._answers(network, self.choosing.pixels), self.choosing.masks)
        better = choosing.iou > (self.best[0] if self.best else self.before.iou)
        if better:
            self.best = choosing.iou, self.learner.step, self.learner.weights()
        if better:
            self._barren = 0
        elif self.recipe.part_at(self.learner.step - 1) == "decoder":  # the second part begins with a step back
            self._barren += 1
        self.stopped = self._barren >= self.recipe.patience
        loss = float(np.mean(self._losses)) if self._losses else float("nan")
        self._losses = []
        self._draw(network)
        done, left = self._cost(first, self.learner.step), self._cost(self.learner.step, self.recipe.steps)
        seconds = 0.0 if self.stopped else (time.monotonic() - began) * left / max(done, 1e-9)
        return Round(number, rounds, self.learner.step, loss, self.before, choosing, better, seconds, self.picture)

    def _cost(self, first: int, last: int) -> float:
        """What the steps from `first` to `last` cost, in steps of the second part."""
        depth = max(0, min(last, self.recipe.depth_steps) - min(first, self.recipe.depth_steps))
        return last - first - depth * (1 - DEPTH_COST)

    def _answers(self, network: nn.Module, pixels: UInt8) -> UInt8:
        return answers(self.source.start, network, pixels)

    def _draw(self, network: nn.Module) -> None:
        """The picture of held-out photos, as before and as now."""
        rows = [round(row) for row in np.linspace(0, len(self.held_out) - 1, min(SHOWN, len(self.held_out)))]
        shown = self.held_out.take(rows)
        now = self._answers(network, shown.pixels)
        before = self._answered["held_out"][rows]
        drawn = []
        for k, name in enumerate(shown.names):
            mask = shown.masks[k]
            one, two = (figures(alphas[k : k + 1], mask[None]) for alphas in (before, now))
            caption = name, f"IoU {one.iou:.3f} before, {two.iou:.3f} now"
            drawn.append(sheet.Row(caption, shown.sizes[k], shown.pixels[k], (mask, before[k], now[k])))
        write_whole(self.picture, sheet.draw(("photo", "mask", "before", "now"), drawn), overwrite=True)

    def _agreed(self, recipe: Recipe) -> Recipe:
        """The recipe of the run that is in the folder, else this one, which is written there."""
        file = self.folder / "recipe.json"
        facts = {"photos": self.source.fingerprint, "recipe": recipe.to_dict()}
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))
            if known["photos"] != facts["photos"]:
                raise UsageError(
                    "a run of other photos or settings was begun under this name",
                    subject=self.folder.name,
                    remedy=(UseOption("overwrite", True), "give another name"),
                )
            return Recipe.from_dict(known["recipe"])
        write_whole(file, (json.dumps(facts, indent=1) + "\n").encode(), overwrite=True)
        return recipe

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "learner": self.learner.state(),
            "best": self.best,
            "barren": self._barren,
            "losses": self._losses,
            "stopped": self.stopped,
        }
        partial = self.folder / "checkpoint.partial"
        torch.save(state, partial)
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(self.folder / "checkpoint.pt")

    def _load(self) -> bool:
        file = self.folder / "checkpoint.pt"
        if not file.exists():
            return False
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        self.learner.load(state["learner"])
        self.best, self._barren = state["best"], state["barren"]
        self._losses, self.stopped = state["losses"], state["stopped"]
        return True


def fingerprint(*parts: object) -> str:
    """Of all that a run depends on."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _split_others(others: Examples, seed: int, seen_as: InputSpec) -> tuple[Examples, Examples, Examples]:
    """To learn from, to choose by, to measure on; drawn scenes join the last two."""
    order = np.random.default_rng([seed, 6]).permutation(len(others)).tolist()
    apart = min(_MOST_OTHERS_MEASURED, round(_OTHERS_MEASURED * len(others)))
    choosing, held_out = order[: apart // 2], order[apart // 2 : apart]
    scenes = [_scenes(900_000_000 + part * 1000, _DRAWN_MEASURED, seen_as) for part in (0, 1)]
    return (
        others.take(order[apart:]),
        _joined(others.take(choosing), scenes[0]),
        _joined(others.take(held_out), scenes[1]),
    )


def _scenes(first: int, count: int, seen_as: InputSpec) -> UInt8:
    return np.stack([scene(first + k, seen_as) for k in range(count)])


def _joined(examples: Examples, pixels: UInt8) -> Examples:
    names = tuple(f"drawn scene {k + 1}" for k in range(len(pixels)))
    masks = np.zeros(pixels.shape[:3], np.uint8)
    sizes = tuple((picture.shape[0], picture.shape[1]) for picture in pixels)
    return Examples(
        examples.names + names,
        np.concatenate([examples.pixels, pixels]),
        np.concatenate([examples.masks, masks]),
        examples.sizes + sizes,
    )
