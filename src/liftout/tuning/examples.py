"""Photos and their masks at the size in which a network sees them, in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftout.errors import ExtraMissing, InputError
from liftout.graphs import prepare
from liftout.images import decode
from liftout.models.spec import InputSpec
from liftout.tuning.reading import Pair, read_pair
from liftout.tuning.views import INPUT

UInt8 = npt.NDArray[np.uint8]
_THUMB = 32
"""Pixels of the sides of the pictures that are compared to find photos that are alike."""


@dataclass(frozen=True)
class Examples:
    """names: N names. pixels: uint8 [N, h, w, 3], sRGB. masks: uint8 [N, h, w], 255 is subject. sizes: (height, width) of each photo.
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
    def none(cls, seen_as: InputSpec = INPUT) -> Examples:
        """No photos."""
        return cls((), np.zeros((0, *seen_as.size, 3), np.uint8), np.zeros((0, *seen_as.size), np.uint8), ())


def gather(
    pairs: Sequence[Pair], seen_as: InputSpec = INPUT, advance: Callable[[], None] | None = None
) -> tuple[Examples, list[tuple[Pair, InputError]]]:
    """Decode photos and masks. Returns them, and those that cannot be used with the reason. seen_as: by the network. advance: called
    after each."""
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
            shown, box = shrunk(photo, seen_as)
            pixels.append(shown)
            masks.append(_shrunk_mask(mask, box, seen_as.size))
            sizes.append((photo.shape[0], photo.shape[1]))
        if advance:
            advance()
    return _examples(names, pixels, masks, sizes, seen_as), refused


def gather_photos(
    paths: Sequence[Path], seen_as: InputSpec = INPUT, advance: Callable[[], None] | None = None
) -> Examples:
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
        pixels.append(shrunk(photo, seen_as)[0])
        sizes.append((photo.shape[0], photo.shape[1]))
    return _examples(names, pixels, [np.zeros(seen_as.size, np.uint8)] * len(names), sizes, seen_as)


def shrunk(photo: UInt8, seen_as: InputSpec = INPUT) -> tuple[UInt8, tuple[int, ...]]:
    """A photo, uint8 [H, W, 3], at the network's size, in whole levels, by the graph that prepares its input everywhere; and the box that
    the photo takes of it: top, left, height, width."""
    levels = dataclasses.replace(seen_as, scale="255", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    tensor, box = prepare(photo, levels)
    return np.rint(tensor[0].transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8), tuple(box.tolist())


def _shrunk_mask(mask: UInt8, box: tuple[int, ...], size: tuple[int, int]) -> UInt8:
    """A mask, uint8 [H, W], in the box of its photo."""
    top, left, height, width = box
    placed = np.zeros(size, np.uint8)
    small = Image.fromarray(mask).resize((width, height), Image.Resampling.BILINEAR)
    placed[top : top + height, left : left + width] = np.asarray(small)
    return placed


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
    names: Sequence[str],
    pixels: Sequence[UInt8],
    masks: Sequence[UInt8],
    sizes: Sequence[tuple[int, int]],
    seen_as: InputSpec,
) -> Examples:
    if not names:
        return Examples.none(seen_as)
    return Examples(tuple(names), np.stack(pixels), np.stack(masks), tuple(sizes))
