"""What a release is made of: versions that agree, the bill of materials, the workflows, and the whole command in the long form."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_the_same_wherever_it_stands() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", script("release").versions())


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    for head in heads[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", head), head
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert not [line for line in lines if lines.count(line) > 1], "a change is described twice"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


def test_the_bill_of_materials_names_what_is_brought_along() -> None:
    calls = [
        subprocess.run([sys.executable, "packaging/sbom.py"], cwd=ROOT, capture_output=True, check=True).stdout
        for _ in "ab"
    ]
    assert calls[0] == calls[1]
    bill = json.loads(calls[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    parts: dict[str, Any] = {part["name"]: part for part in bill["components"]}
    network = ROOT / "src/liftout/models/built_in/pocket/network.onnx"
    assert parts["pocket"]["hashes"][0]["content"] == hashlib.sha256(network.read_bytes()).hexdigest()
    assert parts["numpy"]["scope"] == "required"
    assert re.fullmatch(r"[\d.]+", parts["numpy"]["version"])
    assert parts["openvino"]["scope"] == "optional"
    assert not {"pytest", "mypy", "mkdocs-material"} & set(parts)
    for part in parts.values():
        for one in part.get("hashes", ()):
            assert len(one["content"]) == {"SHA-256": 64, "SHA-512": 128}[one["alg"]]


def test_what_the_page_bundles_is_in_the_bill() -> None:
    """Every package that a script of the page imports."""
    bundled = set(script("sbom").BUNDLED)
    imported = set()
    for folder in ("src", "page"):
        for path in (ROOT / "web" / folder).rglob("*.ts"):
            imported |= set(re.findall(r"from \"(?!node:)([^.\"][^\"]*)\"", path.read_text(encoding="utf-8")))
    packages = {"/".join(name.split("/")[: 2 if name.startswith("@") else 1]) for name in imported}
    assert packages <= bundled, packages - bundled


def workflows() -> list[Path]:
    return sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.name)
def test_a_workflow_runs_what_is_there(path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    described = yaml.safe_load(path.read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    jobs = described["jobs"]
    for job in jobs.values():
        assert set(job.get("needs", []) if isinstance(job.get("needs", []), list) else [job["needs"]]) <= set(jobs)
        for step in job["steps"]:
            command = step.get("run", "")
            assert "${{" not in command, "a value of an event must not be read as a command"
            for target in re.findall(r"\bmake (\w+)", command):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
            for named in re.findall(r"(?<![\w.])(?:tests|examples|packaging)/[\w./]+", command):
                assert (ROOT / named).exists(), named
    assert described["permissions"] == {"contents": "read"}


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node and npm")
def test_a_release_is_built_twice_alike_and_tried(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    command = [sys.executable, "packaging/release.py", "--out", str(tmp_path / "dist")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "two builds are the same, byte for byte" in ended.stdout
    assert "Nothing was uploaded." in ended.stdout
    for line in (tmp_path / "dist" / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((tmp_path / "dist" / name).read_bytes()).hexdigest() == digest
