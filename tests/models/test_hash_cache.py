"""Loading a file again costs no reading; a changed file is noticed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.models import hash_cache
from liftout.models.hash_cache import verified
from liftout.models.hashes import Expectation, Fingerprint, fits

CONTENT = b"network " * 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that has not changed for an hour."""
    file = tmp_path / "network.onnx"
    file.write_bytes(CONTENT)
    age(file)
    return file


def age(file: Path, seconds: int = 3600) -> None:
    before = file.stat().st_mtime - seconds
    os.utime(file, (before, before))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are read whole from here on."""
    seen: list[Path] = []
    real = Fingerprint.of

    def counted(file: Path, expected: Expectation) -> Fingerprint:
        seen.append(file)
        return real(file, expected)

    monkeypatch.setattr(hash_cache.Fingerprint, "of", counted)
    return seen


EXPECTED = Expectation(
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    md5=hashlib.md5(CONTENT).hexdigest(),  # noqa: S324
)


def test_a_file_is_read_once(path, reads):
    assert verified(path, EXPECTED, model="sample") == EXPECTED.sha256
    assert verified(path, EXPECTED, model="sample") == EXPECTED.sha256
    assert reads == [path]


def test_the_stamp_can_be_ignored(path, reads):
    verified(path, EXPECTED, model="sample")
    verified(path, EXPECTED, model="sample", trust_stamp=False)
    assert reads == [path, path]


def test_a_file_that_has_just_changed_is_read_again(path, reads):
    """Its times could not tell a second change within the same tick."""
    path.write_bytes(CONTENT)
    verified(path, EXPECTED, model="sample")
    verified(path, EXPECTED, model="sample")
    assert reads == [path, path]


def test_bytes_that_changed_under_the_same_size_are_noticed(path):
    verified(path, EXPECTED, model="sample")
    with path.open("r+b") as stream:
        stream.write(b"N")
    with pytest.raises(ModelFileCorrupt, match=r"^sample: network.onnx is 8000 bytes but its sha256 is .*downloads it"):
        verified(path, EXPECTED, model="sample")


def test_a_change_that_restores_the_modification_time_is_noticed(path):
    verified(path, EXPECTED, model="sample")
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"N")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelFileCorrupt):
        verified(path, EXPECTED, model="sample")


def test_a_file_put_in_its_place_is_noticed(path, tmp_path):
    verified(path, EXPECTED, model="sample")
    other = tmp_path / "other"
    other.write_bytes(CONTENT[::-1])
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    with pytest.raises(ModelFileCorrupt):
        verified(path, EXPECTED, model="sample")


def test_a_stamp_does_not_stand_for_another_expectation(path):
    verified(path, Expectation(), model="sample")
    with pytest.raises(ModelFileCorrupt, match="sha256"):
        verified(path, Expectation(sha256="0" * 64), model="sample")
    with pytest.raises(ModelFileCorrupt, match="md5"):
        verified(path, Expectation(md5="0" * 32), model="sample")
    with pytest.raises(ModelFileCorrupt, match="is 8000 bytes, not 9000"):
        verified(path, Expectation(bytes=9000), model="sample")


def test_a_new_file_is_stamped_by_what_passed_when_it_was_written(path, reads):
    path.write_bytes(CONTENT)
    passed = Fingerprint(EXPECTED)
    passed.update(CONTENT)
    hash_cache.stamp_new(path, passed)
    assert verified(path, EXPECTED, model="sample") == EXPECTED.sha256
    assert reads == []
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(ModelFileCorrupt):
        verified(path, EXPECTED, model="sample")


def test_a_damaged_stamp_is_made_again(path, reads, own_home):
    verified(path, EXPECTED, model="sample")
    (stamp,) = (own_home / "state" / "stamps").iterdir()
    stamp.write_text("{")
    verified(path, EXPECTED, model="sample")
    assert reads == [path, path]


def test_a_file_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(ModelMissing, match="downloads it"):
        verified(tmp_path / "none.onnx", EXPECTED, model="sample")


@pytest.mark.parametrize(
    ("known", "fit"),
    [
        ("abcdef", True),
        ("abc...ef", True),
        ("abc...", True),
        ("abc...ee", False),
        ("abd...ef", False),
        ("abcde", False),
    ],
)
def test_the_known_part_of_a_hash_is_compared(known, fit):
    assert fits("abcdef", known) is fit
