"""Photos and their masks as the network sees them: stretched to its size, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import ExtraMissing, InputError
from liftout.images import decode
from liftout.tuning.network import SIZE
from liftout.tuning.reading import Pair, read_pair

UInt8 = npt.NDArray[np.uint8]
_THUMB = 32
"""Pixels of the sides of the pictures that are compared to find photos that are alike."""


@dataclass(frozen=True)
class Examples:
    """names: N names. pixels: uint8 [N, S, S, 3], sRGB. masks: uint8 [N, S, S], 255 is subject. sizes: (height, width) of each photo.
    shares: how much of each photo is subject, from 0 to 1."""

    names: tuple[str, ...]
    pixels: UInt8
    masks: UInt8
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Of each photo, how much of it is subject."""
        return self.masks.reshape(len(self), -1).mean(1) / 255 if len(self) else np.zeros(0)

    def take(self, rows: Sequence[int]) -> Examples:
        """Those in these rows, in their order."""
        index = np.asarray(rows, np.int64)
        return Examples(
            tuple(self.names[row] for row in rows),
            self.pixels[index],
            self.masks[index],
            tuple(self.sizes[row] for row in rows),
        )

    @classmethod
    def none(cls) -> Examples:
        """No photos."""
        return _examples([], [], [], [])


def gather(
    pairs: Sequence[Pair], advance: Callable[[], None] | None = None
) -> tuple[Examples, list[tuple[Pair, InputError]]]:
    """Decode photos and masks. Returns them, and those that cannot be used with the reason. advance: called after each."""
    names, pixels, masks, sizes = [], [], [], []
    refused: list[tuple[Pair, InputError]] = []
    for pair in pairs:
        try:
            photo, mask = read_pair(pair)
        except InputError as error:
            refused.append((pair, error))
        except ExtraMissing as error:
            refused.append((pair, InputError(error.what(), remedy=error.remedy)))
        else:
            names.append(pair.name)
            pixels.append(shrunk(photo))
            masks.append(shrunk(mask))
            sizes.append((photo.shape[0], photo.shape[1]))
        if advance:
            advance()
    return _examples(names, pixels, masks, sizes), refused


def gather_photos(paths: Sequence[Path], advance: Callable[[], None] | None = None) -> Examples:
    """Photos without masks; those that cannot be read are passed over."""
    names, pixels, sizes = [], [], []
    for path in paths:
        try:
            photo = decode(path).seen_by_network()
        except (InputError, ExtraMissing):
            continue
        finally:
            if advance:
                advance()
        names.append(path.name)
        pixels.append(shrunk(photo))
        sizes.append((photo.shape[0], photo.shape[1]))
    return _examples(names, pixels, [np.zeros((SIZE, SIZE), np.uint8)] * len(names), sizes)


def shrunk(picture: UInt8) -> UInt8:
    """A picture, uint8 [H, W] or [H, W, 3], at the network's size, as the product stretches its input."""
    return np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def likeness(pixels: UInt8) -> npt.NDArray[np.float32]:
    """How alike photos are, float32 [N, N]: the correlation of their colours at 32 x 32 pixels, 1 for the same picture."""
    thumbs = [np.asarray(Image.fromarray(photo).resize((_THUMB, _THUMB), Image.Resampling.BOX)) for photo in pixels]
    if not thumbs:
        return np.zeros((0, 0), np.float32)
    flat = np.stack(thumbs).reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True).clip(1)
    return flat @ flat.T


def _examples(
    names: Sequence[str], pixels: Sequence[UInt8], masks: Sequence[UInt8], sizes: Sequence[tuple[int, int]]
) -> Examples:
    if not names:
        return Examples((), np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros((0, SIZE, SIZE), np.uint8), ())
    return Examples(tuple(names), np.stack(pixels), np.stack(masks), tuple(sizes))
