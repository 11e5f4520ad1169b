"""Prompts become what the network reads."""

from __future__ import annotations

import numpy as np
import pytest

from liftout.pointing import shrink
from liftout.pointing.network import MOST_READ, Marks, places
from liftout.prompts import Prompts


def test_points_are_the_middles_of_their_pixels_as_shares() -> None:
    assert np.allclose(places(((0, 0), (10, 5), (20, 10)), (10, 20)), [[0.025, 0.05], [0.525, 0.55], [0.975, 0.95]])


def test_what_was_not_said_reads_as_nothing() -> None:
    marks = Marks.of(Prompts(keep=((1, 1),)), (10, 20))
    assert marks.drop.ravel().tolist() == [-1, -1]
    assert not marks.box.any()
    assert not marks.start.any()
    assert not marks.started.any()


def test_a_box_is_given_as_shares() -> None:
    marks = Marks.of(Prompts(box=(5, 1, 10, 10)), (10, 20))
    assert np.allclose(marks.box.ravel(), [0.25, 0.1, 0.5, 1])


def test_of_the_points_of_a_long_stroke_some_are_read_and_the_last_always() -> None:
    stroke = tuple((float(x), 3.0) for x in range(200))
    read = Marks.of(Prompts(keep=stroke), (10, 200)).keep
    assert read.shape == (MOST_READ, 2, 1, 1)
    assert read[-1, 0, 0, 0] == pytest.approx(199.5 / 200)


def test_a_start_is_shrunk_to_means() -> None:
    alpha = np.zeros((640, 320), np.uint8)
    alpha[:, :160] = 255
    small = shrink(alpha)
    assert small.shape == (1, 1, 160, 160)
    assert small.mean() == pytest.approx(0.5, abs=1e-3)
    assert small[0, 0, :, :78].min() == 1
    assert small[0, 0, :, 82:].max() == 0
