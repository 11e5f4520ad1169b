"""`import liftout` is quick, silent and has no side effects."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import liftout


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_no_heavy_package_and_prints_nothing() -> None:
    code = (
        "import sys, liftout; heavy = {'numpy', 'PIL', 'onnxruntime', 'torch', 'httpx', 'rich', 'click'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    assert run(code) == ""


def test_remove_loads_no_heavy_package_before_it_is_called() -> None:
    code = (
        "import sys; from liftout import remove; heavy = {'numpy', 'PIL', 'onnxruntime', 'liftout.remover'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    assert run(code) == ""


def test_import_leaves_the_root_logger_alone() -> None:
    assert run("import logging, liftout.remover; print(logging.root.handlers, logging.root.level)") == "[] 30\n"


def test_the_room_of_models_imports_only_what_lies_below_it() -> None:
    below = (
        "liftout.models",
        "liftout.errors",
        "liftout.remedies",
        "liftout.files",
        "liftout.home",
        "liftout.progress",
        "liftout.__version__",
    )
    for path in (Path(liftout.__file__).parent / "models").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module] if node.module != "liftout" else [f"liftout.{item.name}" for item in node.names]
                for name in names:
                    assert not name.startswith("liftout") or name.startswith(below), f"{path.name}: {name}"


def test_every_public_name_is_available() -> None:
    for name in liftout.__all__:
        assert getattr(liftout, name) is not None


def test_the_run_time_path_imports_no_extra() -> None:
    code = (
        "import sys, liftout.remover, liftout.render, liftout.cli.cut;"
        "extra = {'torch', 'onnx', 'onnxscript', 'scipy', 'ray', 'fastapi', 'openvino'};"
        "sys.exit(str(extra & set(sys.modules)) if extra & set(sys.modules) else 0)"
    )
    assert run(code) == ""
