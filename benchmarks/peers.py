"""Environments of the peers that benchmarks measure beside liftout, made once and kept in `benchmarks/.peers/`."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parent / ".peers"
REMBG = ("rembg[cpu]==2.0.86", "pymatting==1.1.16")
"""rembg, with the matting library that it uses."""

REMBG_WITH_COMMANDS = ("rembg[cpu,cli]==2.0.86",)
"""rembg as people install it who call it from a shell."""


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
