"""`liftout site`: what it writes."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import networks
import pytest

from liftout import site
from liftout.cli import main
from liftout.errors import UnknownModel
from liftout.models import packs
from liftout.models.catalog import all_models


@pytest.fixture(autouse=True)
def built(chromium: str) -> None:
    """The browser's files are there."""


@pytest.fixture
def tiny(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packs, "BLOCK_BYTES", 64 * 1024)
    model = networks.smooth(weights=200_000)
    networks.pack(own_home / "packs" / "tiny", model, networks.spec("tiny"), external=True, peak_bytes=5)
    return own_home


def test_a_site_has_all_that_a_browser_needs(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["site", str(tmp_path / "public"), "--models", "tiny"])
    assert ended.value.code == 0, capsys.readouterr().err
    public = tmp_path / "public"
    for name in ("index.html", "liftout.js", "liftout-worker.js", "liftout.d.ts", "ort/ort.wasm.min.mjs"):
        assert (public / name).is_file(), name
    for name in ("prepare.onnx", "finish.onnx", "cutout.onnx"):
        source = files("liftout.graphs.sources").joinpath(name).read_bytes()
        assert (public / "graphs" / name).read_bytes() == source
    catalogue = json.loads((public / "catalog.json").read_text())
    assert catalogue == {name: json.loads(json.dumps(spec.to_dict())) for name, spec in all_models().items()}
    assert "Cross-Origin-Opener-Policy" in capsys.readouterr().err


def test_published_blocks_are_the_weights(tiny: Path, tmp_path: Path) -> None:
    site.write(tmp_path / "public", ["tiny"])
    folder = tmp_path / "public" / "packs" / "tiny"
    manifest = json.loads((folder / "manifest.json").read_text())
    item = next(item for item in manifest["files"] if item["path"] == "weights.bin")
    blocks = [(folder / f"weights.bin.{index:03d}").read_bytes() for index in range(len(item["blocks"]))]
    assert [hashlib.sha256(block).hexdigest() for block in blocks] == item["blocks"]
    assert b"".join(blocks) == (tiny / "packs" / "tiny" / "weights.bin").read_bytes()
    assert json.loads((folder.parent / "index.json").read_text())[0]["peak_bytes"] == 5


def test_a_second_call_adds_to_the_packs(tiny: Path, tmp_path: Path) -> None:
    site.write(tmp_path / "public", ["tiny"])
    networks.pack(tiny / "packs" / "other", networks.opaque(), networks.spec("other"))
    site.write(tmp_path / "public", ["other"])
    listed = json.loads((tmp_path / "public" / "packs" / "index.json").read_text())
    assert sorted(item["name"] for item in listed) == ["other", "tiny"]


def test_an_unknown_model_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        site.write(tmp_path / "public", ["u3net"])
    assert not (tmp_path / "public").exists()


def test_a_folder_of_a_pack_is_published_under_its_name(tiny: Path, tmp_path: Path) -> None:
    made = tmp_path / "made" / "tiny-64"
    networks.pack(made, networks.opaque(), networks.spec("tiny"))
    with pytest.raises(SystemExit) as ended:
        main(["site", str(tmp_path / "public"), "--models", str(made)])
    assert ended.value.code == 0
    assert (tmp_path / "public" / "packs" / "tiny-64" / "manifest.json").is_file()


def test_a_folder_without_a_pack_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["site", str(tmp_path / "public"), "--models", str(tmp_path / "none")])
    assert ended.value.code == 3
    assert "is not a pack" in capsys.readouterr().err
    assert not (tmp_path / "public").exists()


def test_a_licence_that_restricts_use_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["site", str(tmp_path / "public"), "--models", "rmbg-1.4"])
    assert ended.value.code != 0
    assert "--accept-license rmbg-1.4" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["site", str(tmp_path / "public"), "--models", "rmbg-1.4", "--accept-license", "rmbg-1.4"])
    assert ended.value.code == 3  # agreed to; here there is no network to fetch it from
    assert "LIFTOUT_OFFLINE" in capsys.readouterr().err
