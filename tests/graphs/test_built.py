"""The committed graphs are what their sources say."""

from __future__ import annotations

import importlib.util
from importlib.resources import files

import onnx
import pytest

from liftout.graphs.sources.build import GRAPHS, build


@pytest.mark.parametrize("name", GRAPHS)
def test_a_committed_graph_equals_its_rebuilt_source(name: str) -> None:
    committed = onnx.load_from_string(files("liftout.graphs.sources").joinpath(f"{name}.onnx").read_bytes())
    assert onnx.printer.to_text(committed.graph) == onnx.printer.to_text(build(name).graph)
    assert [(entry.domain, entry.version) for entry in committed.opset_import] == [("", 20)]


def test_every_graph_beside_a_source_is_listed() -> None:
    folder = files("liftout.graphs.sources")
    held = {entry.name.removesuffix(".onnx") for entry in folder.iterdir() if entry.name.endswith(".onnx")}
    assert held == set(GRAPHS)
    assert all(importlib.util.find_spec(f"liftout.graphs.sources.{name}") for name in held)
