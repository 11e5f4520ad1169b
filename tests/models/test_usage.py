"""What the cache takes, what no longer serves, and several models at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from liftout.models import packs
from tests.command import liftout

BUILT_IN = Path(packs.__file__).parent / "built_in" / "pocket"


def write(path: Path, size: int, *, age: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    if age:
        os.utime(path, (time.time() - age,) * 2)
    return path


def test_du_counts_everything_by_model(home, capsys):
    write(home / "models" / "u2netp" / "u2netp.onnx", 4_574_861)
    shutil.copytree(BUILT_IN, home / "packs" / "mine")
    assert liftout("models", "du", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {(row["model"], row["kind"]) for row in told["held"]} == {("u2netp", "file"), ("pocket", "pack")}
    assert told["bytes"] == 4_574_861 + sum(path.stat().st_size for path in BUILT_IN.iterdir() if path.is_file())
    assert liftout("models", "du") == 0
    assert "4.6 MB  u2netp  file u2netp.onnx" in capsys.readouterr().out


def test_an_empty_home_takes_nothing(capsys):
    assert liftout("models", "du") == 0
    assert capsys.readouterr().out.split()[:2] == ["0.0", "MB"]
    assert liftout("models", "prune") == 0


def test_prune_deletes_what_no_longer_serves_and_nothing_else(home, capsys):
    models = home / "models"
    good = write(models / "u2netp" / "u2netp.onnx", 4_574_861)
    arriving = write(models / "silueta" / "silueta.onnx.partial", 50)
    useless = [
        write(models / "u2net" / "u2net.onnx.partial", 100, age=7200),
        write(models / "isnet-anime" / "isnet-anime.onnx", 300),
        write(models / "u2net" / "older-name.onnx", 400),
    ]
    unknown = write(models / "of-another-catalogue" / "network.onnx", 500)
    (home / "packs" / "half").mkdir(parents=True)
    assert liftout("models", "prune") == 2
    assert all(path.exists() for path in useless)
    told = capsys.readouterr().out
    for word in ("not finished", "damaged: 300 bytes", "names this file no longer", "holds no manifest.json"):
        assert word in told
    assert liftout("models", "prune", "--yes") == 0
    assert not any(path.exists() for path in [*useless, home / "packs" / "half"])
    assert all(path.exists() for path in (good, arriving, unknown))


def test_a_checkpoint_goes_once_its_pack_is_here(home, capsys):
    checkpoint = write(home / "models" / "birefnet-512" / "model.safetensors", 100)
    assert liftout("models", "prune") == 0
    folder = home / "packs" / "birefnet-512"
    shutil.copytree(BUILT_IN, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["name"] = "birefnet-512"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert liftout("models", "prune", "--yes") == 0
    assert not checkpoint.exists()
    assert folder.is_dir()


@pytest.fixture
def three(server, content, tmp_path, monkeypatch):
    """Three models whose files have one name, on a server that answers only when all three were asked for."""
    together, asked = threading.Event(), []
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    entries = []
    for name in ("one", "two", "three"):
        body = content + name.encode()
        path = f"/{name}/net.onnx"
        server.files[path] = body

        def answer(handler, body):
            asked.append(handler.path)
            if len(asked) >= 3:
                together.set()
            together.wait(20)
            handler.serve(body)

        server.next_answers[path] = [answer]
        entries.append(
            f'[{name}]\narchitecture = "onnx"\ninput = {{ size = [64, 64] }}\n[[{name}.files]]\nrole = "onnx"\n'
            f'url = ["{server.url(path)}"]\nbytes = {len(body)}\nsha256 = "{hashlib.sha256(body).hexdigest()}"\n'
        )
    (overlay / "own.toml").write_text("".join(entries))
    monkeypatch.setenv("LIFTOUT_CATALOG", str(overlay))
    return together


def test_several_models_are_fetched_at_the_same_time(three, home, content, capsys):
    assert liftout("models", "pull", "one", "two", "three") == 0
    assert three.is_set()
    for name in ("one", "two", "three"):
        assert (home / "models" / name / "net.onnx").read_bytes() == content + name.encode()
    told = capsys.readouterr()
    assert sorted(told.out.splitlines()) == ["one is ready (onnx)", "three is ready (onnx)", "two is ready (onnx)"]
    assert "fetch two: net.onnx: done" in told.err


def test_jobs_limits_how_many(three, server, home):
    order = []
    for path in list(server.next_answers):
        server.next_answers[path] = [lambda handler, body: (order.append(handler.path), handler.serve(body))]
    assert liftout("models", "pull", "one", "two", "three", "--jobs", "1", "-q") == 0
    assert order == ["/one/net.onnx", "/two/net.onnx", "/three/net.onnx"]
