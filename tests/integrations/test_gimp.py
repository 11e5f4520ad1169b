"""The plug-in for GIMP 3, as far as it can be looked at without GIMP: its syntax, and the command that it runs."""

from __future__ import annotations

import ast
import os

import numpy as np
import pytest
from PIL import Image

from liftout import remove
from tests.command import liftout
from tests.conftest import ROOT

PLUGIN = ROOT / "integrations" / "gimp" / "liftout.py"


def test_the_command_of_the_plug_in_writes_a_mask(tmp_path, examples) -> None:
    tree = ast.parse(PLUGIN.read_text(encoding="utf-8"))
    (call,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "subprocess.run"
    )
    names = {"command": "liftout", "photo": str(tmp_path / "layer.png"), "found": str(tmp_path / "mask.png")}
    assert isinstance(call.args[0], ast.List)
    words = [word.value if isinstance(word, ast.Constant) else names[ast.unparse(word)] for word in call.args[0].elts]
    with Image.open(examples / "cat.jpg") as photo:
        photo.resize((90, 60)).save(names["photo"])
    assert liftout(*words[1:]) == 0
    with Image.open(names["found"]) as mask:
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), remove(names["photo"]).alpha)


@pytest.mark.skipif(os.name == "nt", reason="files have no such mode there")
def test_it_is_executable() -> None:
    assert PLUGIN.stat().st_mode & 0o111
