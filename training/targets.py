"""What the network has to answer on each training photo, and how often it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from liftout.tuning.network import SIZE
from liftout.tuning.pages import draw_page
from training.bare import bare_box
from training.photos import ROOT, RUNS, Photos, UInt8Array, excluded, open_photos, read_names, serves_for_choosing
from training.teacher import Labels

U2NETP_CONTRAST = 1.25
"""Gain of U2NetP's alphas about one half; undoes the blur that their mean over photo and mirror image gave them."""
KINDS = ("labelled", "true", "small teacher", "empty", "bare", "page")
"""Alpha from U2-Net; true mask, half and half with U2-Net's alpha where there is one; U2NetP's alpha; no subject; the bare part of a photo
that U2-Net has labelled; a drawn page."""
BARE, PAGE, PAGES = "bare/", "page/", 1500
"""How names of bare parts and pages begin; how many pages there are."""


@dataclass(frozen=True)
class Targets:
    """The photos of a run by name, sorted into kinds."""

    photos: Photos
    labels: Labels
    rows: dict[str, int]
    kinds: dict[str, str]

    def training(self, kind: str) -> list[str]:
        """Names of this kind to train on."""
        if kind == "page":
            return [f"{PAGE}{number}" for number in range(PAGES)]
        if kind == "bare":
            return [BARE + name for name in self.training("labelled") if bare_box(self.labels.alphas[self.rows[name]])]
        return [name for name, its in self.kinds.items() if its == kind and not serves_for_choosing(name)]

    @property
    def choosing(self) -> list[str]:
        """Names to choose by."""
        return [name for name in self.kinds if serves_for_choosing(name)]

    @property
    def judging(self) -> list[str]:
        """Those of them on which more is known than what U2NetP answers."""
        return [name for name in self.choosing if self.kinds[name] != "small teacher"]

    def pixels(self, name: str) -> UInt8Array:
        """What is seen: uint8 [320, 320, 3], sRGB."""
        if name.startswith(PAGE):
            return draw_page(int(name.removeprefix(PAGE)))
        if not name.startswith(BARE):
            return self.photos.pixels[self.rows[name]]
        row = self.rows[name.removeprefix(BARE)]
        box = bare_box(self.labels.alphas[row])
        assert box is not None
        left, top, right, bottom = (2 * at for at in box)
        part = Image.fromarray(self.photos.pixels[row, top:bottom, left:right])
        return np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BILINEAR))

    def alpha(self, name: str) -> Tensor:
        """What to answer: float32 [160, 160] in [0, 1]."""
        if name.startswith((BARE, PAGE)):
            return torch.zeros(self.labels.alphas.shape[1:])
        row, kind = self.rows[name], self.kinds[name]
        if kind == "empty":
            return torch.zeros(self.labels.alphas.shape[1:])
        teacher = torch.from_numpy(self.labels.alphas[row] / np.float32(255))
        if kind == "labelled":
            return teacher
        given = torch.from_numpy(self.photos.alphas[row] / np.float32(255))
        if kind == "true":
            return (given + teacher) / 2 if self.labels.done[row] else given
        return ((given - 0.5) * U2NETP_CONTRAST + 0.5).clamp(0, 1)

    def mask(self, name: str) -> Tensor:
        """What counts as right when choosing: the true mask where there is one, else `alpha`; float32 [160, 160]."""
        if self.kinds[name] == "true":
            return torch.from_numpy(self.photos.alphas[self.rows[name]] / np.float32(255))
        return self.alpha(name)


def open_targets(photos: Path = RUNS / "photos", teacher: Path = RUNS / "teacher") -> Targets:
    """All photos that have something to learn from."""
    stored = open_photos(photos)
    labels = Labels(teacher, len(stored.names))
    kept, bare = excluded(), read_names(ROOT / "scenes.txt")
    kinds = {}
    for row, name in enumerate(stored.names):
        if name in kept:
            continue
        if name.startswith("scenes__") or name in bare:
            kinds[name] = "empty"
        elif name.startswith("weizmann"):
            kinds[name] = "true"
        elif labels.done[row]:
            kinds[name] = "labelled"
        elif stored.alpha[row] and "BACKGROUND_Google" not in name:
            kinds[name] = "small teacher"
    return Targets(stored, labels, {name: row for row, name in enumerate(stored.names)}, kinds)
