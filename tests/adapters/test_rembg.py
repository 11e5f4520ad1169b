"""rembg's parameters and arguments become the same thing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from liftout.adapters.parameters import ParameterError
from liftout.adapters.rembg import Arguments, asked, model_name, parse, result
from liftout.cutout import Cutout
from liftout.errors import UsageError
from liftout.images import Photo, decode
from tests.images import pictures


def test_parameters_are_arguments_under_short_names() -> None:
    text = {"model": "u2netp", "a": "true", "af": "230", "ab": "20", "ae": "0", "om": "1", "ppm": "on", "bgc": "1,2,3"}
    arguments = Arguments(
        model_name="u2netp",
        alpha_matting=True,
        alpha_matting_foreground_threshold=230,
        alpha_matting_background_threshold=20,
        alpha_matting_erode_size=0,
        only_mask=True,
        post_process_mask=True,
        bgcolor=(1, 2, 3),
    )
    assert parse(text) == arguments
    extras = {"alpha_matting": True, "alpha_matting_foreground_threshold": 230, "bgcolor": [1, 2, 3]}
    assert parse({**text, "a": "", "af": None, "bgc": "", "extras": json.dumps(extras)}) == arguments
    assert parse({"file": "a photo", "url": "an address", "om": ""}) == Arguments()


@pytest.mark.parametrize(
    ("given", "edges"),
    [({}, None), ({"alpha_matting": True}, "refined"), ({"vitmatte": True}, "refined"), ({"putalpha": True}, "plain")],
)
def test_matting_asks_for_refined_edges(given: dict, edges: str | None) -> None:
    assert Arguments(**given).edges == edges


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"af": "300"}, "af"),
        ({"om": "perhaps"}, "om"),
        ({"bgc": "1,2,3,4,5"}, "bgc"),
        ({"extras": '{"x": 1}'}, "extras"),
        ({"extras": '{"sam_quant": true}'}, "extras"),
        ({"extras": '{"sam_prompt": [[1, 2]]}'}, "extras"),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, str], field: str) -> None:
    with pytest.raises(ParameterError, match=field) as raised:
        parse(given)
    assert raised.value.field == field


def test_a_wrong_argument_is_named() -> None:
    with pytest.raises(UsageError, match="alpha_matting_erode_size"):
        Arguments(alpha_matting_erode_size="10")


def test_models_have_their_names_here() -> None:
    names = ("", "bria-rmbg", "u2net", "sam")
    assert [model_name(name) for name in names] == ["pocket", "rmbg-2.0", "u2net", "pocket"]


def test_marks_of_sam_are_points_and_a_box() -> None:
    marks = [
        {"type": "point", "data": [3, 4.5], "label": 1},
        {"type": "point", "data": [5, 6], "label": 0},
        {"type": "rectangle", "data": [30, 1, 2, 20], "label": 2},
    ]
    prompts = asked(marks).at((40, 50))
    assert (prompts.keep, prompts.drop, prompts.box) == (((3, 4.5),), ((5, 6),), (2, 1, 30, 20))
    assert parse({"extras": json.dumps({"sam_prompt": marks})}).sam_prompt == marks
    assert not asked(None) and not asked([])


def test_a_mask_has_no_profile_and_a_cutout_has_the_photos() -> None:
    alpha = np.zeros((20, 30), np.uint8)
    alpha[5:15, 5:25] = 255
    cutout = Cutout(Photo(pixels=pictures.gradient(20, 30), icc=pictures.profile()), alpha)
    mask, rgba = result(cutout, Arguments(only_mask=True)), result(cutout, Arguments())
    assert mask.icc is None and mask.pillow().mode == "L"
    assert rgba.pillow().info["icc_profile"] == pictures.profile() == decode(rgba.png()).icc
    np.testing.assert_array_equal(np.asarray(mask.pillow()), alpha)
