"""What a simulated user says of one scene, click by click, while the network learns to answer.

A session wants one target: a subject of the scene, several, or all. It begins from the automatic alpha, from a spoilt truth, from nothing, or
with a box; each further click corrects the last answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.points.network import Marks
from training.points.scenes import Scene
from training.points.simulate import Place, box_around, inner, largest_error, somewhere, stroke

FloatArray = npt.NDArray[np.float32]

KINDS = {"automatic": 0.5, "spoilt": 0.1, "select": 0.26, "box": 0.14}
"""How sessions begin, and how often."""
JITTER = 0.08
STROKES = 0.12
OFF_MIDDLE = 0.35
"""How often a click is anywhere in the wrong region, not in its middle."""
RESTART, RESELECT = 0.3, 0.5
"""How often a further click says all of it again to the first start, as a call with several points does; and where there was none."""
ONLY_LAST = 0.25
"""How often, correcting the last answer, only the new click is said."""
RIM = 4
"""Cells around a wrong region within which a click is also about it."""
SETTLED = 8
"""Cells, of 25,600, below which nothing is wrong; then a click says what is so already."""


@dataclass
class Session:
    """truth: float32 [160, 160], what is wanted. start: float32 [160, 160] or None, what the next answer corrects; first: what the session
    began with. keep, drop: all that was said so far, as shares of the sides; box likewise. since: of them what is said to `start`."""

    truth: FloatArray
    start: FloatArray | None
    first: FloatArray | None
    box: tuple[float, float, float, float] | None = None
    keep: list[Place] = field(default_factory=list)
    drop: list[Place] = field(default_factory=list)
    since: tuple[list[Place], list[Place]] = field(default_factory=lambda: ([], []))

    @classmethod
    def begin(cls, scene: Scene, automatic: FloatArray, kind: str, chance: np.random.Generator) -> Session:
        """A session of a kind. automatic: float32 [160, 160]."""
        wanted = _wanted(len(scene.subjects), chance)
        truth = scene.subjects[wanted].sum(0).clip(0, 1)
        if (truth > 0.5).sum() < SETTLED:
            truth = scene.subjects.sum(0).clip(0, 1)
        if not (truth > 0.5).any() or kind == "automatic":
            session = cls(truth, automatic, automatic)
            session.correct(automatic, chance)
        elif kind == "spoilt":
            start = _spoilt(truth, scene, chance)
            session = cls(truth, start, start)
            session.correct(start, chance)
        elif kind == "box":
            left, top, right, bottom = box_around(truth > 0.5, chance, JITTER)
            side = truth.shape[0]
            session = cls(truth, None, None, (left / side, top / side, right / side, bottom / side))
        else:
            session = cls(truth, None, None)
            session.select(scene.subjects[wanted], chance)
        session.since = (session.keep, session.drop)
        return session

    def select(self, subjects: FloatArray, chance: np.random.Generator) -> None:
        """A point, or a stroke, in each of the wanted subjects."""
        for subject in subjects:
            region = subject > 0.5
            if region.any():
                self._say(region, True, chance)

    def correct(self, answer: FloatArray, chance: np.random.Generator) -> None:
        """The next click, for an answer, float32 [160, 160]."""
        region, keep = largest_error(answer > 0.5, self.truth > 0.5)
        if region.sum() < SETTLED:
            keep = bool((self.truth > 0.5).any() and (chance.random() < 0.5 or (self.truth > 0.5).all()))
            region = (self.truth > 0.5) if keep else (self.truth < 0.5)
        self._say(region, keep, chance)

    def go_on(self, answer: FloatArray, chance: np.random.Generator) -> None:
        """The next click after an answer, and what it is said to."""
        before = len(self.keep), len(self.drop)
        self.correct(answer, chance)
        if chance.random() < (RESELECT if self.first is None else RESTART):
            self.start, self.since = self.first, (self.keep, self.drop)
            return
        self.start = answer
        only_last = chance.random() < ONLY_LAST
        self.since = (self.keep[before[0] :], self.drop[before[1] :]) if only_last else (self.keep, self.drop)
        if only_last:
            self.box = None

    def asked(self) -> FloatArray:
        """Where what was said asks for a change of the start, float32 [160, 160] of 0 and 1: the wrong regions that were pointed at, and a
        rim; nothing where there is no start."""
        side = self.truth.shape[0]
        if self.start is None:
            return np.zeros((side, side), np.float32)
        found = np.zeros((side, side), np.uint8)
        for places, kept in zip(self.since, (True, False), strict=True):
            want = self.truth > 0.5
            wrong = want & (self.start <= 0.5) if kept else ~want & (self.start > 0.5)
            _, parts = cv2.connectedComponents(wrong.astype(np.uint8), connectivity=8)
            at = [parts[min(int(y * side), side - 1), min(int(x * side), side - 1)] for x, y in places]
            found |= np.isin(parts, [part for part in at if part]).astype(np.uint8)
        return cv2.dilate(found, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)).astype(np.float32)

    def _say(self, region: npt.NDArray[np.bool_], keep: bool, chance: np.random.Generator) -> None:
        side = region.shape[0]
        if chance.random() < STROKES:
            places = stroke(region, chance, int(chance.integers(3, 10)))
        elif chance.random() < OFF_MIDDLE:
            places = [somewhere(region, chance)]
        else:
            far = inner(region)
            best = np.argwhere(far >= far.max() - 0.5)
            row, column = best[chance.integers(len(best))]
            places = [(float(column) + 0.5, float(row) + 0.5)]
        said = self.keep if keep else self.drop
        new = [(x / side, y / side) for x, y in places]
        if keep:
            self.keep = said + new
        else:
            self.drop = said + new


def marks(sessions: list[Session], side: int) -> Marks:
    """What the network is told. side: of its maps."""
    starts = [np.zeros((side, side), np.float32) if s.start is None else resized(s.start, side) for s in sessions]
    return Marks(
        keep=_padded([session.since[0] for session in sessions]),
        drop=_padded([session.since[1] for session in sessions]),
        box=torch.tensor([session.box or (0.0,) * 4 for session in sessions], dtype=torch.float32),
        start=torch.from_numpy(np.stack(starts))[:, None],
        started=torch.tensor([float(session.start is not None) for session in sessions]),
    )


def resized(alpha: FloatArray, side: int) -> FloatArray:
    """float32 [h, h] -> [side, side]."""
    if alpha.shape[0] == side:
        return alpha
    return cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]


def _padded(points: list[list[Place]]) -> Tensor:
    most = max(1, *(len(some) for some in points))
    return torch.tensor([[*some, *[(-1.0, -1.0)] * (most - len(some))] for some in points], dtype=torch.float32)


def _wanted(count: int, chance: np.random.Generator) -> list[int]:
    """Which subjects: one, most often, else some, or all."""
    if count == 1 or chance.random() < 0.15:
        return list(range(count))
    number = 1 if chance.random() < 0.75 else int(chance.integers(1, count + 1))
    return sorted(int(k) for k in chance.permutation(count)[:number])


def _spoilt(truth: FloatArray, scene: Scene, chance: np.random.Generator) -> FloatArray:
    """The truth with an ellipse cut out of it or added to it, or with a subject too many."""
    side = truth.shape[0]
    result = truth.copy()
    if len(scene.subjects) > 1 and chance.random() < 0.4:
        result = np.maximum(result, scene.subjects[chance.integers(len(scene.subjects))])
    for _ in range(int(chance.integers(1, 4))):
        edge = chance.random() < 0.8
        region = (truth > 0.5) if edge else np.ones(truth.shape, np.bool_)
        x, y = np.array(somewhere(region, chance)) + chance.normal(0, 0.08 * side, 2)
        axes = tuple(int(a) for a in chance.uniform(0.03, 0.2, 2) * side)
        spot = np.zeros((side, side), np.float32)
        cv2.ellipse(spot, (int(x), int(y)), axes, float(chance.uniform(0, 180)), 0, 360, 1.0, -1)
        spot = cv2.GaussianBlur(spot, (0, 0), float(chance.uniform(0.5, 2)))
        result = result * (1 - spot) if chance.random() < 0.55 else np.maximum(result, spot)
    return result.astype(np.float32)
