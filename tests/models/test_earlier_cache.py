"""A cache that liftout 0.1.0 wrote serves later versions as it is.

`cache-0.1.0` holds what these commands left behind, with a catalogue of three models of a few hundred bytes: `models pull tiny
--accept-license tiny`, `models add mine --onnx FILE --like packed`, `convert mine --precision fp16`, and a pack `packed`.
Hash records name files by absolute path and inode, and check records the version of the engine: the tests write those two
kinds themselves, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.command import liftout

CACHE = Path(__file__).parent / "cache-0.1.0"


@pytest.fixture(autouse=True)
def cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The earlier cache as LIFTOUT_HOME; the network may not be used."""
    shutil.copytree(CACHE / "home", home)
    hour_ago = time.time() - 3600
    for path in home.rglob("*"):
        os.utime(path, (hour_ago, hour_ago))
    monkeypatch.setenv("LIFTOUT_CATALOG", str(CACHE / "catalog"))
    monkeypatch.setenv("LIFTOUT_OFFLINE", "1")
    return home


def contents(folder: Path) -> dict[str, bytes]:
    """Files by path, without what every version may write anew: hash records and locks."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(("state/stamps/", "state/locks/"))}


def hash_record(path: Path, sha256: str) -> str:
    """What 0.1.0 kept of a file that it had read whole."""
    seen = path.stat()
    return (
        f'{{\n "path": "{path}",\n "bytes": {seen.st_size},\n "mtime_ns": {seen.st_mtime_ns},\n'
        f' "ctime_ns": {seen.st_ctime_ns},\n "inode": {seen.st_ino},\n "stamped_ns": {time.time_ns()},\n'
        f' "sha256": "{sha256}",\n "md5": ""\n}}\n'
    )


@pytest.mark.parametrize(
    ("model", "arguments", "subject"),
    [("tiny", (), 0.5039), ("mine", (), 0.4973), ("packed", (), 0.5029), ("mine", ("--precision", "fp16"), 0.4973)],
)
def test_every_form_of_a_model_runs_without_network_or_new_consent(
    cache: Path,
    tmp_path: Path,
    examples: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    arguments: tuple[str, ...],
    subject: float,
) -> None:
    before = contents(cache)
    assert liftout("cut", examples / "cat.jpg", "-m", model, *arguments, "-o", tmp_path / "cat.png", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["subject"]) == (model, pytest.approx(subject, abs=1e-4))
    after = contents(cache)  # where the processor computes bf16, the check of that precision adds a record
    new = {name for name in after.keys() - before.keys() if not name.startswith("state/trials/")}
    assert not new
    assert {name: after.get(name) for name in before} == before


def test_all_of_it_is_listed_and_whole(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert liftout("models", "list", "--json") == 0
    here = {row["name"]: row["here"] for row in json.loads(capsys.readouterr().out) if row["here"]}
    assert here == {"pocket": "built-in", "tiny": "onnx", "mine": "onnx", "packed": "pack"}
    before = contents(cache)
    assert liftout("models", "verify", "tiny", "packed") == 0
    assert capsys.readouterr().out == "tiny: tiny.onnx is whole\npacked: pack packed is whole\n"
    assert contents(cache) == before


def test_a_file_of_unknown_hash_stays_pinned_to_what_arrived_then(
    cache: Path, tmp_path: Path, examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cache / "models" / "tiny" / "tiny.onnx"
    path.write_bytes(path.read_bytes().replace(b"photo", b"Photo"))
    assert liftout("cut", examples / "cat.jpg", "-m", "tiny", "-o", tmp_path / "cat.png") == 3
    assert "tiny.onnx is 275 bytes but its sha256 is" in capsys.readouterr().err


def test_a_file_that_was_read_whole_is_not_read_again(
    cache: Path, tmp_path: Path, examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record with another hash is believed, which shows that it counts."""
    path = cache / "models" / "tiny" / "tiny.onnx"
    record = cache / "state" / "stamps" / f"{hashlib.sha256(os.fspath(path).encode()).hexdigest()[:32]}.json"
    record.parent.mkdir()
    time.sleep(2.1)  # a record that is written within two seconds of a change does not count
    record.write_text(hash_record(path, "0" * 64))
    assert liftout("cut", examples / "cat.jpg", "-m", "tiny", "-o", tmp_path / "cat.png") == 3
    assert "its sha256 is 00000000..." in capsys.readouterr().err


def test_precisions_that_agreed_are_remembered(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = cache / "state" / "trials" / "tiny" / "openvino-2026.1.0-bf16-x86_64-64x64-275.json"
    record.parent.mkdir(parents=True)
    photos = '{\n  "1f0c3a5b7d9e2468": [\n   0.001,\n   0.999\n  ]\n }'
    record.write_text(f'{{\n "engine": "openvino",\n "precision": "bf16",\n "photos": {photos},\n "agrees": true\n}}\n')
    assert liftout("doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["would run"]["tried with tiny"] == "openvino bf16 agrees"


def test_a_download_that_broke_off_goes_on(
    cache: Path, mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (cache / "models" / "tiny" / "tiny.onnx").read_bytes()
    folder = cache / "models" / "half-here"
    folder.mkdir()
    (folder / "tiny.onnx.partial").write_bytes(content[:100])
    (folder / "tiny.onnx.partial.json").write_text('{"address": "https://example.org/tiny.onnx", "version": ""}')
    monkeypatch.delenv("LIFTOUT_OFFLINE")
    monkeypatch.setenv("LIFTOUT_MIRROR", mirror.origin)
    mirror.files["/half-here/tiny.onnx"] = content
    assert liftout("models", "pull", "half-here") == 0
    assert mirror.ranges("/half-here/tiny.onnx") == ["bytes=100-"]
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.onnx"]


def test_removing_a_model_finds_all_of_it(cache: Path) -> None:
    assert liftout("models", "remove", "mine", "packed", "tiny") == 0
    assert not [path for name in ("models", "packs", "catalog") for path in (cache / name).iterdir()]
