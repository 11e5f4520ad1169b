"""The npm package as its users get it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from liftout import site

ROOT = Path(__file__).parents[2]


def pack(folder: Path) -> Path:
    """What `make npm` packs."""
    for name in ("package.json", "README.md"):
        shutil.copyfile(ROOT / "web" / name, folder / name)
    site.write_module(folder / "dist")
    run(["npm", "pack"], folder)
    return next(folder.glob("*.tgz"))


def unpack(package: Path, folder: Path) -> Path:
    """The package as it lies on a CDN, with the runtime that it depends on beside it."""
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    described = json.loads((folder / "package" / "package.json").read_text())
    (folder / "package").rename(folder / f"liftout@{described['version']}")
    version = described["dependencies"]["onnxruntime-web"]
    runtime = folder / f"onnxruntime-web@{version}" / "dist"
    runtime.mkdir(parents=True)
    for path in (ROOT / "web" / "node_modules" / "onnxruntime-web" / "dist").glob("ort*wasm*"):
        (runtime / path.name).symlink_to(path)
    return folder


def run(command: list[str], folder: Path) -> None:
    """Run it there; its output is shown where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
