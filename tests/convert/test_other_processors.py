"""The int8 form of a network is the same file on every processor: shown under qemu, on an x86 without AVX-512 and VNNI, on one
without AVX, and on ARM."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.convert import choosing

pytestmark = pytest.mark.long

_SCRIPT = ROOT / "tests" / "convert" / "choosing.py"

_DEBIAN_ARM = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6", "libgcc-s1"),
    *("zlib1g", "libexpat1", "libssl3", "libbz2-1.0", "liblzma5", "libffi8", "libuuid1", "libsqlite3-0"),
)
"""Python of Debian 12 and what its modules load."""

_WHEELS = ("click", "filelock", "httpx", "isal", "numpy", "onnx", "onnxruntime", "pillow", "platformdirs", "rich")

_ARM_CPUINFO = """\
processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

"""
"""Of a Neoverse N1. qemu passes the host's file on, over which ONNX Runtime for ARM crashes."""


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes out on this processor."""
    told = choosing.choose(tmp_path_factory.mktemp("native"))
    assert told["in_float"] == ["conv5", "conv6"]
    return told


@pytest.mark.parametrize("processor", ["Haswell", "Nehalem"])
def test_an_x86_with_fewer_units_makes_the_same_file(processor: str, native: dict[str, Any], tmp_path: Path) -> None:
    assert _emulated(tmp_path, [_qemu("qemu-x86_64"), "-cpu", processor, sys.executable]) == native


def test_arm_makes_the_same_file(native: dict[str, Any], arm: Path, tmp_path: Path) -> None:
    settings = {"PYTHONHOME": str(arm / "usr"), "PYTHONPATH": f"{arm / 'site'}:{ROOT / 'src'}"}
    more = [part for name, value in settings.items() for part in ("-E", f"{name}={value}")]
    python = next((arm / "usr" / "bin").glob("python3.*"))
    assert _emulated(tmp_path, [_qemu("qemu-aarch64"), "-L", str(arm), *more, str(python)]) == native


def _qemu(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (Debian's package qemu-user)")
    return found


def _emulated(folder: Path, python: list[str]) -> dict[str, Any]:
    """What comes out on an emulated processor. python: the command of an interpreter there."""
    ended = subprocess.run(
        [*python, str(_SCRIPT), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = json.loads(ended.stdout)
    assert isinstance(told, dict)
    return told


@pytest.fixture(scope="module")
def arm() -> Iterator[Path]:
    """A folder with Debian's Python for ARM and the packages that `choosing` imports. Nothing of this machine's Debian changes."""
    _qemu("qemu-aarch64")
    if sys.version_info[:2] != (3, 11) or shutil.which("apt-get") is None:
        pytest.skip("needs Python 3.11 and apt-get")
    with tempfile.TemporaryDirectory() as name:
        folder, work = Path(name, "root"), Path(name, "apt")
        for part in ("lists/partial", "archives/partial", "debs"):
            (work / part).mkdir(parents=True)
        (work / "status").touch()
        (folder / "proc").mkdir(parents=True)
        (folder / "proc" / "cpuinfo").write_text(_ARM_CPUINFO)
        own = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Sandbox::User": "root",
            "Dir::State::Lists": work / "lists",
            "Dir::State::status": work / "status",
            "Dir::Cache": work,
        }
        apt = ["apt-get", "-qq", *(part for key, value in own.items() for part in ("-o", f"{key}={value}"))]
        _or_skip([*apt, "update"], work)
        _or_skip([*apt, "download", *_DEBIAN_ARM], work / "debs")
        for package in (work / "debs").glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 24, 26, 27, 28)]
        options = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *platforms]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder / "site"), *options]
        _or_skip([*pip, "-c", str(ROOT / "tests" / "constraints.txt"), *_WHEELS], work)
        yield folder


def _or_skip(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip() or "no reason given").splitlines()[-1]
        pytest.skip(f"{Path(command[0]).name} cannot get packages for ARM: {last}")
