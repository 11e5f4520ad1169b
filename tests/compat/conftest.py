"""rembg itself, in an environment of its own, for the tests that hold liftout against it."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

REMBG = "rembg[cpu]==2.0.86"


@pytest.fixture(scope="session")
def run_rembg(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Callable[..., None]:
    """Runs Python code where rembg is installed and finds the real u2netp; further arguments become `sys.argv[1:]`."""
    folder = tmp_path_factory.mktemp("rembg")
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", REMBG], check=True, timeout=900)
    models = folder / "models"
    models.mkdir()
    (models / "u2netp.onnx").symlink_to(shared / "data" / "weights" / "u2netp.onnx")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(code: str, *arguments: object) -> None:
        command = [str(python), "-c", code, *map(str, arguments)]
        subprocess.run(command, check=True, timeout=900, env={**environment, "U2NET_HOME": str(models)})

    return run
