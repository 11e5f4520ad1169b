"""Drawn pictures: each follows from its number alone, and none is like another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.cache import Cache, add_drawn
from training.drawn import PAINTERS, draw_all
from training.selection import select

SIDE = 48


def _photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


def test_a_picture_follows_from_its_number() -> None:
    all_at_once = draw_all(np.arange(2 * len(PAINTERS)), SIDE, 1, _photos())
    alone = draw_all(np.array([7]), SIDE, 1, _photos())
    np.testing.assert_array_equal(all_at_once[7], alone[0])
    assert len({picture.tobytes() for picture in all_at_once}) == 2 * len(PAINTERS)
    assert all(picture.std() > 2 for picture in all_at_once)


def test_drawn_pictures_are_scenes_and_never_subjects(tmp_path: Path) -> None:
    alphas = np.zeros((5, SIDE, SIDE), np.uint8)
    alphas[:, 12:36, 12:36] = 255
    names = ["x__0", "x__1", "x__2", "x__3", "caltech101__BACKGROUND_Google__image_0006"]
    np.save(tmp_path / "photos.npy", _photos())
    cache = add_drawn(Cache(_photos(), alphas, names), tmp_path, count=20, workers=1)
    assert cache.photos.shape == (25, SIDE, SIDE, 3)
    assert not cache.alphas[5:].any()
    again = add_drawn(Cache(_photos(), alphas, names), tmp_path, count=20, workers=1)
    np.testing.assert_array_equal(cache.photos, again.photos)
    chosen = select(cache, set(), {names[4]})
    assert set(chosen.scenes.tolist()) == {4, *range(5, 25)}
    assert (chosen.scenes == 4).sum() == 10
    assert max(chosen.photos.max(), chosen.crisp.max()) < 4
