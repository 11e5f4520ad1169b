"""Remember the hashes of files that were read once: loading again costs a `stat`, and a changed file is noticed.

A stamp holds what the file system said of a file (size, times, inode) beside the hashes that were found. It counts as long
as the file system says the same. A file that changed within a moment of its stamp could change again without its times
telling: such a stamp does not count, and the file is read once more.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.home import delete_record, read_record, write_record
from liftout.models.hashes import Expectation, Fingerprint, mismatch
from liftout.remedies import PullModel

_MOMENT_NS = 2_000_000_000
"""Coarsest step of file times that is in use (FAT)."""


def verified(path: Path, expected: Expectation, *, model: str, trust_stamp: bool = True) -> str:
    """The sha256 of a file that is as expected.

    model: whose file it is, for messages. trust_stamp: False reads the file whatever its stamp says.
    Raises ModelMissing where it is not there, ModelFileCorrupt where it differs.
    """
    try:
        facts = _seen(path)
    except OSError:
        raise ModelMissing(f"{path} is not there", subject=model, remedy=PullModel(model)) from None
    stamp = read_record("stamps", _key(path)) if trust_stamp else {}
    known = all(stamp.get(name) == value for name, value in facts.items()) and (
        stamp.get("stamped_ns", 0) - facts["mtime_ns"] > _MOMENT_NS
    )
    sha256, md5 = (stamp.get("sha256", ""), stamp.get("md5", "")) if known else ("", "")
    must_read = not sha256 or (expected.md5 is not None and not md5)
    if must_read:
        if expected.bytes is not None and facts["bytes"] != expected.bytes:
            raise _corrupt(model, path, f"is {facts['bytes']} bytes, not {expected.bytes}")
        try:
            fingerprint = Fingerprint.of(path, expected)
        except OSError as error:
            raise ModelFileCorrupt(f"{path} cannot be read: {error.strerror or error}", subject=model) from None
        sha256, md5 = fingerprint.sha256, fingerprint.md5
    if wrong := mismatch(expected, size=facts["bytes"], sha256=sha256, md5=md5):
        raise _corrupt(model, path, wrong)
    if must_read:
        _stamp(path, facts, sha256, md5)
    return sha256


def stamp_new(path: Path, fingerprint: Fingerprint) -> None:
    """Stamp a file that was written by this process just now and read by nobody yet.

    Its modification time is set back by more than a moment: whoever changes it from here on gives it another.
    """
    try:
        before = time.time_ns() - 2 * _MOMENT_NS
        os.utime(path, ns=(before, before))
        _stamp(path, _seen(path), fingerprint.sha256, fingerprint.md5)
    except OSError:
        return  # without a stamp it is read once more, which is only slower


def drop(path: Path) -> None:
    """Forget the stamp of a file."""
    delete_record("stamps", _key(path))


def _stamp(path: Path, facts: dict[str, Any], sha256: str, md5: str) -> None:
    fact = {"path": os.fspath(path), **facts, "stamped_ns": time.time_ns(), "sha256": sha256, "md5": md5}
    write_record("stamps", _key(path), record=fact)


def _corrupt(model: str, path: Path, wrong: str) -> ModelFileCorrupt:
    return ModelFileCorrupt(f"{path.name} {wrong}", subject=model, remedy=PullModel(model))


def _seen(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
    }


def _key(path: Path) -> str:
    return hashlib.sha256(os.fspath(path.absolute()).encode()).hexdigest()[:32]
