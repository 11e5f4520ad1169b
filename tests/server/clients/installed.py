"""Clients that others wrote, installed from their registries into folders of their own, once for each list of packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL_SECONDS = 240


def python_with(*packages: str) -> Path:
    """A Python interpreter of an environment of its own that has these packages of PyPI, their dependencies named too."""

    def install(folder: Path) -> list[str]:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
        return [
            sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "--no-deps",
            "--disable-pip-version-check", *packages,
        ]  # fmt: skip

    return _folder("python", packages, install) / "bin/python"


def node_modules_with(*packages: str) -> Path:
    """A folder whose node_modules holds these packages of npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")

    def install(folder: Path) -> list[str]:
        folder.mkdir()
        return [
            "npm",
            "install",
            "--prefix",
            str(folder),
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            *packages,
        ]

    return _folder("node", packages, install)


def packed(package: str) -> Path:
    """The archive of a package of npm, without its dependencies."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")

    def pack(folder: Path) -> list[str]:
        folder.mkdir()
        return ["npm", "pack", package, "--silent", "--pack-destination", str(folder)]

    (archive,) = _folder("packed", (package,), pack).glob("*.tgz")
    return archive


def _folder(kind: str, packages: tuple[str, ...], install: Callable[[Path], list[str]]) -> Path:
    """The folder of an installation, made where it is not there yet; skips the test where the registry is out of reach."""
    name = hashlib.sha256(" ".join((sys.version, kind, *packages)).encode()).hexdigest()[:16]
    root = Path(tempfile.gettempdir()) / f"liftout-clients-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    folder = root / f"{kind}-{name}"
    complete = folder / ".complete"
    if complete.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    command = install(folder)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        reason = "\n".join((ended.stdout + ended.stderr).splitlines()[-3:]) if ended.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"it took more than {INSTALL_SECONDS} s"
    if reason:
        pytest.skip(f"{' '.join(packages)} cannot be installed: {reason}")
    complete.touch()
    return folder
