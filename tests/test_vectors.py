"""What Python and the browser must both do: the cases in tests/vectors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftout.compose.subjects import separate_subjects
from liftout.cutout import Cutout
from liftout.errors import LicenseNotAccepted, UsageError
from liftout.images import Photo
from liftout.models.licence import asks, consent
from liftout.models.spec import ModelSpec
from liftout.options import ResultOptions, RunOptions
from liftout.pointing.touching import separate_touching
from liftout.prompts import Prompts

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


@cases("subjects.json")
def test_subjects_that_stand_apart_are_those_of_the_vectors(row: dict[str, Any]) -> None:
    alpha = np.zeros(row["size"], np.uint8)
    for left, top, right, bottom, level in row["alpha"]:
        alpha[top:bottom, left:right] = level
    owners = np.full(alpha.shape, ".")
    for number, subject in enumerate(separate_subjects(alpha), 1):
        own = subject > 0
        np.testing.assert_array_equal(subject[own], alpha[own])
        owners[own] = str(number)
    found = ["".join(line) for line in owners]
    assert found == (row["owners"] or ["." * alpha.shape[1]] * alpha.shape[0])


@cases("touching.json")
def test_subjects_that_touch_are_told_apart_as_the_vectors_say(row: dict[str, Any]) -> None:
    height, width = row["size"]
    rows, columns = np.mgrid[:height, :width]

    def painted(discs: list[list[int]]) -> Any:
        alphas = [((radius - np.hypot(rows - y, columns - x)) * 64 + 128).clip(0, 255) for x, y, radius in discs]
        return np.maximum.reduce(alphas).astype(np.uint8)

    objects = [painted(discs) for discs in row["answers"]]
    asked = 0

    def answer(prompts: Prompts) -> Any:
        nonlocal asked
        asked += 1
        return np.maximum.reduce([max(objects, key=lambda found: int(found[int(y), int(x)])) for x, y in prompts.keep])

    alpha = painted(row["alpha"])
    subjects = list(separate_touching(alpha, answer))
    assert asked == row["asked"]
    np.testing.assert_array_equal(np.sum(subjects, axis=0, dtype=int), alpha)
    assert [
        {
            "box": list(Cutout(Photo(pixels=np.zeros((height, width, 3), np.uint8)), subject).box or ()),
            "sum": int(subject.sum()),
        }
        for subject in subjects
    ] == row["subjects"]


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
