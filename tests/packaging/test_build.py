"""Wheels and source distributions, really built: they hold the page, or the build says why not."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "src", "examples", "web", "docs")

pytest.importorskip("hatchling", reason="needs hatchling")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources as a clone has them: nothing built, nothing installed."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("needs the sources")
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            built = shutil.ignore_patterns("__pycache__", "node_modules", "*.partial", "dist")
            shutil.copytree(source, copy / name, ignore=built)
        else:
            shutil.copy(source, copy)
    shutil.copy(ROOT / ".gitignore", copy)
    shutil.rmtree(copy / "src/liftout/web", ignore_errors=True)
    return copy


@pytest.fixture
def no_node(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has Python and no Node."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    return {**environment(), "PATH": str(folder)}


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("LIFTOUT_WITHOUT_PAGE", "PYTHONPATH")}


def build(folder: Path, kind: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build with the hatchling that is installed, as `pip wheel --no-build-isolation` does."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder.parent / "made")]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def made(folder: Path, pattern: str) -> Path:
    (path,) = (folder.parent / "made").glob(pattern)
    return path


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_without_node_and_page_the_build_stops_with_one_line(checkout: Path, no_node: dict[str, str]) -> None:
    for kind in ("wheel", "sdist"):
        ended = build(checkout, kind, no_node)
        assert ended.returncode == 1
        (line,) = [line for line in (ended.stdout + ended.stderr).splitlines() if "page" in line]
        assert "it needs Node and npm" in line
        assert "LIFTOUT_WITHOUT_PAGE=1" in line
        assert "Traceback" not in ended.stderr
    assert not list(checkout.parent.glob("made/*"))


def test_a_setting_builds_a_wheel_without_the_page(checkout: Path, no_node: dict[str, str]) -> None:
    built = checkout / "src/liftout/web/liftout.js"
    built.parent.mkdir()
    built.touch()
    ended = build(checkout, "wheel", {**no_node, "LIFTOUT_WITHOUT_PAGE": "1"})
    assert ended.returncode == 0, ended.stderr
    inside = names(made(checkout, "*.whl"))
    assert not [name for name in inside if name.startswith("liftout/web/")]
    assert "liftout/cli/cut.py" in inside
    assert "liftout/convert/precision/examples/cat.jpg" in inside


def test_a_page_that_is_there_goes_along_without_node(checkout: Path, no_node: dict[str, str]) -> None:
    built = checkout / "src/liftout/web/liftout.js"
    built.parent.mkdir()
    built.write_text("built before")
    assert build(checkout, "wheel", no_node).returncode == 0
    assert "liftout/web/liftout.js" in names(made(checkout, "*.whl"))


def test_an_editable_install_needs_no_node(checkout: Path, no_node: dict[str, str]) -> None:
    code = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
    (checkout.parent / "made").mkdir()
    subprocess.run([sys.executable, "-c", code, str(checkout.parent / "made")], cwd=checkout, env=no_node, check=True)
    assert [name for name in names(made(checkout, "*.whl")) if name.endswith(".pth")]


def test_what_an_index_shows_has_no_links_into_the_repository(checkout: Path, no_node: dict[str, str]) -> None:
    assert build(checkout, "wheel", {**no_node, "LIFTOUT_WITHOUT_PAGE": "1"}).returncode == 0
    wheel = made(checkout, "*.whl")
    (metadata,) = (name for name in names(wheel) if name.endswith("dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        message = email.message_from_bytes(archive.read(metadata))
    assert message["Author"] == "The liftout authors"
    assert message["License-Expression"] == "Apache-2.0"
    assert message["Description-Content-Type"] == "text/markdown"
    description = message.get_payload(decode=True).decode()
    assert "liftout photo.jpg" in description
    assert "English |" not in description
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert all(link.startswith(("https://", "#")) for link in links), links


@pytest.mark.long
def test_a_wheel_made_from_a_source_distribution_writes_the_site(checkout: Path, no_node: dict[str, str]) -> None:
    if not shutil.which("npm"):
        pytest.skip("needs Node and npm")
    ended = build(checkout, "sdist", environment())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    with tarfile.open(made(checkout, "*.tar.gz")) as archive:
        archive.extractall(checkout.parent / "unpacked", filter="data")
    (source,) = (checkout.parent / "unpacked").iterdir()
    assert (source / "web/build.mjs").is_file()
    assert not (source / "web/node_modules").exists()

    ended = build(source, "wheel", {**no_node, "PATH": no_node["PATH"]})  # the page came along
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (wheel,) = (source.parent / "made").glob("*.whl")
    installed = checkout.parent / "installed"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            "--target",
            str(installed),
            str(wheel),
        ],
        check=True,
    )
    env = {**no_node, "PYTHONPATH": str(installed)}
    call = [sys.executable, "-m", "liftout", "site", str(checkout.parent / "public")]
    ended = subprocess.run(call, env=env, cwd=checkout.parent, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    public = checkout.parent / "public"
    for name in ("index.html", "page.js", "liftout.js", "sw.js", "ort/LICENSE", "ort/ThirdPartyNotices.txt"):
        assert (public / name).is_file(), name
    assert (public / "packs/pocket/manifest.json").is_file()
    assert "fflate" in (public / "THIRD-PARTY.txt").read_text()


@pytest.mark.long
def test_pip_builds_the_page_from_a_checkout(checkout: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("needs Node and npm")
    target = checkout.parent / "made"
    call = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target), str(checkout)]
    ended = subprocess.run(call, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    inside = names(made(checkout, "*.whl"))
    assert {"liftout/web/index.html", "liftout/web/liftout.js", "liftout/web/ort/LICENSE"} <= inside
