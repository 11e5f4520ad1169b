"""Teach the prompted network: `python -m training.points.train RECIPE`.

A batch is a few scenes, each with a session (`session.py`): the encoder, which stays, sees a scene once, and every click of its session is one
step of the optimizer. What is given is time: the rate falls to zero when the recipe's minutes, counted over all its starts, are spent. A run
lives in `runs/<recipe>/`: checkpoint.pt (written every few minutes, to a temporary name first; a run that was killed goes on from
it), log.csv, and points.pt, the averaged weights in half precision, with norms folded in.
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import time
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from liftout.tuning.loss import mask_loss
from liftout.tuning.network import SIDES, PocketNetwork, add_norms, average, halve
from liftout.tuning.views import normalised
from training.photos import ROOT, RUNS
from training.points.network import Marks, PromptedNetwork, compact, prompted, read
from training.points.scenes import Scene, Scenes
from training.points.session import KINDS, Session, marks, resized
from training.points.simulate import box_around, largest_error, middle, overlap
from training.targets import open_targets
from training.train import mixed

FloatArray = npt.NDArray[np.float32]

KEPT = ROOT / "checkpoints"
SHARE = 0.5
"""The built-in network's, of its run `decoder`; see RUNS.md."""
KEPT_START = "kept"
NORM_SCENES = 32
CHOOSING_PHOTOS, CHOOSING_SCENES = 30, 20
LOG = (
    "step",
    "minutes",
    "rate",
    "loss",
    "photo_0",
    "photo_1",
    "photo_3",
    "photo_worse",
    "photo_box",
    "scene_1",
    "scene_box",
)


@dataclass(frozen=True)
class Recipe:
    """minutes: of training, scores not counted. rate: highest learning rate of what the built-in network has; it rises over `warm_up`
    steps and falls along a cosine. fresh: how much higher that of what it does not have is. side: of the photos, 320 from the share
    `whole_from` of the time on. batch: scenes; clicks: of a session. several: how often a scene has more than one subject. overlap: weight of the
    intersection over union in the loss. asked: weight of the cross-entropy where a click asks for a change. averaging: how much of the
    averaged weights each step keeps. start: run to begin from, KEPT_START for the checkpoint that is committed, else the built-in network.
    kinds: how often sessions begin in each way, see `session.py`."""

    minutes: float
    rate: float = 2e-4
    fresh: float = 5.0
    side: int = 256
    whole_from: float = 0.6
    batch: int = 4
    clicks: int = 3
    several: float = 0.5
    overlap: float = 1.0
    asked: float = 0.0
    averaging: float = 0.99
    decay: float = 1e-3
    warm_up: int = 30
    seed: int = 1
    start: str = ""
    kinds: dict[str, float] = field(default_factory=lambda: dict(KINDS))

    @classmethod
    def read(cls, path: Path, minutes: float | None = None) -> Recipe:
        """minutes: instead of those in the file."""
        return cls(**(tomllib.loads(path.read_text()) | ({} if minutes is None else {"minutes": minutes})))

    def rate_at(self, step: int, spent: float) -> float:
        """Learning rate. spent: share of the minutes."""
        return self.rate * min(1.0, (step + 1) / self.warm_up) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, spent)))


class Run:
    """One run in one folder."""

    def __init__(self, recipe: Recipe, folder: Path, photos: Path, teacher: Path, *, bf16: bool = False) -> None:
        self.recipe, self.folder, self.bf16 = recipe, folder, bf16
        folder.mkdir(parents=True, exist_ok=True)
        targets = open_targets(photos, teacher)
        self.scenes, self.choosing = Scenes(targets, choosing=False), Scenes(targets, choosing=True)
        self.built_in = built_in()
        kept = recipe.start == KEPT_START
        self.network = read(KEPT / "points.pt").requires_grad_(True) if kept else prompted(self.built_in, recipe.seed)
        self.network = self.network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        with torch.no_grad():
            batch = [self.scenes.draw(recipe.seed + 1000, k, recipe.several) for k in range(NORM_SCENES)]
            details = torch.cat([self._see(batch[k : k + 8], 320)[0] for k in range(0, NORM_SCENES, 8)])
        nothing = Marks(*(torch.full((NORM_SCENES, 1, 2), -1.0) for _ in range(2)), *_unsaid(NORM_SCENES, 160))
        add_norms([self.network.depth, self.network.fine], lambda: self.network(details, nothing))
        if recipe.start and not kept:
            begun = torch.load(folder.parent / recipe.start / "checkpoint.pt", map_location="cpu")
            self.network.load_state_dict(begun["network"])
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        fresh = {id(values) for part in self.network.prompted for values in part.parameters()}
        learnt = [values for values in self.network.parameters() if values.requires_grad]
        groups = [
            {"params": [values for values in learnt if id(values) not in fresh]},
            {"params": [values for values in learnt if id(values) in fresh]},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.decay, betas=(0.9, 0.99))
        self.step, self.batches, self.seconds = 0, 0, 0.0
        self.log, self.losses = list[dict[str, float]](), list[float]()
        if (folder / "checkpoint.pt").exists():
            self._load()

    @property
    def spent(self) -> float:
        """Share of the recipe's minutes."""
        return self.seconds / (60 * self.recipe.minutes)

    def train(self, score_minutes: float, save_seconds: float = 180, batches: int | None = None) -> None:
        """Until the minutes are spent, or so many batches are done in all."""
        saved, scored = self.seconds, self.seconds
        while self.spent < 1 and (batches is None or self.batches < batches):
            began = time.monotonic()
            self._one_batch()
            self.seconds += time.monotonic() - began
            if self.seconds - scored >= 60 * score_minutes:
                self._record()
                scored = self.seconds
            if self.seconds - saved >= save_seconds:
                self._save()
                saved = self.seconds
        self._record()
        self._save()

    def _one_batch(self) -> None:
        recipe = self.recipe
        side = 320 if self.spent >= recipe.whole_from else recipe.side
        chance = np.random.default_rng([recipe.seed, self.batches, 5])
        first = self.batches * recipe.batch
        scenes = [self.scenes.draw(recipe.seed, first + k, recipe.several) for k in range(recipe.batch)]
        with torch.no_grad():
            details, automatic = self._see(scenes, side)
        shares = np.array(list(recipe.kinds.values()))
        kinds = chance.choice(list(recipe.kinds), recipe.batch, p=shares / shares.sum())
        sessions = [
            Session.begin(scene, alpha, str(kind), chance)
            for scene, alpha, kind in zip(scenes, automatic, kinds, strict=True)
        ]
        truths = torch.from_numpy(np.stack([resized(session.truth, side // 2) for session in sessions]))[:, None]
        for click in range(recipe.clicks):
            asked = torch.from_numpy(np.stack([resized(session.asked(), side // 2) for session in sessions]))[:, None]
            answers = self._one_step(details, marks(sessions, side // 2), truths, asked)
            if click + 1 < recipe.clicks:
                for session, answer in zip(sessions, answers, strict=True):
                    session.go_on(answer, chance)
        self.batches += 1

    def _one_step(self, details: Tensor, said: Marks, truths: Tensor, asked: Tensor) -> list[FloatArray]:
        """One step of the optimizer; the answers before it, each float32 [160, 160]."""
        rate = self.recipe.rate_at(self.step, self.spent)
        for group, factor in zip(self.optimizer.param_groups, (1.0, self.recipe.fresh), strict=True):
            group["lr"] = rate * factor
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits, coarse = self.network(details, said)
        logits, coarse = logits.float(), {number: guess.float() for number, guess in coarse.items()}
        loss = self._loss(logits, coarse, truths, asked)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        self.step += 1
        self.losses.append(float(loss.detach()))
        share = 1 - min(self.recipe.averaging, self.step / (self.step + 20))
        average(self.averaged, self.network, share)
        return alphas(logits.detach())

    def _loss(self, logits: Tensor, coarse: dict[int, Tensor], truths: Tensor, asked: Tensor) -> Tensor:
        loss = mask_loss(logits / 2, truths, self.recipe.overlap)
        if self.recipe.asked:
            each = functional.binary_cross_entropy_with_logits(logits / 2, truths, reduction="none") * asked
            means = each.sum((1, 2, 3)) / asked.sum((1, 2, 3)).clamp(min=1)
            loss = loss + self.recipe.asked * means.mean()
        for number in SIDES:
            small = functional.avg_pool2d(truths, truths.shape[-1] // coarse[number].shape[-1])
            if number == SIDES[0]:
                loss = loss + mask_loss(coarse[number], small, self.recipe.overlap) / 2
            else:
                loss = loss + 0.15 * functional.binary_cross_entropy_with_logits(coarse[number], small)
        return loss

    def _see(self, scenes: list[Scene], side: int) -> tuple[Tensor, list[FloatArray]]:
        """Details of the encoder, and the automatic alphas."""
        photos = [cv2.resize(scene.pixels, (side, side), interpolation=cv2.INTER_AREA) for scene in scenes]
        tensor = torch.stack([normalised(photo) for photo in photos])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            details, automatic = see(self.built_in, tensor)
        return details.float(), automatic

    def score(self, network: PromptedNetwork | None = None) -> dict[str, float]:
        """On photos and scenes to choose by, raw answers: mean IoU of photos before any click, after one and three, the share that the first
        made worse, and with a box alone; of scenes with several subjects, of the subject that was clicked on, or boxed."""
        network = network or self.averaged
        names = self.choosing.photos[:: max(1, len(self.choosing.photos) // CHOOSING_PHOTOS)][:CHOOSING_PHOTOS]
        found: dict[str, list[float]] = {name: [] for name in LOG[4:]}
        for name in names:
            scene = self.choosing.photo(name)
            truth = scene.subjects[0]
            if (truth > 0.5).sum() < 200:
                continue
            details, (automatic,) = self._see([scene], 320)
            session = Session(truth, automatic, automatic)
            ious = [overlap(automatic > 0.5, truth > 0.5)]
            answer = automatic
            for _ in range(3):
                region, keep = largest_error(answer > 0.5, truth > 0.5)
                if region.any():
                    x, y = middle(region)
                    (session.keep if keep else session.drop).append((x / 160, y / 160))
                    session.start, session.since = answer, (session.keep, session.drop)
                    answer = ask(network, details, session)
                ious.append(overlap(answer > 0.5, truth > 0.5))
            found["photo_0"].append(ious[0])
            found["photo_1"].append(ious[1])
            found["photo_3"].append(ious[3])
            found["photo_worse"].append(float(ious[1] < ious[0]))
            found["photo_box"].append(self._boxed(network, details, truth))
        number = 0
        while len(found["scene_1"]) < CHOOSING_SCENES:
            scene, number = self.choosing.draw(99, number, 1.0), number + 1
            if len(scene.subjects) < 2:
                continue
            details, _ = self._see([scene], 320)
            truth = scene.subjects[number % len(scene.subjects)]
            if (truth > 0.5).sum() < 200:
                continue
            x, y = middle(truth > 0.5)
            session = Session(truth, None, None, keep=[(x / 160, y / 160)])
            session.since = session.keep, session.drop
            found["scene_1"].append(overlap(ask(network, details, session) > 0.5, truth > 0.5))
            found["scene_box"].append(self._boxed(network, details, truth))
        return {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}

    def _boxed(self, network: PromptedNetwork, details: Tensor, truth: FloatArray) -> float:
        left, top, right, bottom = (at / 160 for at in box_around(truth > 0.5))
        session = Session(truth, None, None, (left, top, right, bottom))
        return overlap(ask(network, details, session) > 0.5, truth > 0.5)

    def _record(self) -> None:
        score = self.score()
        rate = self.recipe.rate_at(self.step, self.spent)
        loss = float(np.mean(self.losses)) if self.losses else math.nan
        self.losses = []
        line = {"step": self.step, "minutes": round(self.seconds / 60, 2), "rate": rate, "loss": loss, **score}
        self.log.append(line)
        print("  ".join(f"{name} {value:.4g}" for name, value in line.items()), flush=True)

    def _save(self) -> None:
        state = {
            "recipe": asdict(self.recipe), "step": self.step, "batches": self.batches, "seconds": self.seconds, "log": self.log,
            "network": self.network.state_dict(), "averaged": self.averaged.state_dict(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        for name, content in (("checkpoint.pt", state), ("points.pt", compact(self.averaged))):
            partial = self.folder / f"{name}.part"
            torch.save(content, partial)
            partial.replace(self.folder / name)
        partial = self.folder / "log.csv.part"
        with partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, LOG)
            writer.writeheader()
            writer.writerows(self.log)
        partial.replace(self.folder / "log.csv")

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self.folder / "checkpoint.pt", map_location="cpu")
        if {**state["recipe"], "minutes": 0} != {**asdict(self.recipe), "minutes": 0}:
            raise SystemExit(f"{self.folder} was begun with another recipe; give this one another name")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.batches, self.seconds = state["step"], state["batches"], state["seconds"]
        self.log = state["log"]


def built_in() -> PocketNetwork:
    """The network that ships, in float32."""
    network = mixed(KEPT / "decoder.pt", KEPT / "presence.pt", SHARE)
    network = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return network.requires_grad_(False)


def see(network: PocketNetwork, photos: Tensor) -> tuple[Tensor, list[FloatArray]]:
    """Details of the encoder, and the automatic alphas, each float32 [160, 160]."""
    with torch.no_grad():
        details = network.encoder(photos.contiguous(memory_format=torch.channels_last))
        deep, logits, means = network.depth(halve(details))
        fine = network.fine(details, deep, logits[SIDES[0]]) + network.presence(means)
    return details, alphas(fine)


def alphas(logits: Tensor) -> list[FloatArray]:
    """float32 [B, 1, h, w] -> B times float32 [160, 160]."""
    found = torch.sigmoid(logits.float())
    if found.shape[-1] != 160:
        found = functional.interpolate(found, size=(160, 160), mode="bilinear", align_corners=False)
    return list(found[:, 0].numpy())


def ask(network: PromptedNetwork, details: Tensor, session: Session) -> FloatArray:
    """The answer, float32 [160, 160]."""
    with torch.no_grad():
        return alphas(network(details, marks([session], details.shape[-1]))[0])[0]


def _unsaid(count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(count, 4), torch.zeros(count, 1, side, side), torch.zeros(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--minutes", type=float, help="instead of the recipe's")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--photos", type=Path, default=RUNS / "photos")
    parser.add_argument("--teacher", type=Path, default=RUNS / "teacher")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--bf16", action="store_true", help="faster where the processor has units for it")
    parser.add_argument("--score-minutes", type=float, default=8, help="minutes of training between two scores")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe, options.minutes)
    run = Run(recipe, options.runs / options.recipe.stem, options.photos, options.teacher, bf16=options.bf16)
    if not run.step:
        run._record()
    run.train(options.score_minutes)


if __name__ == "__main__":
    main()
