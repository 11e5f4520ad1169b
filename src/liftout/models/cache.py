"""A model's downloaded files and packs in the cache: where they lie, what they must be, how they are removed, and locks on them.

A file whose hash the catalogue does not know is pinned when it first arrives: its sha256 is recorded under `state/pins`,
and it, or any later download of it, must match.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.home import home, read_record, write_record
from liftout.models import hash_cache, packs
from liftout.models.hashes import Expectation
from liftout.models.spec import FileSpec, ModelSpec

_logger = logging.getLogger("liftout")


def path_of(spec: ModelSpec, file: FileSpec) -> Path:
    """Where a downloaded file lies, or would lie."""
    return home() / "models" / spec.stored_as / file.name


def pack_folder(spec: ModelSpec, precision: str = "fp32") -> Path:
    """Where the model's pack at its own size lies, or would lie.

    precision: `fp32`, or the reduced precision of the pack.
    """
    return home() / "packs" / (spec.stored_as if precision == "fp32" else f"{spec.stored_as}-{precision}")


def expectation(spec: ModelSpec, file: FileSpec) -> Expectation:
    """What a file must be: by the catalogue, or as it was when it first arrived."""
    known = Expectation.of(file)
    if known.pinned:
        return known
    pin = read_record("pins", spec.stored_as, file.name)
    return Expectation(bytes=pin.get("bytes", known.bytes), sha256=pin.get("sha256"))


def pin(spec: ModelSpec, file: FileSpec, *, sha256: str, size: int, source: str) -> None:
    """Record size and hash of a file that the catalogue has no hash for; an existing record stays.

    sha256, size: of the file as it arrived. source: where from, for the record.
    """
    if not expectation(spec, file).pinned:
        fact = {"sha256": sha256, "bytes": size, "source": source}
        write_record("pins", spec.stored_as, file.name, record=fact)


def present(spec: ModelSpec, file: FileSpec, *, trust_stamp: bool = True) -> Path | None:
    """Path of a file that is here and as it must be; None where it is not here. Raises ModelFileCorrupt.

    trust_stamp: whether a file that is unchanged since it was last read whole is not read again.
    """
    path = path_of(spec, file)
    if not path.is_file():
        return None
    sha256 = hash_cache.verified(path, expectation(spec, file), model=spec.name, trust_stamp=trust_stamp)
    pin(spec, file, sha256=sha256, size=path.stat().st_size, source="found in the cache")
    return path


def check_pack(pack: packs.Pack, *, model: str, trust_stamp: bool = True) -> None:
    """Compare every file of a pack with its manifest. Raises ModelFileCorrupt.

    model: for messages. trust_stamp: as for `present`.
    """
    for item in pack.manifest.files:
        expected = Expectation(bytes=item.bytes, sha256=item.sha256)
        hash_cache.verified(pack.folder / item.path, expected, model=model, trust_stamp=trust_stamp)


def packs_of(spec: ModelSpec) -> list[Path]:
    """Folders of all packs of the model, of any size and precision, readable or not."""
    root = home() / "packs"
    folders = [folder for folder in sorted(root.glob("*")) if (folder / packs.MANIFEST).is_file()]
    return [folder for folder in folders if _packed_name(folder) == spec.stored_as]


def remove(spec: ModelSpec) -> int:
    """Delete the model's files and packs, and its entry if the user added it. Returns the bytes that were freed.

    Pins and consents stay. Raises ModelMissing where nothing of it is here.
    """
    entry = home() / "catalog" / f"{spec.name}.toml"
    targets = [home() / "models" / spec.stored_as, *packs_of(spec)]
    targets = [folder for folder in targets if folder.is_dir()]
    if not targets and not entry.is_file():
        built_in = "; it is built in and stays" if packs.built_in(spec.name) else ""
        raise ModelMissing(f"nothing of it is in the cache{built_in}", subject=spec.name)
    freed = 0
    for folder in targets:
        for path in folder.rglob("*"):
            if path.is_file():
                freed += path.stat().st_size
                hash_cache.drop(path)
        shutil.rmtree(folder)
    entry.unlink(missing_ok=True)
    return freed


def _packed_name(folder: Path) -> str:
    try:
        return packs.read(folder).spec.stored_as
    except (ModelFileCorrupt, ModelMissing):
        return folder.name


def locked(model: str, part: str) -> AbstractContextManager[object]:
    """Lock a file or the pack of a model until the end of the block; waits for the process that holds the lock.

    The lock of a process that dies is released. Raises ModelMissing where the cache cannot be written.
    """
    from filelock import FileLock, Timeout

    folder = home() / "state" / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{model}--{part}.lock")
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            _logger.info("%s: another process is at work on %s; waiting for it", model, part)
            return lock.acquire(poll_interval=0.1)
    except OSError as error:
        raise ModelMissing(
            f"{folder} cannot be written ({error.strerror or error})",
            subject=model,
            remedy="set LIFTOUT_HOME to a folder that can",
        ) from None
