"""`liftout models pull | remove | verify`, `--accept-license`, and what is shown meanwhile."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import liftout


@pytest.fixture
def stocked(mirror, shared, tmp_path, monkeypatch):
    """A mirror with u2netp's graph, a catalogue with its hash, also under a restricted licence as `bound`."""
    content = (shared / "data" / "weights" / "u2netp.onnx").read_bytes()
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    file = f'role = "onnx"\nname = "u2netp.onnx"\nbytes = {len(content)}\npeak_bytes = 459_000_000\n'
    sha256 = hashlib.sha256(content).hexdigest()
    (overlay / "models.toml").write_text(
        f'[[u2netp.files]]\n{file}sha256 = "{sha256}"\n'
        f'[bound]\nlike = "u2netp"\nlicense = {{ weights = "Only-For-Us-1.0", commercial = false, url = "https://example.org/l" }}\n'
        f"[[bound.files]]\n{file}"
    )
    monkeypatch.setenv("LIFTOUT_CATALOG", str(overlay))
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    mirror.files["/u2netp/u2netp.onnx"] = mirror.files["/bound/u2netp.onnx"] = content
    return mirror


def test_pull_fetches_once_and_says_so(stocked, capsys):
    assert liftout("models", "pull", "u2netp") == 0
    told = capsys.readouterr()
    assert told.out == "u2netp is ready (onnx)\n"
    lines = told.err.splitlines()
    assert lines == [
        "liftout: u2netp: the published file u2netp.onnx (5 MB) needs about 0.5 GB of memory to run",
        "fetch u2netp.onnx (4.6 MB) ...",
        "fetch u2netp.onnx: done",
    ]
    assert liftout("models", "pull", "u2netp", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert len(stocked.requests) == 1


def test_pull_goes_on_after_a_model_that_fails(stocked, capsys, home):
    del stocked.files["/u2netp/u2netp.onnx"]
    assert liftout("models", "pull", "u2netp", "bound", "--accept-license", "bound", "-q") == 3
    assert re.fullmatch(
        r"liftout: u2netp: u2netp.onnx could not be fetched: .* 404 Not Found; .*\n", capsys.readouterr().err
    )
    assert (home / "models" / "bound" / "u2netp.onnx").is_file()


def test_a_restricted_model_needs_consent_once(stocked, capsys, examples, tmp_path):
    assert liftout("models", "pull", "bound") == 3
    message = capsys.readouterr().err
    assert "Only-For-Us-1.0 (https://example.org/l)" in message
    assert "`--accept-license bound`" in message
    assert not stocked.requests
    assert (
        liftout("cut", examples / "cat.jpg", "-m", "bound", "-o", tmp_path / "a.png", "--accept-license", "bound") == 0
    )
    assert liftout("cut", examples / "cat.jpg", "-m", "bound", "-o", tmp_path / "b.png") == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert liftout("models", "show", "bound") == 0
    assert "no commercial use, accepted" in capsys.readouterr().out


def test_a_model_without_a_published_graph_ends_with_status_3_and_names_the_extra(
    examples, capsys, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert liftout("cut", examples / "cat.jpg", "-m", "birefnet-512", "-o", tmp_path / "a.png") == 3
    assert re.fullmatch(r"liftout: birefnet-512: .*pip install 'liftout\[convert\]'`\n", capsys.readouterr().err)
    assert not (tmp_path / "a.png").exists()


def test_offline_ends_with_status_3_and_names_the_file(stocked, examples, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    assert liftout("cut", examples / "cat.jpg", "-m", "u2netp", "-o", tmp_path / "a.png") == 3
    assert "u2netp.onnx is not here and LIFTOUT_OFFLINE is set" in capsys.readouterr().err
    assert not stocked.requests


def test_a_licence_name_that_is_none_is_wrong_usage(stocked, capsys):
    assert liftout("models", "pull", "bound", "--accept-license", "bount") == 2
    assert "did you mean `bound`?" in capsys.readouterr().err


def test_a_free_model_takes_the_option_without_a_word(stocked, capsys):
    assert liftout("models", "pull", "u2netp", "-q", "--accept-license", "u2netp") == 0
    assert capsys.readouterr().err == ""


def test_show_tells_pinned_from_unpinned(stocked, capsys):
    liftout("models", "show", "bound")
    assert "unpinned until its first download" in capsys.readouterr().out
    liftout("models", "pull", "bound", "--accept-license", "bound", "-q")
    liftout("models", "show", "bound")
    assert "pinned when it arrived: sha256 " in capsys.readouterr().out


def test_verify_reads_everything_and_names_what_is_damaged(stocked, capsys, home):
    assert liftout("models", "verify") == 0
    liftout("models", "pull", "u2netp", "-q")
    assert liftout("models", "verify") == 0
    assert capsys.readouterr().out == "u2netp: u2netp.onnx is whole\n"
    path = home / "models" / "u2netp" / "u2netp.onnx"
    with path.open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"\x00\xff")
    assert liftout("models", "verify", "u2netp") == 3
    assert "sha256" in capsys.readouterr().out
    assert liftout("models", "pull", "u2netp", "-q") == 0
    assert liftout("models", "verify", "u2netp") == 0
    assert liftout("models", "verify", "u2net") == 3
    assert "nothing of it is in the cache" in capsys.readouterr().err


def test_remove_frees_the_files(stocked, capsys, home):
    liftout("models", "pull", "u2netp", "-q")
    assert liftout("models", "remove", "u2netp") == 0
    assert capsys.readouterr().out == "u2netp is removed, 4.6 MB freed\n"
    assert not (home / "models" / "u2netp").exists()
    assert liftout("models", "remove", "u2netp") == 3


def test_list_looks_at_files_without_reading_them(stocked, capsys, home):
    liftout("models", "pull", "u2netp", "-q")
    liftout("models", "list")
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("u2netp "))
    assert re.search(r" onnx +General objects", row)
    (home / "models" / "u2netp" / "u2netp.onnx").write_bytes(b"short")
    liftout("models", "list")
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("u2netp "))
    assert " damaged " in row


def test_a_terminal_shows_bytes_and_rate(stocked, home):
    """Through a real pseudo-terminal."""
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "liftout", "models", "pull", "u2netp"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "30"}
    source = Path(__file__).parents[2] / "src"
    environment["PYTHONPATH"] = str(source)
    done = subprocess.run(command, stderr=inner, stdout=subprocess.PIPE, env=environment, timeout=60)
    os.close(inner)
    shown = os.read(outer, 100_000).decode()
    os.close(outer)
    assert done.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"fetch u2netp.onnx .*100% 4.6/4.6 MB [\d.]+ MB/s", plain), plain
