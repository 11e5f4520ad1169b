"""Batches of training photos: cut, pasted, coloured and degraded, all on whole batches in torch.

Every batch follows from the seed and its number alone, so a run that was killed continues with exactly the batches that it
would have seen.

Labels stay exact under all of it: geometry moves photo and alpha together, colour and noise touch the photo only, and a
subject pasted onto another photo leaves alpha a + (1 - a) b of the two. The piece of a photo beside its subject is a scene
without one: it serves as it is, with an alpha of zero, and as a ground to paste on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.cache import Cache
from training.network import MEAN, STD
from training.selection import IntArray

LUMA = (0.299, 0.587, 0.114)
GROUND_TRIES = 20
GROUND_LOOK = 24
"""Pixels a side at which those windows are looked at."""
GROUND_ALPHA = 0.02
"""Mean alpha up to which a window counts as beside the subject."""


@dataclass(frozen=True)
class Mixture:
    """How often what happens to a photo. Probabilities, but `contrast`: the gain about one half that undoes the blur which
    averaging gave the teacher's alphas, and `window`: side of the smallest window that is cut out of a photo, as a share.

    `ground`: how often the piece beside the subject stands in for the photo. `paste_on_ground`: how often a subject is pasted
    on such a piece; the rest are pictures without a subject. `tint`: how often the channels are mixed at random."""

    paste: float = 0.25
    empty: float = 0.04
    grey: float = 0.05
    soften: float = 0.12
    noise: float = 0.15
    contrast: float = 1.5
    window: float = 0.6
    ground: float = 0.0
    paste_on_ground: float = 0.7
    tint: float = 0.0


class PhotoBatch(NamedTuple):
    """photos: normalised, float32 [B, 3, side, side]. alphas: float32 [B, 1, side, side] in [0, 1]."""

    photos: Tensor
    alphas: Tensor


class PhotoBatches:
    """Batch `number` of `size` photos at `side` pixels.

    rows: the photos of the cache to draw from. scenes: photos without a subject; they serve as whole photos with an alpha
    of zero and as grounds to paste on. crisp: photos whose alpha is sure enough to be cut out and pasted elsewhere. shares:
    float [len(rows)], how much of an epoch each photo gets, 1 for once; all alike without.
    Keeps the cache's pixels in memory (4.5 GB for all photos), plane by plane: taking colours apart for every batch costs more, and
    random access to a mapped file is slow wherever the system drops pages that it holds for idle.
    """

    def __init__(
        self,
        cache: Cache,
        rows: IntArray,
        scenes: IntArray,
        crisp: IntArray,
        mixture: Mixture,
        seed: int,
        shares: npt.NDArray[np.float64] | None = None,
    ):
        self.rows, self.scenes, self.crisp, self.mixture, self.seed = rows, scenes, crisp, mixture, seed
        self.shares = np.ones(len(rows)) if shares is None else shares
        count, height, width = cache.alphas.shape
        self.layers = np.empty((count, 4, height, width), np.uint8)
        for start in range(0, count, 256):
            some = slice(start, start + 256)
            self.layers[some, :3] = cache.photos[some].transpose(0, 3, 1, 2)
            self.layers[some, 3] = cache.alphas[some]

    def __call__(self, number: int, first: int, size: int, side: int, device: torch.device) -> PhotoBatch:
        """first: how many photos the run has drawn before this batch."""
        chance = np.random.default_rng([self.seed, number])
        generator = torch.Generator().manual_seed(int(chance.integers(2**62)))
        rows = np.array([self._row(first + offset) for offset in range(size)])
        bare = np.zeros(size, bool)
        if len(self.scenes):
            bare = chance.random(size) < self.mixture.empty
            rows[bare] = chance.choice(self.scenes, int(bare.sum()))
        layers = self._load(rows, device)
        layers[torch.from_numpy(bare).to(device), 3:] = 0
        windows = _grid(_windows(size, generator, self.mixture.window, 1.0), side).to(device)
        grounds = self._find_grounds(layers, windows, chance, generator, side)
        layers = functional.grid_sample(layers, windows, padding_mode="reflection", align_corners=False)
        layers[torch.from_numpy(grounds).to(device), 3:] = 0
        photos, alphas = layers[:, :3], layers[:, 3:]
        share = np.where(grounds, self.mixture.paste_on_ground, self.mixture.paste)
        pasted = np.flatnonzero(chance.random(size) < share)
        if len(pasted) and len(self.crisp):
            subjects = self._load(chance.choice(self.crisp, len(pasted)), device)
            places = _grid(_windows(len(pasted), generator, 0.75, 2.0), side).to(device)
            colours = functional.grid_sample(subjects[:, :3], places, padding_mode="border", align_corners=False)
            over = functional.grid_sample(subjects[:, 3:], places, padding_mode="zeros", align_corners=False)
            colours = _recolour(colours, generator, 0.5)
            where = torch.from_numpy(pasted).to(device)
            photos = photos.index_copy(0, where, colours * over + photos[where] * (1 - over))
            alphas = alphas.index_copy(0, where, over + alphas[where] * (1 - over))
        photos = self._degrade(_tint(_recolour(photos, generator, 1.0), generator, self.mixture.tint), generator)
        mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        std = torch.tensor(STD, device=device).view(1, 3, 1, 1)
        photos = ((photos - mean) / std).contiguous(memory_format=torch.channels_last)
        return PhotoBatch(photos, alphas.clamp(0, 1))

    def _find_grounds(
        self, layers: Tensor, windows: Tensor, chance: np.random.Generator, generator: torch.Generator, side: int
    ) -> npt.NDArray[np.bool_]:
        """Put the richest of some small windows beside the subject in place of some photos' own ones; tells of which."""
        grounds = np.zeros(len(layers), bool)
        for index in np.flatnonzero(chance.random(len(layers)) < self.mixture.ground):
            tries = _windows(GROUND_TRIES, generator, 0.25, 0.6)
            seen = functional.grid_sample(
                layers[index : index + 1].expand(GROUND_TRIES, -1, -1, -1),
                _grid(tries, GROUND_LOOK).to(layers.device),
                padding_mode="reflection",
                align_corners=False,
            )
            beside = seen[:, 3].mean((1, 2)) < GROUND_ALPHA
            if beside.any():
                richness = seen[:, :3].std((2, 3)).mean(1) * beside
                best = int(richness.argmax())
                windows[index] = _grid(tries[best : best + 1], side)[0].to(windows.device)
                grounds[index] = True
        return grounds

    def _row(self, drawn: int) -> int:
        length = max(1, round(float(self.shares.sum())))
        epoch, place = divmod(drawn, length)
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            chance = np.random.default_rng([self.seed, 7, epoch])
            self._order = chance.choice(self.rows, length, replace=False, p=self.shares / self.shares.sum())
        return int(self._order[place])

    def _load(self, rows: IntArray, device: torch.device) -> Tensor:
        layers = torch.from_numpy(self.layers[rows]).to(device).float() / 255
        layers[:, 3] = ((layers[:, 3] - 0.5) * self.mixture.contrast + 0.5).clamp(0, 1)
        return layers

    def _degrade(self, photos: Tensor, generator: torch.Generator) -> Tensor:
        count, _, side, _ = photos.shape
        photos = photos.clone(memory_format=torch.contiguous_format)
        soft = torch.rand(count, generator=generator) < self.mixture.soften
        if soft.any():
            small = int(side * (0.35 + 0.4 * torch.rand(1, generator=generator).item()))
            shrunk = functional.interpolate(photos[soft], size=(small, small), mode="area")
            photos[soft] = functional.interpolate(shrunk, size=(side, side), mode="bilinear", align_corners=False)
        noisy = torch.rand(count, generator=generator) < self.mixture.noise
        if noisy.any():
            level = 0.06 * torch.rand((int(noisy.sum()), 1, 1, 1), generator=generator)
            noise = torch.randn(photos[noisy].shape, generator=generator) * level
            photos[noisy] = (photos[noisy] + noise.to(photos.device)).clamp(0, 1)
        grey = torch.rand(count, generator=generator) < self.mixture.grey
        if grey.any():
            photos[grey] = _luma(photos[grey]).expand(-1, 3, -1, -1)
        return photos


def _windows(count: int, generator: torch.Generator, smallest: float, largest: float) -> Tensor:
    """Randomly placed, slightly turned, half of the time mirrored windows as matrices, float32 [count, 2, 3], from the window
    to the photo, both from -1 to 1; their sides are `smallest` to `largest` of the photo's."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    scale = uniform(smallest, largest)
    squeeze = torch.exp(uniform(-0.2, 0.2))
    wide, high = (scale * squeeze), (scale / squeeze)
    if largest <= 1:
        wide, high = wide.clamp(max=1), high.clamp(max=1)
    angle = uniform(-0.15, 0.15) * (torch.rand(count, generator=generator) < 0.5)
    room_x, room_y = (1 - wide).abs(), (1 - high).abs()
    shift_x, shift_y = uniform(-1, 1) * room_x, uniform(-1, 1) * room_y
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    return torch.stack(
        [
            torch.stack([mirror * wide * torch.cos(angle), -high * torch.sin(angle), shift_x], 1),
            torch.stack([mirror * wide * torch.sin(angle), high * torch.cos(angle), shift_y], 1),
        ],
        1,
    )


def _grid(windows: Tensor, side: int) -> Tensor:
    """Where the pixels of each window lie in its photo: float32 [count, side, side, 2], for `grid_sample`."""
    middles = (torch.arange(side) + 0.5) * (2 / side) - 1
    along, down, shift = windows[:, None, None].unbind(-1)
    return along * middles[None, None, :, None] + down * middles[None, :, None, None] + shift


def _recolour(photos: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    """Exposure, white balance, contrast and saturation, each photo its own: one colour matrix per photo."""
    count, _, height, width = photos.shape

    def gain(spread: float, channels: int = 1) -> Tensor:
        change = 1 + strength * spread * (2 * torch.rand((count, channels), generator=generator) - 1)
        return change.to(photos.device)

    exposure, contrast, saturation = gain(0.3) * gain(0.08, 3), gain(0.3), gain(0.5)
    middle = (photos.mean((2, 3)) * exposure).mean(1, keepdim=True)
    grey = photos.new_tensor(LUMA).expand(3, 3)
    colours = saturation[:, :, None] * torch.eye(3, device=photos.device) + (1 - saturation[:, :, None]) * grey
    matrix = colours * (contrast * exposure)[:, None, :]
    shift = ((1 - contrast) * middle)[:, :, None]
    return torch.baddbmm(shift, matrix, photos.flatten(2)).clamp_(0, 1).view(count, 3, height, width)


def _tint(photos: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Some photos with their channels mixed at random: no colour tells a subject by itself."""
    if not share:
        return photos
    count, _, height, width = photos.shape
    mixed = torch.eye(3) + 0.35 * torch.randn((count, 3, 3), generator=generator)
    mixed = mixed / mixed.sum(2, keepdim=True).clamp(min=0.5)
    kept = torch.rand(count, generator=generator) >= share
    mixed[kept] = torch.eye(3)
    return torch.bmm(mixed.to(photos.device), photos.flatten(2)).clamp_(0, 1).view(count, 3, height, width)


def _luma(photos: Tensor) -> Tensor:
    return (photos * photos.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
