"""Files appear whole or not at all, also where the power fails: written under a temporary name beside their place,
synchronised, then renamed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from liftout.errors import OutputError, OutputExists


def write_whole(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file. Raises OutputExists, or OutputError where the folder is missing or cannot be written."""
    if not overwrite and target.exists():
        raise OutputExists(f"{target} is there already; give --overwrite to replace it, or another -o")
    partial = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.partial")
    try:
        with partial.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if overwrite:
            partial.replace(target)
        else:
            _place(partial, target)
        sync_folder(target.parent)
    except FileExistsError:
        raise OutputExists(f"{target} is there already; give --overwrite to replace it, or another -o") from None
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


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
