"""Environments of the peers that benchmarks measure beside liftout, made once and kept in `benchmarks/.peers/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from liftout.engines.choice import computes
from liftout.models.resolve import locate

FOLDER = Path(__file__).parent / ".peers"
REMBG = ("rembg[cpu]==2.0.86", "pymatting==1.1.16")
"""rembg, with the matting library that it uses."""

REMBG_WITH_COMMANDS = ("rembg[cpu,cli]==2.0.86",)
"""rembg as people install it who call it from a shell."""

WEIGHTS = Path(__file__).parent / ".speed" / "u2net"
"""Where `rembg_command` has rembg look for weights."""


def rembg_command() -> tuple[Path, dict[str, str]]:
    """The command `rembg`, and the environment in which it finds what `share_weights` put there. Its first import, which compiles, is done."""
    python = python_of("rembg-commands", REMBG_WITH_COMMANDS)
    command = python.with_name("rembg")
    subprocess.run([python, "-c", "import rembg"], check=True)
    return command, {**os.environ, "U2NET_HOME": str(WEIGHTS)}


def share_weights(model: str) -> None:
    """A model's published weights where both look for them, downloaded if need be."""
    subprocess.run([sys.executable, "-m", "liftout", "models", "pull", model], check=True)
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(locate(model, "fp32", computes).file.path, WEIGHTS / f"{model}.onnx")


def python_of(name: str, requirements: tuple[str, ...]) -> Path:
    """The interpreter of an environment that holds `requirements`; installs them from the package index the first time."""
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed.txt"
    if not done.is_file() or done.read_text(encoding="utf-8") != "\n".join(requirements):
        print(f"installing {', '.join(requirements)} into {folder}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)
        done.write_text("\n".join(requirements), encoding="utf-8")
    return python
