"""Files appear whole or not at all, also where the power fails: written under a temporary name beside their place,
synchronised, then renamed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from liftout.errors import OutputError, OutputExists, UsageError
from liftout.remedies import UseOption


def write_whole(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file. Raises OutputExists, or OutputError where the folder does not exist or cannot be written to."""
    if not overwrite and target.exists():
        raise OutputExists(
            "already exists", subject=target, remedy=(UseOption("overwrite", True), "choose another output")
        )
    partial = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.partial")
    try:
        with partial.open("xb") as stream:
            stream.write(content)
            stream.flush()
        give_name(partial, target, overwrite=overwrite)
    except FileNotFoundError:
        raise OutputError(
            f"the folder {target.parent} does not exist", subject=target, remedy="make it first"
        ) from None
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", subject=target) from None
    finally:
        partial.unlink(missing_ok=True)


def give_name(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file of the same file system its name. Raises OutputExists, OSError."""
    try:
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        if overwrite:
            partial.replace(target)
        else:
            _place(partial, target)
        sync_folder(target.parent)
    except FileExistsError:
        raise OutputExists(
            "already exists", subject=target, remedy=(UseOption("overwrite", True), "choose another output")
        ) from None


def numbered(name: str, number: int) -> str:
    """The name of one of several files in the place of one: `a/cat.png` becomes `a/cat-2.png`."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}{dot}{suffix}"


def write_to_stream(stream: IO[bytes], content: bytes) -> None:
    """Write to a file that the caller opened. Raises UsageError where it is none, or is open as text."""
    if not hasattr(stream, "write"):
        raise UsageError(
            f"is a {type(stream).__name__}",
            field="path",
            remedy="give a path or a binary file that is open for writing",
        )
    try:
        stream.write(content)
    except TypeError:
        raise UsageError("is a file that is open as text", field="path", remedy="open it with mode 'wb'") from None


def _place(partial: Path, target: Path) -> None:
    """Give a finished file its name unless another process took it meanwhile."""
    try:
        os.link(partial, target)  # atomic, and fails where the name is taken
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        partial.replace(target)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they are there after a power failure. Raises OSError."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can be asked for that (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # a folder that may be written to and not be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that does not synchronise folders
            raise
    finally:
        os.close(descriptor)


_ABANDONED_SECONDS = 24 * 3600
_SCRATCH = re.compile(r"\.(?P<name>.+)\.(?P<host>[A-Za-z0-9-]*)@(?P<pid>\d+)-[0-9a-f]{8}\.(?P<kind>work|partial|old)")
_UNSIGNED = re.compile(r"\..+\.[a-z0-9_]{8}\.(work|partial)")
"""How liftout 0.1.0 called them."""


@contextmanager
def scratch_folder(target: Path, kind: str = "partial") -> Iterator[Path]:
    """A fresh, empty folder beside `target`, to make `target` in; it is removed at the end where it is still there.

    kind: what its name ends in. The name says which process it belongs to, so that `clear_abandoned` knows whether it still runs.
    """
    clear_abandoned(target.parent)
    host = _host()
    folder = target.with_name(f".{target.name}.{host}@{os.getpid()}-{os.urandom(4).hex()}.{kind}")
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    """This machine's name, as names of scratch folders have it."""
    import socket  # not at the top: few processes make a folder, and all import this file

    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())


def clear_abandoned(folder: Path, *, ours: bool = False) -> None:
    """Remove the scratch folders that killed processes of this machine left in `folder`; one that holds the only copy of what
    was to be replaced gets its name back.

    ours: nobody but liftout writes into `folder`; scratch folders of other machines, and those that do not say whose they are,
    are then removed after a day.
    """
    try:
        hidden = [entry for entry in os.scandir(folder) if entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return
    here = _host()
    for entry in hidden:
        owner = _SCRATCH.fullmatch(entry.name)
        if owner and owner["host"] == here:
            if is_alive(int(owner["pid"])):
                continue
        elif not ours or not (owner or _UNSIGNED.fullmatch(entry.name)) or not _is_old(entry):
            continue
        try:
            if owner and owner["kind"] == "old" and not (folder / owner["name"]).exists():
                Path(entry.path).rename(folder / owner["name"])
        except OSError:
            continue
        shutil.rmtree(entry.path, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs on this machine; True where the system cannot be asked."""
    if os.name == "nt":
        return True  # asking by signal would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_old(entry: os.DirEntry[str]) -> bool:
    try:
        return time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False
