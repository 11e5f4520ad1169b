"""One photo, from store to store: read, cut, write. Every executor runs this and nothing else."""

from __future__ import annotations

import io
import os
import socket
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from filelock import FileLock
from PIL import Image

from liftout.batch import journal
from liftout.batch.job import Item, Job, Outcome
from liftout.batch.storage import Storage
from liftout.errors import InputError, LiftoutError
from liftout.remover import Remover
from liftout.render import render

_T = TypeVar("_T")

_FIRST_PAUSE = 0.5
"""Seconds before the first new try; each later one waits twice as long."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """A photo's bytes, or why there are none."""

    content: bytes
    seconds: float
    tries: int
    error: Exception | None = None


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A finished picture file that is not written yet, or why there is none."""

    content: bytes
    outcome: Outcome


class Cutter:
    """A loaded model between two storages. `read` and `write` may be called from several threads, `cut` from one at a time.

    with Cutter(job) as cutter:
        outcome = cutter.write(item, cutter.cut(item, cutter.read(item)))
    """

    def __init__(
        self, job: Job, *, threads: int | None = None, large_pixels: int | None = None, lock: Path | None = None
    ):
        """Load the model.

        threads: of the network, where the job names none. large_pixels: photos of more pixels take `lock`, a file that all
        workers of a machine share, so that their memory is needed once and not once for each worker.
        Raises UnknownModel, ModelUnavailable, EngineError, UsageError.
        """
        self.job = job
        self._source, self._target = Storage(job.source), Storage(job.target)
        self._large_pixels, self._lock = large_pixels, FileLock(lock) if lock else None
        run = job.run
        self._remover = Remover(
            run.model,
            engine=run.engine,
            device=run.device,
            precision=run.precision,
            threads=run.threads or threads,
            edges=run.edges,
            max_pixels=run.max_pixels,
        )
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def read(self, item: Item) -> Read:
        """The photo's bytes; tried again where the store fails."""
        started = time.perf_counter()

        def whole() -> bytes:
            content = self._source.read(item.path)
            if item.size is not None and len(content) != item.size:
                raise OSError(f"{len(content)} bytes came, {item.size} were listed: it changes while it is read")
            return content

        content, tries, error = self._tried(whole)
        return Read(content=content or b"", seconds=time.perf_counter() - started, tries=tries, error=error)

    def cut(self, item: Item, read: Read) -> Cut:
        """The cutout's file. A photo that cannot be used gives an outcome that says so."""
        outcome = Outcome(
            path=item.path,
            output=item.output,
            status="done",
            tries=read.tries,
            bytes_in=len(read.content),
            read_seconds=read.seconds,
            worker=self.name,
        )
        if read.error is not None:
            return Cut(content=b"", outcome=_failed(outcome, read.error, "cannot be read"))
        started = time.perf_counter()
        try:
            with self._alone_if_large(read.content):
                cutout = self._remover(read.content, name=item.path)
                rendered = render(cutout, self.job.result)
        except Exception as error:  # noqa: BLE001 - whatever one photo does, the others go on
            return Cut(content=b"", outcome=_failed(outcome, error, "cannot be cut out"))
        height, width = cutout.size
        made = replace(
            outcome,
            width=width,
            height=height,
            subject=float(cutout.alpha.mean()) / 255,
            bytes_out=len(rendered.content),
            cut_seconds=time.perf_counter() - started,
        )
        return Cut(content=rendered.content, outcome=made)

    def write(self, item: Item, cut: Cut) -> Outcome:
        """Put a cutout and its record into the target; tried again where the store fails."""
        if cut.outcome.status == "failed":
            return cut.outcome
        started = time.perf_counter()
        _, tries, error = self._tried(lambda: journal.commit(self._target, item, cut.content))
        spent = time.perf_counter() - started
        outcome = replace(cut.outcome, write_seconds=spent, tries=cut.outcome.tries + tries - 1)
        return outcome if error is None else _failed(outcome, error, f"its result {item.output} cannot be written")

    def is_done(self, item: Item) -> bool:
        """Whether another worker has done it since it was planned."""
        return journal.is_committed(self._target, item)

    def close(self) -> None:
        """Give the model's memory back."""
        self._remover.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tried(self, act: Callable[[], _T]) -> tuple[_T | None, int, Exception | None]:
        """Result, number of tries, and the last error where all failed."""
        error: Exception | None = None
        for tries in range(1, self.job.retries + 2):
            try:
                return act(), tries, None
            except (FileNotFoundError, PermissionError, IsADirectoryError) as final:
                return None, tries, final
            except Exception as failure:  # noqa: BLE001 - each store's library has exceptions of its own
                error = failure
                if tries <= self.job.retries:
                    time.sleep(_FIRST_PAUSE * 2 ** (tries - 1))
        return None, tries, error

    def _alone_if_large(self, content: bytes) -> Any:
        if self._lock is None or self._large_pixels is None or _pixels(content) <= self._large_pixels:
            return nullcontext()
        return self._lock


def _pixels(content: bytes) -> int:
    """Pixels of a photo by its header; 0 where it has none that can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return 2**62
    except Exception:  # noqa: BLE001 - decoding will say what is wrong
        return 0


def _failed(outcome: Outcome, error: Exception, act: str) -> Outcome:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    line = text if isinstance(error, InputError) else f"{outcome.path}: {act}: {text[:300]}"
    if isinstance(error, LiftoutError) and line.startswith(f"{outcome.path}: {outcome.path}:"):
        line = line.removeprefix(f"{outcome.path}: ")
    return replace(outcome, status="failed", error=line, kind=type(error).__name__)
