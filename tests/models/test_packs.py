"""Packs appear whole, are read back, and notice damage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.models import packs
from liftout.models.catalog import find


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> packs.Pack:
    monkeypatch.setattr(packs, "BLOCK_BYTES", 1000)
    with packs.writing(tmp_path / "packs/u2netp") as folder:
        (folder / packs.NETWORK).write_bytes(b"graph" * 100)
        (folder / packs.WEIGHTS).write_bytes(np.random.default_rng(0).bytes(2500))
        packs.write_manifest(folder, packs.Manifest(spec=find("u2netp"), precision="fp32", files=(), peak_bytes=12345))
    return packs.read(tmp_path / "packs/u2netp")


def test_a_pack_is_read_back_as_it_was_written(pack: packs.Pack) -> None:
    assert pack.spec == find("u2netp")
    assert pack.manifest.precision == "fp32"
    assert pack.manifest.peak_bytes == 12345
    weights = next(item for item in pack.manifest.files if item.path == packs.WEIGHTS)
    assert weights.bytes == 2500
    assert weights.sha256 == hashlib.sha256((pack.folder / packs.WEIGHTS).read_bytes()).hexdigest()
    assert len(weights.blocks) == 3
    packs.verify(pack)


def test_a_changed_byte_is_found_by_verify(pack: packs.Pack) -> None:
    weights = pack.folder / packs.WEIGHTS
    content = bytearray(weights.read_bytes())
    content[1234] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelFileCorrupt, match=r"weights\.bin has sha256"):
        packs.verify(packs.read(pack.folder))


def test_a_short_or_missing_file_is_found_at_once(pack: packs.Pack) -> None:
    (pack.folder / packs.WEIGHTS).write_bytes(b"short")
    with pytest.raises(ModelFileCorrupt, match="is 5 bytes, not 2500"):
        packs.read(pack.folder)
    (pack.folder / packs.WEIGHTS).unlink()
    with pytest.raises(ModelFileCorrupt, match="is missing"):
        packs.read(pack.folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}', '{"schema": 99}', "null"])
def test_a_broken_manifest_is_one_clear_error(pack: packs.Pack, content: str) -> None:
    (pack.folder / packs.MANIFEST).write_text(content)
    with pytest.raises(ModelFileCorrupt, match=r"manifest\.json"):
        packs.read(pack.folder)


def test_a_folder_without_a_manifest_is_not_a_pack(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="not a pack"):
        packs.read(tmp_path)


def test_a_failed_writing_leaves_nothing_and_keeps_what_was_there(pack: packs.Pack) -> None:
    before = (pack.folder / packs.MANIFEST).read_bytes()
    with pytest.raises(RuntimeError, match="half way"), packs.writing(pack.folder, overwrite=True) as folder:
        (folder / packs.NETWORK).write_bytes(b"half")
        raise RuntimeError("half way")
    assert (pack.folder / packs.MANIFEST).read_bytes() == before
    assert [path.name for path in pack.folder.parent.iterdir()] == ["u2netp"]


def test_a_published_pack_has_one_file_per_block(pack: packs.Pack, tmp_path: Path) -> None:
    target = tmp_path / "site/u2netp"
    packs.publish(pack, target)
    manifest = json.loads((target / packs.MANIFEST).read_text())
    weights = next(item for item in manifest["files"] if item["path"] == packs.WEIGHTS)
    blocks = [(target / packs.block_name(packs.WEIGHTS, i)).read_bytes() for i in range(3)]
    assert b"".join(blocks) == (pack.folder / packs.WEIGHTS).read_bytes()
    assert [hashlib.sha256(block).hexdigest() for block in blocks] == weights["blocks"]
    assert (target / packs.NETWORK).is_file()
    assert not (target / packs.WEIGHTS).exists()


def test_the_pocket_model_ships_whole() -> None:
    pocket = packs.built_in("pocket")
    assert pocket is not None
    packs.verify(pocket)
    assert pocket.bytes < 5_000_000
