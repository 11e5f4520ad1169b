"""The browser's options are made from `liftout.options`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from liftout.options import ResultOptions, RunOptions

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture
def generator() -> ModuleType:
    described = importlib.util.spec_from_file_location("web_options", WEB / "options.py")
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


def test_the_committed_file_is_what_the_generator_writes(generator: ModuleType) -> None:
    committed = (WEB / "src" / "options.json").read_text(encoding="utf-8")
    assert committed == generator.content(), "run python web/options.py"


def test_defaults_and_limits_are_those_of_python(generator: ModuleType) -> None:
    described = json.loads(generator.content())
    for part, options in (("result", ResultOptions()), ("run", RunOptions())):
        for option in described[part].values():
            assert option["default"] == getattr(options, option["name"])
    assert list(described["run"]["edges"]["choices"]) == ["auto", "plain", "refined"]
    assert (described["result"]["feather"]["minimum"], described["result"]["feather"]["maximum"]) == (0, 1000)
    assert "maximum" not in described["result"]["margin"]
    assert described["result"]["fillHoles"]["name"] == "fill_holes"
