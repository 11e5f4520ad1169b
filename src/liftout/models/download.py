"""Fetch a model's published file into the cache, once, however many processes ask for it.

    path = fetch(spec, spec.files[0])

Where it comes from: `LIFTOUT_MIRROR` first (`<mirror>/<model>/<file>`), then the sources of the catalogue in their order
(`sources`). What the hub's own library has fetched already is copied.
It lands as `<file>.partial` and takes its name only when its size and hashes are right.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from liftout.errors import ModelFileCorrupt, ModelMissing, one_line
from liftout.home import record_path
from liftout.models import cache, hash_cache, hub
from liftout.models.hashes import Expectation, Fingerprint
from liftout.models.sources import Source, chosen, mirror_of, parse
from liftout.models.spec import FileSpec, ModelSpec
from liftout.progress import FETCH, Notify, Progress, unseen

if TYPE_CHECKING:
    from liftout.models.transfer import Patience, Refused

_logger = logging.getLogger("liftout")


def fetch(
    spec: ModelSpec,
    file: FileSpec,
    *,
    source: str | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
    patience: Patience | None = None,
) -> Path:
    """The file's path in the cache; fetched if it is not there or damaged.

    source: the only place to ask, as `liftout models pull --from` takes it. notify: takes a line for each source that fails
    while another is left.
    Raises ModelMissing where no source gives it (or `LIFTOUT_OFFLINE` forbids to ask, or the disk is full),
    ModelFileCorrupt where every source gives a file that is not the one that the catalogue or the first download says.
    """
    places = sources_of(spec, file, source)
    try:
        if path := cache.present(spec, file):
            return path
    except ModelFileCorrupt as error:
        if offline() or not places:
            raise
        _logger.info("%s", error)
    target = cache.path_of(spec, file)
    if not places and not offline():
        if source is not None:
            raise ModelMissing(
                f"the catalogue names no {source} that has {file.name}",
                subject=spec.name,
                remedy="name another source, or none",
            )
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
        if path := _from_hub_cache(spec, file, places, target):
            return path
        if offline():
            raise ModelMissing(
                f"{file.name} is not here and LIFTOUT_OFFLINE is set",
                subject=spec.name,
                remedy=f"unset it, or copy the file to {target}",
            )
        return _fetch(spec, file, places, target, progress or unseen, notify or _unheard, patience)


def sources_of(spec: ModelSpec, file: FileSpec, source: str | None = None) -> list[Source]:
    """All places to ask, the mirror first; those that `source` chooses, where it is given. Raises UsageError."""
    mirror = mirror_of(spec.stored_as, file.name)
    places = [*([mirror] if mirror else []), *(parse(text) for text in file.url)]
    return places if source is None else chosen(places, source, format=file.format)


def offline() -> bool:
    """Whether `LIFTOUT_OFFLINE` forbids all use of the network."""
    return os.environ.get("LIFTOUT_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def _unheard(_: str) -> None:
    pass


def _from_hub_cache(spec: ModelSpec, file: FileSpec, places: list[Source], target: Path) -> Path | None:
    """A copy of the file that the hub's own library fetched to this machine, where it is the right one."""
    expected = cache.expectation(spec, file)
    if not expected.pinned:
        return None
    for place in places:
        cached_file = hub.cached(place.repo, place.revision, place.path) if place.kind == "hf" else None
        if cached_file is None or (expected.bytes is not None and cached_file.stat().st_size != expected.bytes):
            continue
        fingerprint = Fingerprint.of(cached_file, expected)
        if fingerprint.mismatch is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.partial")
            shutil.copyfile(cached_file, partial)
            return _take(spec, file, partial, target, fingerprint, source=str(cached_file))
    return None


def _fetch(
    spec: ModelSpec,
    file: FileSpec,
    places: list[Source],
    target: Path,
    progress: Progress,
    notify: Notify,
    patience: Patience | None,
) -> Path:
    from liftout.models.transfer import BadSettings, DiskFull, Patience, Refused  # httpx is slow to import

    patience = patience or Patience()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    expected = cache.expectation(spec, file)
    report = _reporter(f"{FETCH}{file.name}", progress)
    failures: list[tuple[Source, Refused]] = []
    for place, following in zip(places, [*places[1:], None], strict=True):
        # A host that does not answer at all is not called again while another source is left.
        calls = 1 if following else patience.calls
        try:
            fingerprint = _bring(
                place,
                file,
                partial,
                expected,
                patience=dataclasses.replace(patience, calls=calls),
                progress=report,
            )
        except Refused as refusal:
            failures.append((place, refusal))
            if following:
                notify(f"{spec.name}: {place.label} {one_line(refusal)}; trying {following.label}")
        except BadSettings as error:
            raise ModelMissing(
                f"{file.name} cannot be fetched: the environment's proxy or certificates cannot be used: {error}",
                subject=spec.name,
            ) from None
        except DiskFull as error:
            raise ModelMissing(
                f"{file.name} does not fit: {error}",
                subject=spec.name,
                remedy="make room, or set LIFTOUT_HOME to another disk",
            ) from None
        except OSError as error:
            raise ModelMissing(f"{partial} cannot be written: {error.strerror or error}", subject=spec.name) from None
        else:
            return _take(spec, file, partial, target, fingerprint, source=place.label)
    raise _failure(spec, file, failures)


def _bring(
    place: Source,
    file: FileSpec,
    partial: Path,
    expected: Expectation,
    *,
    patience: Patience,
    progress: Callable[[int, int | None], None],
) -> Fingerprint:
    """Bring the file from one source into `partial`. Raises what `transfer` raises."""
    from liftout.models import packages
    from liftout.models.transfer import client, transfer

    url = place.url
    if url is None:
        return packages.bring(place, partial, expected, progress=progress)
    with client(patience) as http:
        return transfer(http, url, partial, expected, format=file.format, patience=patience, progress=progress)


def _take(
    spec: ModelSpec, file: FileSpec, partial: Path, target: Path, fingerprint: Fingerprint, *, source: str
) -> Path:
    """Rename a complete download to its final name."""
    from liftout.models.transfer import discard

    cache.pin(spec, file, sha256=fingerprint.sha256, size=fingerprint.bytes, source=source)
    partial.replace(target)
    hash_cache.stamp_new(target, fingerprint)
    discard(partial)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target


def _failure(spec: ModelSpec, file: FileSpec, failures: list[tuple[Source, Refused]]) -> Exception:
    from liftout.models.transfer import OtherFile

    reasons = "; ".join(f"{place.label} {one_line(refusal)}" for place, refusal in failures)
    if all(isinstance(refusal, OtherFile) for _, refusal in failures):
        return ModelFileCorrupt(
            f"{file.name} was refused: {reasons}; nothing was kept",
            subject=spec.name,
            remedy="set LIFTOUT_MIRROR to a place that has the right file" + _pin_advice(spec, file),
        )
    gated = f"accept the terms at {spec.origin} and set HF_TOKEN; " if file.gated else ""
    return ModelMissing(
        f"{file.name} could not be fetched: {reasons}",
        subject=spec.name,
        remedy=f"{gated}check the network and the proxy, set LIFTOUT_MIRROR, or try again later",
    )


def _pin_advice(spec: ModelSpec, file: FileSpec) -> str:
    pin = record_path("pins", spec.stored_as, file.name)
    known = file.sha256 or file.md5
    return "" if known or not pin.is_file() else f"; if its authors replaced the file, delete {pin}"


def _reporter(phase: str, progress: Progress) -> Callable[[int, int | None], None]:
    def report(done: int, total: int | None) -> None:
        progress(phase, done, total)

    return report
