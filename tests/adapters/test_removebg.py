"""remove.bg's parameters, and what becomes of a cutout."""

from __future__ import annotations

import numpy as np
import pytest

from liftout.adapters.parameters import ParameterError
from liftout.adapters.removebg import Length, Parameters, parse, result
from liftout.cutout import Cutout
from liftout.images import Photo, decode
from tests.images import pictures


@pytest.fixture
def cutout() -> Cutout:
    alpha = np.zeros((60, 80), np.uint8)
    alpha[20:40, 10:50] = 255
    return Cutout(Photo(pixels=pictures.gradient(60, 80)), alpha)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"crop_margin": "10px"}, "crop_margin", (Length(10, False),) * 4),
        ({"crop_margin": "10px 5%"}, "crop_margin", (Length(10, False), Length(5, True)) * 2),
        ({"scale": "50%"}, "position", (0.5, 0.5)),
        ({"scale": "50%", "position": "10% 20%"}, "position", (0.1, 0.2)),
        ({"position": "30%"}, "position", (0.3, 0.3)),
        ({"scale": "original", "position": "original"}, "position", None),
        ({"bg_color": "fff"}, "bg_color", (255, 255, 255, 255)),
        ({"bg_color": "81d4fa77"}, "bg_color", (0x81, 0xD4, 0xFA, 0x77)),
        ({"crop": True}, "crop", True),
        ({"size": ""}, "size", "preview"),
    ],
)
def test_parameters_are_read(given: dict, field: str, value: object) -> None:
    assert getattr(parse(given), field) == value


@pytest.mark.parametrize("given", [{"roi": "1 2 3"}, {"scale": "5%"}, {"position": "120%"}, {"bg_color": "nocolour"}])
def test_a_wrong_parameter_is_named(given: dict[str, str]) -> None:
    with pytest.raises(ParameterError) as raised:
        parse(given)
    assert [raised.value.field] == list(given)


def test_margins_may_be_shares_of_the_subject(cutout: Cutout) -> None:
    made = result(cutout, parse({"crop": "true", "crop_margin": "50% 0 600px 25%", "format": "png"}))
    assert made.size == (20 + 10 + 500, 40 + 10)  # at most 500 pixels and half the subject
    assert made.box == (10, 10, 50, 30)


def test_a_subject_is_placed_on_a_canvas_of_the_same_size(cutout: Cutout) -> None:
    made = result(cutout, parse({"scale": "100%", "position": "0% 100%", "format": "png"}))
    assert made.size == (60, 80) and made.box == (0, 20, 80, 60)
    unscaled = result(cutout, parse({"position": "100% 0%", "format": "png"}))
    assert unscaled.box == (40, 0, 80, 20)


def test_what_is_opaque_becomes_a_jpeg(cutout: Cutout) -> None:
    assert result(cutout, Parameters()).mime == "image/png"
    assert result(cutout, Parameters(bg_color=(1, 2, 3, 255))).mime == "image/jpeg"
    assert result(cutout, Parameters(bg_color=(1, 2, 3, 100))).mime == "image/png"
    assert result(cutout, Parameters(), np.zeros((4, 4, 3), np.uint8)).mime == "image/jpeg"
    everywhere = cutout.with_alpha(np.full((60, 80), 255, np.uint8))
    assert result(everywhere, Parameters()).mime == "image/jpeg"


def test_a_cutout_without_subject_keeps_its_size(cutout: Cutout) -> None:
    empty = cutout.with_alpha(np.zeros((60, 80), np.uint8))
    made = result(empty, parse({"crop": "true", "scale": "50%", "format": "png"}))
    assert made.size == (60, 80) and made.box is None
    assert decode(made.content).alpha.max() == 0
