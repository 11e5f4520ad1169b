"""Errors carry their parts, and each front end says the same remedy in its own terms."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path
from typing import get_args

import pytest

import liftout
from liftout import Remover, errors
from liftout.cli.terms import COMMANDS
from liftout.errors import ImageTooLarge, InputError, LiftoutError, OutputExists, UnknownModel, UsageError
from liftout.files import write_whole
from liftout.images import decode
from liftout.models.catalog import find
from liftout.options import RunOptions
from liftout.remedies import ListModels, RaiseLimit, Remedy, UseOption

EXAMPLES = {
    "UseOption": UseOption("precision", "fp32"),
    "RaiseLimit": RaiseLimit("max_pixels"),
    "ListModels": ListModels(),
    **{kind.__name__: kind("u2netp") for kind in get_args(Remedy) if "model" in kind.__annotations__},
    **{kind.__name__: kind("heif") for kind in get_args(Remedy) if "extra" in kind.__annotations__},
    **{kind.__name__: kind() for kind in get_args(Remedy) if not kind.__annotations__},
}


def test_a_photo_s_error_names_the_photo_the_problem_and_the_remedy(tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "wide.png"
    Image.new("RGB", (40, 30)).save(photo)
    with pytest.raises(ImageTooLarge) as raised:
        decode(photo, max_pixels=1000)
    assert raised.value.subject == str(photo)
    assert raised.value.remedy == RaiseLimit("max_pixels")
    assert str(raised.value) == f"{photo}: 40 x 30 = 0 megapixels, above the limit of 0.001; pass a larger max_pixels"
    assert raised.value.line(COMMANDS).endswith("; raise it with --max-pixels")


def test_an_option_s_error_names_the_field_as_its_reader_writes_it() -> None:
    with pytest.raises(UsageError) as raised:
        RunOptions(max_pixels=0)
    assert raised.value.field == raised.value.subject == "max_pixels"
    assert str(raised.value) == "max_pixels is 0; it must be at least 1"
    assert raised.value.line(COMMANDS) == "--max-pixels is 0; it must be at least 1"


def test_a_model_s_error_names_the_model() -> None:
    with pytest.raises(UnknownModel) as raised:
        find("u2nett")
    assert raised.value.subject == "u2nett"
    assert raised.value.line(COMMANDS).startswith("u2nett: no model has this name; did you mean `u2net`?")


def test_an_output_that_exists_is_overwritten_as_each_front_end_does_it(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"")
    with pytest.raises(OutputExists) as raised:
        write_whole(target, b"new", overwrite=False)
    assert "overwrite=True" in str(raised.value)
    assert "--overwrite" in raised.value.line(COMMANDS)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_remedy_is_said_to_every_reader(name: str) -> None:
    from liftout.remedies import PYTHON
    from liftout.server.problems import HTTP

    said = [terms.remedy(EXAMPLES[name]) for terms in (PYTHON, COMMANDS, HTTP)]
    assert all(said)
    assert "--" not in said[0] + said[2]
    assert not re.search(r"`liftout ", said[0] + said[2])


def test_every_remedy_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(kind.__name__ for kind in get_args(Remedy))


def test_an_error_crosses_processes_whole() -> None:
    error = InputError("is odd", subject="a.jpg", remedy=("crop it", UseOption("overwrite", True)))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert vars(again) == vars(error)
    assert str(again) == "a.jpg: is odd; crop it, or pass overwrite=True"


def test_remover_names_the_option_that_is_wrong() -> None:
    with pytest.raises(UsageError) as raised:
        Remover(edges="sharp")  # type: ignore[arg-type]
    assert raised.value.field == "edges"


def test_no_error_of_the_library_names_a_command() -> None:
    package = Path(liftout.__file__).parent
    classes = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LiftoutError)
    } | {"ParameterError"}
    named = []
    for path in package.rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in classes:
                texts = [part.value for part in ast.walk(call) if isinstance(part, ast.Constant)]
                named += [
                    f"{path.relative_to(package)}:{call.lineno}: {text}"
                    for text in texts
                    if isinstance(text, str) and re.search(r"(^|[ (`])--[a-z]|`liftout [a-z]", text)
                ]
    assert named == []
