"""Scenes of one to three subjects whose alphas are known: photos with their own subject, and subjects of other photos pasted in.

Which scene a number gives follows from the seed. Subjects are cut out with the alphas that training knows (true masks, U2-Net's answers,
and U2NetP's where they are sure), grounds are photos with a subject or pictures without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from liftout.tuning.network import SIZE
from liftout.tuning.views import View
from training.targets import Targets

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

SURE = 0.93
"""Mean of |2 alpha - 1| from which an alpha is sure enough to cut its subject out."""
AREAS = 0.03, 0.6
"""Of a photo that a subject may cover to be cut out."""
WHOLE = 0.95
"""Part of the subject that hangs together."""
SHARES = {"labelled": 0.5, "small teacher": 0.38, "true": 0.12}
"""How often each kind of alpha is drawn; see `training.targets.KINDS`."""
CLOTHING = ("ccp__", "clothing")
MOST_CLOTHING = 0.15
LEAST_SEEN = 0.45
"""Part of a subject that what lies before it leaves to be seen."""
TRIES = 6


@dataclass(frozen=True)
class Scene:
    """pixels: uint8 [320, 320, 3]. subjects: float32 [n, 160, 160], what is seen of each, the one behind first."""

    pixels: UInt8Array
    subjects: FloatArray


class Scenes:
    """Draws scenes from photos of one side: those to train on, or those to choose by."""

    def __init__(self, targets: Targets, *, choosing: bool) -> None:
        self.targets = targets
        known = set(targets.choosing)
        names: dict[str, list[str]] = {kind: [] for kind in (*SHARES, "empty")}
        for name, kind in targets.kinds.items():
            if kind in names and (name in known) == choosing:
                names[kind].append(name)
        self.empty = names.pop("empty")
        self.whole = {kind: _split(some) for kind, some in names.items()}
        clear = {kind: [name for name in some if self._is_clear(name)] for kind, some in names.items()}
        self.clear = {kind: _split(some) for kind, some in clear.items()}
        self.photos = [name for kind in ("labelled", "true") for name in names[kind]]
        """Those whose alpha is worth answering in full."""

    def draw(self, seed: int, number: int, several: float) -> Scene:
        """Scene `number`. several: how often there is more than one subject."""
        chance = np.random.default_rng([seed, number, 11])
        if chance.random() >= several:
            return self.photo(self._pick(self.whole, chance), View.draw(chance, 0.6))
        for _ in range(TRIES):
            scene = self._compose(chance)
            if len(scene.subjects) > 1:
                break
        return scene

    def photo(self, name: str, view: View | None = None) -> Scene:
        """A photo with its one subject."""
        view = view or View()
        pixels = np.asarray(view.of(self.targets.pixels(name)), np.float32) * np.array(view.light, np.float32)
        levels = np.rint(self.targets.mask(name).numpy() * 255).astype(np.uint8)
        alpha = np.asarray(view.of(levels), np.float32) / 255
        return Scene(pixels.clip(0, 255).astype(np.uint8), alpha[None])

    def _compose(self, chance: np.random.Generator) -> Scene:
        bare = bool(self.empty) and chance.random() < 0.25
        ground = self.empty[chance.integers(len(self.empty))] if bare else self._pick(self.clear, chance)
        base = self.photo(ground, View.draw(chance, 0.5))
        pixels, subjects = base.pixels.astype(np.float32), [] if bare else [base.subjects[0]]
        count = int(chance.integers(1, 3)) + (1 if bare else 0)
        for _ in range(count):
            colours, alpha = self._pasted(chance)
            small = cv2.resize(alpha, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
            left = [subject * (1 - small) for subject in subjects]
            if any(after.sum() < LEAST_SEEN * before.sum() for before, after in zip(subjects, left, strict=True)):
                continue
            pixels = pixels + alpha[..., None] * (colours - pixels)
            subjects = [*left, small]
        return Scene(pixels.clip(0, 255).astype(np.uint8), np.array(subjects, np.float32).reshape(-1, 160, 160))

    def _pasted(self, chance: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Another photo's subject somewhere: colours float32 [320, 320, 3] in 0 to 255, alpha float32 [320, 320]."""
        name = self._pick(self.clear, chance)
        alpha = cv2.resize(self.targets.alpha(name).numpy(), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        alpha = _crisp(alpha)
        pixels = np.asarray(self.targets.pixels(name), np.float32)
        if chance.random() < 0.5:
            alpha, pixels = alpha[:, ::-1], pixels[:, ::-1]
        rows, columns = np.flatnonzero(alpha.max(1) > 0.1), np.flatnonzero(alpha.max(0) > 0.1)
        centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
        longest = max(columns[-1] - columns[0], rows[-1] - rows[0], 1)
        scale = SIZE * chance.uniform(0.25, 0.8) / longest
        to = chance.uniform(0.12, 0.88, 2) * SIZE
        turn = np.array([[scale, 0, to[0] - scale * centre[0]], [0, scale, to[1] - scale * centre[1]]])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        colours = cv2.warpAffine(np.ascontiguousarray(pixels), turn, (SIZE, SIZE), flags=how)
        placed = cv2.warpAffine(np.ascontiguousarray(alpha), turn, (SIZE, SIZE), flags=how)
        light = chance.uniform(0.75, 1.25) * chance.uniform(0.93, 1.07, 3)
        return (colours * light).astype(np.float32), placed.clip(0, 1)

    def _pick(self, groups: dict[str, tuple[list[str], list[str]]], chance: np.random.Generator) -> str:
        kinds = [kind for kind in SHARES if any(groups[kind])]
        shares = np.array([SHARES[kind] for kind in kinds])
        others, clothing = groups[str(chance.choice(kinds, p=shares / shares.sum()))]
        names = clothing if clothing and (not others or chance.random() < MOST_CLOTHING) else others
        return names[chance.integers(len(names))]

    def _is_clear(self, name: str) -> bool:
        row, kind = self.targets.rows[name], self.targets.kinds[name]
        stored = self.targets.labels if kind == "labelled" else self.targets.photos
        alpha = np.asarray(stored.alphas[row])
        share = float(alpha.mean()) / 255
        if not AREAS[0] <= share <= AREAS[1] or np.abs(alpha.astype(np.float32) / 127.5 - 1).mean() < SURE:
            return False
        mask = (alpha > 127).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        cut = int(mask[0].sum() + mask[:, 0].sum() + mask[:, -1].sum())
        return bool(len(stats) > 1 and stats[1:, cv2.CC_STAT_AREA].max() >= WHOLE * mask.sum() and cut < 24)


def _split(names: list[str]) -> tuple[list[str], list[str]]:
    """Other photos, and those of clothing."""
    return [n for n in names if not n.startswith(CLOTHING)], [n for n in names if n.startswith(CLOTHING)]


def _crisp(alpha: FloatArray) -> FloatArray:
    """What the alpha's blur at half size lets in from around the subject, taken away."""
    return ((alpha - 0.35) / 0.5).clip(0, 1)
