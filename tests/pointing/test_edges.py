"""One alpha decides which object, another gives its edges."""

from __future__ import annotations

import numpy as np

from liftout.pointing.edges import with_edges_of


def disc(x: int, y: int, radius: float, soft: float = 1.0) -> np.ndarray:
    """uint8 [200, 300]."""
    rows, columns = np.mgrid[:200, :300]
    far = np.hypot(rows - y, columns - x)
    return np.rint(255 * np.clip((radius - far) / soft + 0.5, 0, 1)).astype(np.uint8)


def test_the_other_edge_is_taken_where_both_agree_on_the_object() -> None:
    blurred, sharp = disc(100, 100, 50, soft=9), disc(100, 100, 51)
    result = with_edges_of(sharp, blurred)
    assert np.abs(result.astype(int) - sharp).mean() < 0.2 * np.abs(blurred.astype(int) - sharp).mean()


def test_another_object_is_not_taken() -> None:
    mine = disc(80, 100, 40)
    both = np.maximum(disc(80, 100, 41), disc(220, 100, 40))
    assert with_edges_of(both, mine)[:, 160:].max() == 0


def test_an_object_that_the_other_model_missed_stays() -> None:
    mine = disc(80, 100, 40)
    result = with_edges_of(np.zeros_like(mine), mine)
    kept = ((result >= 128) & (mine >= 128)).sum() / (mine >= 128).sum()
    assert kept > 0.97


def test_the_same_alpha_stays_as_it_is() -> None:
    mine = disc(80, 100, 40, soft=6)
    assert np.array_equal(with_edges_of(mine, mine), mine)
