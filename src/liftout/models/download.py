"""Fetch a model's published file into the cache, once, however many processes ask for it.

    path = fetch(spec, spec.files[0])

Where it comes from: `LIFTOUT_MIRROR` first (`<mirror>/<model>/<file>`), then the URLs of the catalogue in their order.
It lands as `<file>.partial` and takes its name only when its size and hashes are right.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.home import record_path
from liftout.models import cache, hash_cache
from liftout.models.hashes import Fingerprint
from liftout.models.spec import FileSpec, ModelSpec
from liftout.progress import FETCH, Progress, unseen

if TYPE_CHECKING:
    from liftout.models.transfer import Patience, Refused

_logger = logging.getLogger("liftout")


def fetch(
    spec: ModelSpec, file: FileSpec, *, progress: Progress | None = None, patience: Patience | None = None
) -> Path:
    """The file's path in the cache; fetched if it is not there or damaged.

    Raises ModelMissing where no URL gives it (or `LIFTOUT_OFFLINE` forbids to ask, or the disk is full),
    ModelFileCorrupt where every URL gives a file that is not the one that the catalogue or the first download says.
    """
    try:
        if path := cache.present(spec, file):
            return path
    except ModelFileCorrupt as error:
        if offline() or not addresses(spec, file):
            raise
        _logger.info("%s", error)
    target = cache.path_of(spec, file)
    if offline():
        raise ModelMissing(
            f"{file.name} is not here and LIFTOUT_OFFLINE is set",
            subject=spec.name,
            remedy=f"unset it, or copy the file to {target}",
        )
    if not addresses(spec, file):
        raise ModelMissing(
            f"no direct URL of {file.name} is known",
            subject=spec.name,
            remedy=f"set LIFTOUT_MIRROR, or copy the file to {target}",
        )
    with cache.locked(spec.stored_as, file.name):
        try:
            if path := cache.present(spec, file):  # another process was quicker
                return path
        except ModelFileCorrupt:
            pass
        return _fetch(spec, file, target, progress or unseen, patience)


def addresses(spec: ModelSpec, file: FileSpec) -> list[str]:
    """All URLs of a file, the mirror first."""
    mirror = os.environ.get("LIFTOUT_MIRROR", "").strip().rstrip("/")
    own = [f"{mirror}/{quote(spec.stored_as)}/{quote(file.name)}"] if mirror else []
    return [*own, *file.url]


def offline() -> bool:
    """Whether `LIFTOUT_OFFLINE` forbids all use of the network."""
    return os.environ.get("LIFTOUT_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def _fetch(spec: ModelSpec, file: FileSpec, target: Path, progress: Progress, patience: Patience | None) -> Path:
    from liftout.models.transfer import (
        BadSettings,
        DiskFull,
        Patience,
        Refused,
        client,
        transfer,
    )  # httpx is slow to import

    patience = patience or Patience()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    expected = cache.expectation(spec, file)
    report = _reporter(f"{FETCH}{file.name}", progress)
    failures: list[tuple[str, Refused]] = []
    try:
        http = client(patience)
    except BadSettings as error:
        raise ModelMissing(
            f"{file.name} cannot be fetched: the environment's proxy or certificates cannot be used: {error}",
            subject=spec.name,
        ) from None
    with http:
        for address in addresses(spec, file):
            try:
                found = transfer(
                    http, address, partial, expected, format=file.format, patience=patience, progress=report
                )
            except Refused as refusal:
                _logger.info("%s: %s %s", spec.name, _host(address), refusal)
                failures.append((address, refusal))
            except DiskFull as error:
                raise ModelMissing(
                    f"{file.name} does not fit: {error}",
                    subject=spec.name,
                    remedy="make room, or set LIFTOUT_HOME to another disk",
                ) from None
            except OSError as error:
                raise ModelMissing(
                    f"{partial} cannot be written: {error.strerror or error}", subject=spec.name
                ) from None
            else:
                return _take(spec, file, partial, target, found, source=_host(address))
    raise _failure(spec, file, failures)


def _take(spec: ModelSpec, file: FileSpec, partial: Path, target: Path, found: Fingerprint, *, source: str) -> Path:
    """Rename a complete download to its final name."""
    from liftout.models.transfer import discard

    cache.pin(spec, file, sha256=found.sha256, size=found.bytes, source=source)
    partial.replace(target)
    hash_cache.stamp_new(target, found)
    discard(partial)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target


def _failure(spec: ModelSpec, file: FileSpec, failures: list[tuple[str, Refused]]) -> Exception:
    from liftout.models.transfer import OtherFile

    told = "; ".join(f"{_host(address)} {' '.join(str(refusal).split())}" for address, refusal in failures)
    if all(isinstance(refusal, OtherFile) for _, refusal in failures):
        return ModelFileCorrupt(
            f"{file.name} was refused: {told}; nothing was kept",
            subject=spec.name,
            remedy="set LIFTOUT_MIRROR to a place that has the right file" + _pin_advice(spec, file),
        )
    gated = f"accept the terms at {spec.origin} and set HF_TOKEN; " if file.gated else ""
    return ModelMissing(
        f"{file.name} could not be fetched: {told}",
        subject=spec.name,
        remedy=f"{gated}check the network and the proxy, set LIFTOUT_MIRROR, or try again later",
    )


def _pin_advice(spec: ModelSpec, file: FileSpec) -> str:
    pin = record_path("pins", spec.stored_as, file.name)
    known = file.sha256 or file.md5
    return "" if known or not pin.is_file() else f"; if its authors replaced the file, delete {pin}"


def _host(address: str) -> str:
    """The host for messages and records, without the user name and password that a mirror's URL may hold."""
    return urlsplit(address).netloc.rpartition("@")[2] or address


def _reporter(phase: str, progress: Progress) -> Callable[[int, int | None], None]:
    def report(done: int, total: int | None) -> None:
        progress(phase, done, total)

    return report
