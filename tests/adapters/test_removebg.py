"""remove.bg's parameters, and what becomes of a cutout."""

from __future__ import annotations

import numpy as np
import pytest

from liftout.adapters.parameters import ParameterError
from liftout.adapters.removebg import ApiError, Length, Parameters, detected_type, parse, result
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


@pytest.mark.parametrize(
    "given",
    [
        {"type_level": "3"},
        {"shadow_opacity": "101"},
        {"shadow_type": "long"},
        {"roi": "1 2 3"},
        {"scale": "5%"},
        {"position": "120%"},
        {"bg_color": "nocolour"},
    ],
)
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


@pytest.mark.parametrize(
    ("roi", "code"),
    [
        ("0 0 81px 60px", "roi_exceeds_bounds"),
        ("0 0 80px 101%", "roi_exceeds_bounds"),
        ("5px 0 5px 60px", "roi_region_empty"),
        ("60px 0 80px 60px", "unknown_foreground"),
    ],
)
def test_a_region_without_subject_is_an_error(cutout: Cutout, roi: str, code: str) -> None:
    with pytest.raises(ApiError) as raised:
        result(cutout, parse({"roi": roi}))
    assert raised.value.code == code


def test_a_photo_without_subject_is_an_error(cutout: Cutout) -> None:
    with pytest.raises(ApiError) as raised:
        result(cutout.with_alpha(np.zeros((60, 80), np.uint8)), Parameters())
    assert raised.value.code == "unknown_foreground"


def test_semi_transparent_regions_inside_the_subject_become_opaque(cutout: Cutout) -> None:
    alpha = cutout.alpha.copy()
    alpha[25:30, 20:25] = 120  # a window
    alpha[30:35, 35:42] = 120  # the rim of a hole
    alpha[32:33, 37:40] = 0
    alpha[38:40, 10:50] = 90  # a soft edge
    glass = cutout.with_alpha(alpha)
    kept = decode(result(glass, parse({"format": "png"})).content).alpha
    assert np.array_equal(kept, alpha)
    opaque = decode(result(glass, parse({"format": "png", "semitransparency": "false"})).content).alpha
    alpha[25:30, 20:25] = 255
    assert np.array_equal(opaque, alpha)


def test_shadows_are_as_dark_as_asked(cutout: Cutout) -> None:
    def shadow(**given: str) -> int:
        content = result(cutout, parse({"add_shadow": "true", "format": "png", **given})).content
        return int(decode(content).alpha[cutout.alpha == 0].max())

    assert shadow(shadow_opacity="100") > shadow() == shadow(shadow_type="DROP") > shadow(shadow_opacity="10%") > 0
    assert shadow(shadow_type="3d") == shadow(shadow_type="car") == shadow(shadow_type="none") == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "other"),
        ({"type": "car"}, "car"),
        ({"type": "graphic"}, "other"),
        ({"type": "graphic", "type_level": 2}, "graphics"),
        ({"type": "transportation", "type_level": "latest"}, "transportation"),
        ({"type": "car", "type_level": "none"}, None),
    ],
)
def test_the_type_is_the_one_that_was_given(given: dict, expected: str | None) -> None:
    parameters = parse(given)
    assert detected_type(parameters.type, parameters.type_level) == expected
