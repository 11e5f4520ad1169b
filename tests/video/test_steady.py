"""Alphas that pump become still, and what moves leaves nothing behind."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from liftout.video.alphas import Matted
from liftout.video.frame import Frame
from liftout.video.steady import steadied

SIZE = (192, 288)
FRAMES = 16


def textured(seed: int, size: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (*size, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.clip((blurred - 127) * 8 + 127, 0, 255)


def moving(count: int = FRAMES, seed: int = 0, step: float = 2.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A textured disc that moves to the right over a texture that moves to the left: frames and true alphas, float of 0..255."""
    behind, subject = textured(seed, (SIZE[0], 340)), textured(seed + 1, SIZE)
    subject[..., 0] = 255 - subject[..., 0] / 3
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    frames, truth = [], []
    for index in range(count):
        middle = 90 + step * index
        alpha = np.clip((62 - np.hypot(rows - 96, columns - middle)) / 4, 0, 1)[..., None]
        shift = np.float32([[1, 0, step * index], [0, 1, 0]])
        layer = cv2.warpAffine(subject, shift, SIZE[::-1], borderMode=cv2.BORDER_REFLECT)
        ground = behind[:, index : index + SIZE[1]]
        frames.append(np.rint(alpha * layer + (1 - alpha) * ground).astype(np.uint8))
        truth.append(alpha[..., 0] * 255)
    return frames, truth


def as_matted(frames: list[np.ndarray], alphas: list[np.ndarray]) -> list[Matted]:
    return [
        Matted(Frame(pixels, None, Fraction(at), Fraction(at)), np.clip(np.rint(alpha), 0, 255).astype(np.uint8))
        for at, (pixels, alpha) in enumerate(zip(frames, alphas, strict=True))
    ]


def pumping(truth: list[np.ndarray]) -> list[np.ndarray]:
    """Alphas that come out too small or too large in every frame, in places of some size."""
    found = []
    for index, alpha in enumerate(truth):
        noise = np.random.default_rng(100 + index).normal(0, 1, SIZE).astype(np.float32)
        change = cv2.GaussianBlur(noise, (0, 0), 9)
        edge = cv2.GaussianBlur((alpha > 127).astype(np.float32), (0, 0), 8)
        found.append(alpha + 6000 * change * edge * (1 - edge))
    return found


def dtssd(alphas: list[np.ndarray], truth: list[np.ndarray]) -> float:
    change = np.diff(np.stack(alphas).astype(np.float32), axis=0) - np.diff(np.stack(truth), axis=0)
    return float(np.sqrt((change**2).mean(axis=(1, 2))).mean())


def trail(alphas: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Mean alpha where the subject was in one of the last three frames and is no more."""
    found = []
    for index in range(3, len(truth)):
        gone = (np.max(truth[index - 3 : index], axis=0) > 127) & (truth[index] < 5)
        found.append(alphas[index][gone].mean())
    return float(np.mean(found))


def test_alphas_that_pump_become_still_without_a_trail() -> None:
    frames, truth = moving()
    plain = as_matted(frames, pumping(truth))
    steady = list(steadied(plain, 1.0))
    assert [one.frame for one in steady] == [one.frame for one in plain]
    before, after = [one.alpha for one in plain], [one.alpha for one in steady]
    assert dtssd(after, truth) < 0.5 * dtssd(before, truth)
    error_before, error_after = (np.abs(np.stack(found) - np.stack(truth)).mean() for found in (before, after))
    assert error_after < error_before
    trail_before, trail_after = trail(before, truth), trail(after, truth)
    assert trail_after <= trail_before


def test_right_alphas_of_a_fast_subject_stay_right() -> None:
    frames, truth = moving(step=6.0, count=14)
    steady = list(steadied(as_matted(frames, truth), 1.0))
    error = np.abs(np.stack([one.alpha for one in steady]) - np.stack(truth))
    assert error.mean() < 1.5


def test_nothing_crosses_a_cut() -> None:
    frames, truth = moving(count=8)
    others, _ = moving(count=8, seed=50)
    empty = [np.zeros(SIZE)] * 8
    steady = list(steadied(as_matted([*frames, *others], [*truth, *empty]), 1.0))
    assert all(not one.alpha.any() for one in steady[8:])
    assert np.abs(steady[7].alpha - truth[7]).mean() < 1


def test_strength_is_from_nothing_to_all() -> None:
    frames, truth = moving(count=9)
    plain = as_matted(frames, pumping(truth))
    assert list(steadied(plain, 0.0)) == plain
    half, whole = (list(steadied(plain, strength))[4].alpha.astype(float) for strength in (0.5, 1.0))
    start = plain[4].alpha.astype(float)
    np.testing.assert_allclose(half - start, (whole - start) / 2, atol=1.01)


def test_what_does_not_change_is_left_as_it_is() -> None:
    frames, truth = moving(count=1)
    one = as_matted(frames, truth)[0]
    steady = list(steadied([Matted(one.frame, one.alpha) for _ in range(5)], 1.0))
    assert all(found.alpha is one.alpha for found in steady)


def test_a_result_needs_nothing_from_further_away_than_its_reach() -> None:
    frames, truth = moving()
    plain = as_matted(frames, pumping(truth))
    whole, part = list(steadied(plain, 1.0)), list(steadied(plain[3:], 1.0))
    np.testing.assert_array_equal(whole[9].alpha, part[6].alpha)


def test_tiny_frames_and_single_ones_pass() -> None:
    small = Matted(Frame(np.zeros((5, 7, 3), np.uint8), None, Fraction(0), Fraction(0)), np.full((5, 7), 9, np.uint8))
    assert len(list(steadied([small], 1.0))) == 1
    assert len(list(steadied([small] * 3, 1.0))) == 3
