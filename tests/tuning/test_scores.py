"""Scores against values worked out by hand and by loops."""

from __future__ import annotations

import numpy as np
import pytest

from liftout.tuning.scores import f_measure, score, summarise


def _disc(shape: tuple[int, int] = (60, 80), radius: int = 18) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.where((y - 25) ** 2 + (x - 40) ** 2 < radius**2, 255, 0).astype(np.uint8)


def test_a_perfect_prediction_is_perfect() -> None:
    total = summarise([score(_disc(), _disc())])
    assert total.max_f == pytest.approx(1)
    assert total.mae == 0
    assert total.s_measure == pytest.approx(1, abs=1e-6)
    assert total.miou == 1


def test_an_inverted_prediction_is_worthless() -> None:
    total = summarise([score(255 - _disc(), _disc())])
    assert total.mae == 1
    assert total.miou == 0
    assert total.s_measure < 0.2


def test_the_curves_equal_counting_at_every_threshold() -> None:
    chance = np.random.default_rng(0)
    alpha = chance.integers(0, 256, (23, 31)).astype(np.uint8)
    alpha[0, :2] = 0, 255
    mask = _disc((23, 31), 9)
    mask[3:9, 5:20] = 255
    result = score(alpha, mask)
    for threshold in (0, 1, 77, 128, 254, 255):
        claimed = alpha >= threshold
        hits = (claimed & (mask > 128)).sum()
        assert result.precision[threshold] == pytest.approx(hits / claimed.sum())
        assert result.recall[threshold] == pytest.approx(hits / (mask > 128).sum())


def test_f_weighs_precision_more() -> None:
    value = f_measure(np.array([0.8]), np.array([0.5]))
    assert value[0] == pytest.approx(1.3 * 0.8 * 0.5 / (0.3 * 0.8 + 0.5))
    assert f_measure(np.array([0.0]), np.array([0.0]))[0] == 0


def test_curves_are_averaged_before_f_is_taken() -> None:
    good, bad = score(_disc(), _disc()), score(255 - _disc(), _disc())
    precision = (good.precision + bad.precision) / 2
    recall = (good.recall + bad.recall) / 2
    assert summarise([good, bad]).max_f == pytest.approx(f_measure(precision, recall).max())


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="resize the alpha first"):
        score(_disc(), _disc((60, 81)))
