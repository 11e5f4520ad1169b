"""Locks between processes, so that what takes long is done once."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from liftout.errors import ModelMissing
from liftout.home import home

_logger = logging.getLogger("liftout")


def locked(model: str, part: str) -> AbstractContextManager[object]:
    """The lock of a part of a model (a file, its pack), held until the end of the block; waits for the process that has it.

    A process that dies gives it back. Raises ModelMissing where the cache cannot be written.
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
            f"{model}: {folder} cannot be written ({error.strerror or error}); set LIFTOUT_HOME to a folder that can"
        ) from None
