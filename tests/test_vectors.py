"""What Python and the browser must both do: the cases in tests/vectors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftout.cutout import Cutout
from liftout.errors import LicenseNotAccepted, UsageError
from liftout.images import Photo
from liftout.models.licence import asks, consent
from liftout.models.spec import ModelSpec
from liftout.options import ResultOptions, RunOptions

VECTORS = Path(__file__).parent / "vectors"
OPTIONS = json.loads((VECTORS / "options.json").read_text())


def cases(file: str) -> Any:
    rows = json.loads((VECTORS / file).read_text())
    return pytest.mark.parametrize("row", [pytest.param(row, id=row["case"]) for row in rows])


@cases("crop.json")
def test_a_crop_is_the_one_of_the_vectors(row: dict[str, Any]) -> None:
    height, width = row["size"]
    alpha = np.zeros((height, width), np.uint8)
    for left, top, right, bottom, level in row["alpha"]:
        alpha[top:bottom, left:right] = level
    rows, columns = np.mgrid[0:height, 0:width]
    places = np.dstack([columns % 256, columns // 256, rows]).astype(np.uint8)
    cutout = Cutout(Photo(pixels=places), alpha)
    assert cutout.box == (None if row["box"] is None else tuple(row["box"]))
    left, top, right, bottom = row["window"]
    cropped = cutout.crop(row["margin"])
    np.testing.assert_array_equal(cropped.alpha, alpha[top:bottom, left:right])
    np.testing.assert_array_equal(cropped.photo.pixels, places[top:bottom, left:right])


def test_options_have_the_defaults_of_the_vectors() -> None:
    own = {**dataclasses.asdict(ResultOptions()), **dataclasses.asdict(RunOptions())}
    assert {name: own[name] for name in OPTIONS["defaults"]} == OPTIONS["defaults"]


@pytest.mark.parametrize("row", [pytest.param(row, id=json.dumps(row["options"])) for row in OPTIONS["cases"]])
def test_options_are_taken_and_refused_as_the_vectors_say(row: dict[str, Any]) -> None:
    runs = {field.name for field in dataclasses.fields(RunOptions)}
    run = {name: value for name, value in row["options"].items() if name in runs}
    result = {name: value for name, value in row["options"].items() if name not in runs}
    if "python" not in row["refused_by"]:
        RunOptions(**run)
        ResultOptions(**result)
        return
    # a keyword that there is none of is a TypeError, as for any function
    with pytest.raises((UsageError, TypeError)) as raised:
        RunOptions(**run)
        ResultOptions(**result)
    assert row["option"] in str(raised.value).replace("-", "_")


@cases("licence.json")
def test_consent_is_asked_for_as_the_vectors_say(row: dict[str, Any]) -> None:
    entry = {"family": "none", "architecture": "onnx", "input": {"size": [64, 64]}, **row["model"]}
    spec = ModelSpec.from_dict(entry)
    assert asks(spec) == row["asks"]
    if not row["asks"]:
        consent(spec)
        return
    with pytest.raises(LicenseNotAccepted) as raised:
        consent(spec)
    assert str(raised.value).startswith(row["problem"])
    consent(spec, accept=True)
    consent(spec)
