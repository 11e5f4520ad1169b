"""Scores of predicted alphas against human masks, the way the field takes them.

A prediction is stretched to its full range, then compared with the mask (true above 128 of 255) at the mask's size.
Source of the conventions: the evaluation code of BiRefNet and PySODMetrics. S-measure: Fan et al. 2017, "Structure-Measure:
A New Way to Evaluate Foreground Maps", ICCV. F with beta^2 = 0.3: Achanta et al. 2009, "Frequency-tuned Salient Region
Detection", CVPR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BETA_SQUARED = 0.3
THRESHOLDS = 256


@dataclass(frozen=True)
class Score:
    """precision, recall: [256], at the thresholds k/255. mae, s_measure, iou (at one half): one number each."""

    precision: FloatArray
    recall: FloatArray
    mae: float
    s_measure: float
    iou: float


@dataclass(frozen=True)
class Summary:
    """Over many photos. max_f: the best F of the averaged precision and recall curves; the others are plain means."""

    max_f: float
    mae: float
    s_measure: float
    miou: float


def score(alpha: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> Score:
    """alpha, mask: uint8 [H, W] of one size. Raises ValueError where the sizes differ."""
    if alpha.shape != mask.shape:
        raise ValueError(f"alpha is {alpha.shape}, mask is {mask.shape}; resize the alpha first")
    truth = mask > 128
    guess = alpha.astype(np.float64) / 255
    low, high = guess.min(), guess.max()
    if high > low:
        guess = (guess - low) / (high - low)
    precision, recall = _curves(guess, truth)
    decided = guess >= 0.5
    union = float((decided | truth).sum())
    iou = float((decided & truth).sum()) / union if union else 1.0
    return Score(precision, recall, float(np.abs(guess - truth).mean()), s_measure(guess, truth), iou)


def summarise(scores: list[Score]) -> Summary:
    """The scores of many photos as one; curves are averaged before the best F is taken."""
    precision = np.mean([s.precision for s in scores], axis=0)
    recall = np.mean([s.recall for s in scores], axis=0)
    return Summary(
        max_f=float(f_measure(precision, recall).max()),
        mae=float(np.mean([s.mae for s in scores])),
        s_measure=float(np.mean([s.s_measure for s in scores])),
        miou=float(np.mean([s.iou for s in scores])),
    )


def f_measure(precision: FloatArray, recall: FloatArray) -> FloatArray:
    """F with beta^2 = 0.3 of each precision and recall; 0 where both are."""
    bottom = BETA_SQUARED * precision + recall
    return np.where(bottom > 0, (1 + BETA_SQUARED) * precision * recall / np.where(bottom > 0, bottom, 1), 0.0)


def _curves(guess: FloatArray, truth: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    levels = np.round(guess * 255).astype(np.int64)
    inside = np.bincount(levels[truth], minlength=THRESHOLDS)
    outside = np.bincount(levels[~truth], minlength=THRESHOLDS)
    found = np.cumsum(inside[::-1])[::-1].astype(np.float64)
    claimed = found + np.cumsum(outside[::-1])[::-1]
    precision = np.where(claimed > 0, found / np.maximum(claimed, 1), 0.0)
    return precision, found / max(1, int(truth.sum()))


def s_measure(guess: FloatArray, truth: npt.NDArray[np.bool_]) -> float:
    """Half object likeness, half region likeness. guess: [H, W] in [0, 1]; truth: bool [H, W]."""
    share = float(truth.mean())
    if share == 0:
        return float(1 - guess.mean())
    if share == 1:
        return float(guess.mean())
    inside = _object_likeness(guess[truth])
    outside = _object_likeness(1 - guess[~truth])
    by_object = share * inside + (1 - share) * outside
    return max(0.0, 0.5 * by_object + 0.5 * _region_likeness(guess, truth))


def _object_likeness(values: FloatArray) -> float:
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + spread + np.finfo(float).eps)


def _region_likeness(guess: FloatArray, truth: npt.NDArray[np.bool_]) -> float:
    height, width = truth.shape
    rows, columns = np.nonzero(truth)
    y, x = int(np.round(rows.mean())) + 1, int(np.round(columns.mean())) + 1
    total = 0.0
    for vertical in (slice(0, y), slice(y, height)):
        for horizontal in (slice(0, x), slice(x, width)):
            part = guess[vertical, horizontal]
            if part.size:
                total += part.size / truth.size * _structural_likeness(part, truth[vertical, horizontal].astype(float))
    return total


def _structural_likeness(guess: FloatArray, truth: FloatArray) -> float:
    count = guess.size
    if count < 2:
        return float(1 - abs(guess.mean() - truth.mean()))
    x, y = float(guess.mean()), float(truth.mean())
    variance_x, variance_y = float(guess.var(ddof=1)), float(truth.var(ddof=1))
    covariance = float(((guess - x) * (truth - y)).sum()) / (count - 1)
    top = 4 * x * y * covariance
    bottom = (x * x + y * y) * (variance_x + variance_y)
    if top != 0:
        return top / (bottom + np.finfo(float).eps)
    return 1.0 if bottom == 0 else 0.0
