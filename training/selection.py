"""Which of the training photos serve for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.cache import ROOT, Cache

HELD_OUT_EVERY = 50

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """Which rows of the cache serve for what; see `select`."""

    photos: IntArray
    scenes: IntArray
    crisp: IntArray
    held_out: IntArray


def select(cache: Cache, excluded: set[str], scenes: set[str]) -> Selection:
    """Sort the cached photos by what their teacher alphas are good for.

    A teacher that is right is also sure: photos whose alpha is more half-tone than subject are dropped, and only the surest
    ones are cut out and pasted elsewhere. One photo in fifty is held out to watch the run. `excluded` and the rest of
    BACKGROUND_Google (pictures that a search for "things" found; their alphas are mostly accidents) are never drawn;
    `scenes`, of them, are drawn with an alpha of zero, and so are the pictures that were made for it, together twice as often.
    """
    usable, crisp, held_out, bare, made = [], [], [], [], []
    for row, name in enumerate(cache.names):
        if name in excluded:
            continue
        if name in scenes:
            bare.append(row)
            continue
        if name.startswith("drawn__"):
            made.append(row)
            continue
        if "BACKGROUND_Google" in name:
            continue
        alpha = cache.alphas[row][::4, ::4].astype(np.float32) / 255
        area = float(alpha.mean())
        doubt = float((4 * alpha * (1 - alpha)).mean()) / max(area, 0.02)
        if doubt > 1.0 or not 0.015 < area < 0.9:
            continue
        if row % HELD_OUT_EVERY == 0:
            held_out.append(row)
            continue
        usable.append(row)
        if doubt < 0.2 and area < 0.5:
            crisp.append(row)
    bare = bare * max(1, len(made) // (2 * max(1, len(bare)))) + made
    return Selection(*[np.array(rows, np.int64) for rows in (usable, bare, crisp, held_out)])


def read_names(path: Path) -> set[str]:
    """Names of photos, one a line, `#` for comments; none where the file is absent."""
    if not path.exists():
        return set()
    return {line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")}


def select_by_lists(cache: Cache) -> Selection:
    """`select` by the lists of this folder: what measures and what is doubted is never drawn."""
    excluded = read_names(ROOT / "no_subject.txt") | read_names(ROOT / "doubted.txt")
    return select(cache, excluded, read_names(ROOT / "scenes.txt"))


def shares_of(names: list[str], shares: dict[str, float]) -> npt.NDArray[np.float64]:
    """How often each photo is drawn by the first part of its name, its source; 1, once an epoch, where none is given."""
    return np.array([shares.get(name.split("__")[0], 1.0) for name in names])
