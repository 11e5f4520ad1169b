"""A model is found, or fetched and converted, or its published graph is fetched; with real weights from a loopback mirror."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from liftout import Remover
from liftout.errors import ExtraMissing, LicenseNotAccepted, ModelFileCorrupt, ModelMissing
from liftout.loading import can_convert, converter
from liftout.models import cache, packs, verify
from liftout.models import resolve as room
from liftout.models.catalog import find
from liftout.models.local import ResolvedModel, presence
from liftout.models.resolve import locate


def resolve(model: str, precision: str = "auto", **options: Any) -> ResolvedModel:
    """As callers do: checkpoints are converted where the extra `convert` is installed."""
    return room.resolve(model, precision, load_converter=converter(), **options)


def pull(model: str, **options: Any) -> ResolvedModel:
    return room.pull(find(model), load_converter=converter(), **options)


@pytest.fixture
def weights(shared: Path) -> Path:
    return shared / "data" / "weights"


@pytest.fixture
def overlay(tmp_path, monkeypatch, weights) -> Path:
    """A catalogue in which u2netp's files are those of the shared folder."""
    onnx, checkpoint = weights / "u2netp.onnx", weights / "u2netp.pth"
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "u2netp.toml").write_text(
        "\n".join(
            f'[[u2netp.files]]\nrole = "{role}"\nname = "{path.name}"\nbytes = {path.stat().st_size}\n'
            f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"\npeak_bytes = 459_000_000\n'
            for role, path in (("checkpoint", checkpoint), ("onnx", onnx))
        )
    )
    monkeypatch.setenv("LIFTOUT_CATALOG", str(tmp_path / "overlay"))
    return tmp_path / "overlay"


@pytest.fixture
def stocked(mirror, overlay, weights, monkeypatch):
    """A mirror that serves them."""
    for name in ("u2netp.onnx", "u2netp.pth"):
        mirror.files[f"/u2netp/{name}"] = (weights / name).read_bytes()
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    return mirror


@pytest.fixture
def without_convert(monkeypatch):
    """A Python in which torch cannot be imported."""
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture
def with_convert():
    pytest.importorskip("safetensors")
    convert = pytest.importorskip("liftout.convert")
    if not hasattr(convert, "convert_model"):
        pytest.skip("liftout.convert makes no packs yet")


def paths(server) -> list[str]:
    return [path for _, path, _ in server.requests]


def test_without_the_extra_the_published_graph_runs_after_a_word_about_memory(
    stocked, without_convert, examples, weights, home
):
    lines = []
    located = resolve("u2netp", notify=lines.append)
    assert located.source == "onnx"
    assert located.file.path.read_bytes() == (weights / "u2netp.onnx").read_bytes()
    assert len(lines) == 1
    assert "u2netp.onnx" in lines[0]
    assert "0.5 GB of memory" in lines[0]
    assert paths(stocked) == ["/u2netp/u2netp.onnx"]
    with Remover("u2netp") as remover:
        alpha = remover(examples / "cat.jpg").alpha
    assert 0.05 < (alpha > 128).mean() < 0.95


def test_what_was_fetched_works_offline(stocked, without_convert, monkeypatch):
    path = resolve("u2netp", notify=str).file.path
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    seen = []
    assert resolve("u2netp", notify=seen.append).file.path == path
    assert not seen


def test_offline_names_the_file_that_is_needed(overlay, without_convert, monkeypatch, home):
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    with pytest.raises(ModelMissing, match=r"u2netp.onnx is not here and LIFTOUT_OFFLINE is set") as raised:
        resolve("u2netp", notify=str)
    assert str(home / "models" / "u2netp" / "u2netp.onnx") in str(raised.value)


def test_a_file_copied_by_hand_is_used_and_checked(overlay, weights, home):
    target = home / "models" / "u2netp" / "u2netp.onnx"
    target.parent.mkdir(parents=True)
    target.write_bytes((weights / "u2netp.onnx").read_bytes())
    assert locate("u2netp").file.path == target
    assert presence(find("u2netp")) == "onnx"


def test_a_short_file_in_the_cache_is_noticed(home):
    target = home / "models" / "u2netp" / "u2netp.onnx"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"x" * 146)
    with pytest.raises(ModelFileCorrupt, match=r"u2netp: u2netp.onnx is 146 bytes, not 4574861; .*downloads it"):
        Remover("u2netp")
    assert presence(find("u2netp")) == "damaged"


def test_pulling_replaces_what_is_damaged(stocked, without_convert, weights):
    path = resolve("u2netp", notify=str).file.path
    with path.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\x00\x01\x02\x03")
    with pytest.raises(ModelFileCorrupt, match="sha256"):
        resolve("u2netp")
    lines = []
    assert pull("u2netp", notify=lines.append).file.path.read_bytes() == (weights / "u2netp.onnx").read_bytes()
    assert lines[0] == "u2netp: u2netp.onnx is damaged and is deleted"


def test_pulling_keeps_what_is_damaged_where_nothing_can_replace_it(overlay, weights, home, monkeypatch):
    target = home / "models" / "u2netp" / "u2netp.onnx"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"damaged")
    with pytest.raises(ModelFileCorrupt, match=r"u2netp.onnx is damaged and no URL of it is known"):
        pull("u2netp")
    monkeypatch.setenv("LIFTOUT_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    with pytest.raises(ModelFileCorrupt, match="LIFTOUT_OFFLINE is set"):
        pull("u2netp")
    assert target.read_bytes() == b"damaged"


def test_a_model_with_a_checkpoint_alone_names_the_extra(without_convert):
    with pytest.raises(ExtraMissing, match=r"birefnet-512: .*pip install 'liftout\[convert\]'"):
        resolve("birefnet-512")


def test_consent_comes_before_the_network(mirror, monkeypatch):
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    with pytest.raises(LicenseNotAccepted):
        resolve("rmbg-1.4")
    assert not mirror.requests


def test_entries_that_share_files_fetch_them_once(mirror, tmp_path, monkeypatch, without_convert, weights):
    content = (weights / "u2netp.onnx").read_bytes()
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "both.toml").write_text(
        '[first]\nlike = "u2netp"\n[[first.files]]\nrole = "onnx"\nname = "net.onnx"\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        '[second]\nlike = "first"\nfiles_of = "first"\noutput = { quantize = "round" }\n'
    )
    monkeypatch.setenv("LIFTOUT_CATALOG", str(tmp_path / "overlay"))
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    mirror.files["/first/net.onnx"] = content
    first, second = (resolve(name, notify=str) for name in ("first", "second"))
    assert first.file.path == second.file.path
    assert (first.spec.output.quantize, second.spec.output.quantize) == ("truncate", "round")
    assert paths(mirror) == ["/first/net.onnx"]


def test_with_the_extra_the_checkpoint_is_fetched_and_converted(stocked, with_convert, examples, home, weights):
    seen = set()
    located = resolve("u2netp", progress=lambda phase, *_: seen.add(phase))
    assert located.source == "pack"
    assert paths(stocked) == ["/u2netp/u2netp.pth"]
    assert "fetch u2netp.pth" in seen
    assert locate("u2netp").file.path == home / "packs" / "u2netp" / packs.NETWORK
    with Remover("u2netp") as remover:
        converted = remover(examples / "cat.jpg").alpha
    cache.remove(find("u2netp"))
    (home / "models" / "u2netp").mkdir(parents=True)
    (home / "models" / "u2netp" / "u2netp.onnx").write_bytes((weights / "u2netp.onnx").read_bytes())
    with Remover("u2netp") as remover:
        published = remover(examples / "cat.jpg").alpha
    assert np.abs(converted.astype(int) - published).max() <= 2


def test_a_damaged_pack_is_noticed_and_pulled_again(stocked, with_convert, home):
    resolve("u2netp")
    network = home / "packs" / "u2netp" / packs.NETWORK
    whole = network.read_bytes()
    network.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelFileCorrupt, match=r"u2netp: network.onnx .*downloads it"):
        Remover("u2netp")
    pull("u2netp", notify=str)
    assert [(part.label, part.wrong) for part in verify.check(find("u2netp"))] == [
        ("pack u2netp", None),
        ("u2netp.pth", None),
    ]


def test_where_the_checkpoint_cannot_be_had_the_published_graph_is_used(stocked, with_convert):
    del stocked.files["/u2netp/u2netp.pth"]
    lines = []
    assert resolve("u2netp", notify=lines.append).source == "onnx"
    assert "404" in lines[0]
    assert "using the published ONNX file instead" in lines[0]


def test_a_pack_whose_bytes_changed_is_noticed(home, weights):
    folder = home / "packs" / "u2netp"
    with packs.writing(folder) as fresh:
        (fresh / packs.NETWORK).write_bytes((weights / "u2netp.onnx").read_bytes())
        packs.write_manifest(fresh, packs.Manifest(spec=find("u2netp"), precision="fp32", files=()))
    assert locate("u2netp").source == "pack"
    with (folder / packs.NETWORK).open("r+b") as stream:
        stream.seek(2000)
        stream.write(b"\x00\x01")
    with pytest.raises(ModelFileCorrupt, match=r"u2netp: network.onnx is .* sha256"):
        locate("u2netp")


def test_removing_frees_files_packs_and_added_entries(stocked, without_convert, home):
    path = resolve("u2netp", notify=str).file.path
    size = path.stat().st_size
    assert cache.remove(find("u2netp")) == size
    assert not path.parent.exists()
    with pytest.raises(ModelMissing, match="nothing of it is in the cache"):
        cache.remove(find("u2netp"))
    with pytest.raises(ModelMissing, match=r"built in and stays|nothing of it"):
        cache.remove(find("pocket"))


def test_fp16_runs_a_plain_network_where_an_engine_computes_in_half(overlay, weights, home):
    target = home / "models" / "u2netp" / "u2netp.onnx"
    target.parent.mkdir(parents=True)
    target.write_bytes((weights / "u2netp.onnx").read_bytes())
    assert resolve("u2netp", "fp16", capabilities=lambda precision: precision == "fp16").source == "onnx"
    with pytest.raises(ModelMissing, match=r"not here in fp16; .*convert_model"):
        resolve("u2netp", "fp16", capabilities=lambda _: False)
    with pytest.raises(ModelMissing, match="not here in int8"):
        locate("u2netp", "int8")


def test_the_folder_of_a_pack_is_resolved_like_a_name(tmp_path):
    built_in = packs.built_in("pocket")
    folder = shutil.copytree(built_in.folder, tmp_path / "mine")
    resolved = resolve(str(folder))
    assert (resolved.spec, resolved.file.path) == (find("pocket"), folder / packs.NETWORK)
    (folder / packs.NETWORK).write_bytes(b"damaged")
    with pytest.raises(ModelFileCorrupt, match="get or make the pack"):
        resolve(str(folder))
    with pytest.raises(ModelMissing, match="it is not a pack"):
        resolve(str(tmp_path / "nothing"))


def test_can_convert_says_what_is_installed(without_convert):
    assert not can_convert()


def test_the_fetched_graph_agrees_with_the_alpha_that_rembg_stored(stocked, without_convert, shared):
    """`make verify-real` does the same with the files of the network."""
    folder = shared / "data" / "fixtures" / "rembg"
    with Remover("u2netp") as remover, Image.open(folder / "car-1.u2netp.png") as image:
        expected = np.asarray(image if image.mode == "L" else image.convert("RGBA").getchannel("A")) >= 128
        alpha = remover(folder / "car-1.jpg").alpha >= 128
    assert (alpha & expected).sum() / (alpha | expected).sum() > 0.97
