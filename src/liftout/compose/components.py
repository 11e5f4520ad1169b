"""Connected components of a mask, by runs.

A row of a mask is a few runs of set pixels. Runs that touch from row to row belong together; joining runs instead of pixels
makes twelve megapixels a matter of a few ten thousand numbers. Labels spread by hooking the larger root to the smaller and
jumping pointers (Shiloach and Vishkin 1982, "An O(log n) parallel connectivity algorithm", doi:10.1016/0196-6774(82)90008-6),
which numpy does for all runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Components:
    """Runs of set pixels, and which component each belongs to."""

    size: tuple[int, int]
    rows: Int64
    starts: Int64
    """First column of each run."""
    ends: Int64
    """Column after the last one of each run."""
    labels: Int64
    """Component of each run, 0..count - 1."""
    count: int

    @property
    def areas(self) -> Int64:
        """Pixels of each component."""
        return np.bincount(self.labels, weights=self.ends - self.starts, minlength=self.count).astype(np.int64)

    def touching_border(self) -> Bool:
        """For each component, whether it reaches the edge of the picture."""
        height, width = self.size
        at_edge = (self.rows == 0) | (self.rows == height - 1) | (self.starts == 0) | (self.ends == width)
        return np.bincount(self.labels, weights=at_edge, minlength=self.count) > 0

    def paint(self, chosen: Bool) -> Bool:
        """bool [H, W]: the pixels of the components for which `chosen` holds."""
        height, width = self.size
        runs = chosen[self.labels]
        steps = np.zeros(height * width + 1, np.int8)
        offsets = self.rows[runs] * width
        np.add.at(steps, offsets + self.starts[runs], 1)
        np.add.at(steps, offsets + self.ends[runs], -1)
        return np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_).reshape(height, width)

    def spread(self, values: Int64, *, elsewhere: int) -> Int32:
        """int32 [H, W]: at each pixel the value of its component, `elsewhere` where none is set."""
        height, width = self.size
        steps = np.zeros(height * width + 1, np.int32)
        offsets, change = self.rows * width, (values - elsewhere)[self.labels].astype(np.int32)
        np.add.at(steps, offsets + self.starts, change)
        np.subtract.at(steps, offsets + self.ends, change)
        spread = np.cumsum(steps[:-1], dtype=np.int32, out=steps[:-1])
        spread += np.int32(elsewhere)
        return spread.reshape(height, width)

    def first_pixels(self) -> tuple[Int64, Int64]:
        """(rows, columns) of the first pixel of each component."""
        _, runs = np.unique(self.labels, return_index=True)
        return self.rows[runs], self.starts[runs]

    def components_at(self, rows: Int64, columns: Int64) -> Int64:
        """The components that set pixels belong to."""
        width = self.size[1]
        runs = np.searchsorted(self.rows * width + self.starts, rows * width + columns, side="right") - 1
        return self.labels[runs]

    def box(self, chosen: Bool) -> tuple[int, int, int, int] | None:
        """(left, top, right, bottom) around the components for which `chosen` holds; right and bottom exclusive."""
        runs = chosen[self.labels]
        if not runs.any():
            return None
        rows = self.rows[runs]
        return int(self.starts[runs].min()), int(rows.min()), int(self.ends[runs].max()), int(rows.max()) + 1


def components(mask: Bool, *, diagonal: bool = True) -> Components:
    """Connected components of bool [H, W]. diagonal: whether pixels that meet at a corner belong together."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.bool_)
    padded[:, 1:-1] = mask
    flat = padded.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = changes[0::2], changes[1::2]  # positions in the padded picture, so that rows never touch
    reach = 1 if diagonal else 0
    stride = width + 2
    first = np.searchsorted(ends, starts + stride - reach, side="right")
    last = np.searchsorted(starts, ends + stride + reach, side="left")
    below = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(starts)), below)
    skipped = np.cumsum(below) - below
    under = np.arange(len(above)) - np.repeat(skipped - first, below)
    roots = _roots(len(starts), above, under)
    _, labels = np.unique(roots, return_inverse=True)
    rows = starts // stride
    return Components(
        size=(height, width),
        rows=rows,
        starts=starts - rows * stride - 1,
        ends=ends - rows * stride - 1,
        labels=labels.astype(np.int64),
        count=int(labels.max()) + 1 if len(labels) else 0,
    )


def _roots(count: int, one: Int64, other: Int64) -> Int64:
    """The root of each of `count` things of which each one[i] and other[i] belong together."""
    roots = np.arange(count)
    while len(one):
        left, right = roots[one], roots[other]
        apart = left != right
        one, other, left, right = one[apart], other[apart], left[apart], right[apart]
        np.minimum.at(roots, np.maximum(left, right), np.minimum(left, right))
        while True:
            jumped = roots[roots]
            if np.array_equal(jumped, roots):
                break
            roots = jumped
    return roots
