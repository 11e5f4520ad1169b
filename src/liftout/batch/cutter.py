"""One photo or film, from storage to storage: read, cut, write. Every executor runs this and nothing else."""

from __future__ import annotations

import io
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from filelock import FileLock
from PIL import Image

from liftout.batch import films, journal
from liftout.batch.job import Item, Job, Outcome, further_output
from liftout.batch.storage import Storage
from liftout.cutout import Cutout
from liftout.errors import InputError, LiftoutError, OutputError, UsageError, one_line
from liftout.prompts import Asked
from liftout.remover import Remover
from liftout.render import render_each

_T = TypeVar("_T")

_FIRST_PAUSE = 0.5
"""Seconds before the first retry; each later one waits twice as long."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A photo's file, or why it could not be read. A film has no content: it is read while it is cut out."""

    content: bytes
    seconds: float
    tries: int
    error: Exception | None = None


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An encoded result that is not written yet; `outcome` says why there is none where cutting failed."""

    content: bytes | Path
    """A film is a file of this machine, which is moved to its place."""
    outcome: Outcome
    further: tuple[bytes, ...] = ()
    """The results after the first, where each subject has its own."""


class Cutter:
    """A loaded model between two storages. `read` and `write` may be called from several threads, `cut` from one at a time.

    with Cutter(job) as cutter:
        outcome = cutter.write(item, cutter.cut(item, cutter.read(item)))
    """

    def __init__(
        self, job: Job, *, threads: int | None = None, large_pixels: int | None = None, lock: Path | None = None
    ):
        """Load the model.

        threads: of the network, where the job sets none. large_pixels: photos of more pixels take `lock`, a file that all
        workers of a machine share, so that only one of them is in memory at a time.
        Raises UnknownModel, ModelUnavailable, EngineError, UsageError.
        """
        self.job = job
        self._source, self._target = Storage(job.source), Storage(job.target)
        self._large_pixels, self._lock = large_pixels, FileLock(lock) if lock else None
        self._remover = Remover.from_options(replace(job.run, threads=job.run.threads or threads))
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def read(self, item: Item) -> Source:
        """The photo's file, with retries where the storage fails."""
        if films.is_film(item.path):
            return Source(content=b"", seconds=0.0, tries=1)
        started = time.perf_counter()

        def whole() -> bytes:
            content = self._source.read(item.path)
            if item.size is not None and len(content) != item.size:
                raise OSError(
                    f"it has {len(content)} bytes and {item.size} in the listing; it changes while it is read"
                )
            return content

        content, tries, error = self._with_retries(whole)
        return Source(content=content or b"", seconds=time.perf_counter() - started, tries=tries, error=error)

    def cut(self, item: Item, source: Source) -> Picture:
        """The encoded cutout. A photo that cannot be used gives an outcome that says so."""
        outcome = Outcome(
            path=item.path,
            output=item.output,
            status="done",
            tries=source.tries,
            bytes_in=len(source.content),
            read_seconds=source.seconds,
            worker=self.name,
        )
        if source.error is not None:
            return Picture(content=b"", outcome=_failure(outcome, source.error, "cannot be read"))
        started = time.perf_counter()
        if films.is_film(item.path):
            return self._film(item, outcome)
        try:
            with self._alone_if_large(source.content):
                cutout = self._cutout(item, source.content)
                parts = render_each(cutout, self.job.result, subjects=self._remover.subjects(cutout))
                content, *further = (rendered.content for _, rendered in parts)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with one photo, the others go on
            return Picture(content=b"", outcome=_failure(outcome, error, "cannot be cut out"))
        height, width = cutout.size
        outcome = replace(
            outcome,
            width=width,
            height=height,
            subject=float(cutout.alpha.mean()) / 255,
            bytes_out=len(content) + sum(map(len, further)),
            cut_seconds=time.perf_counter() - started,
            outputs=_outputs(item, 1 + len(further)),
        )
        return Picture(content=content, outcome=outcome, further=tuple(further))

    def write(self, item: Item, picture: Picture) -> Outcome:
        """Write a result and its record into the target, with retries where the storage fails."""
        if not picture.content:
            return picture.outcome
        started = time.perf_counter()
        _, tries, error = self._with_retries(
            lambda: journal.commit(
                self._target, item, picture.content, source=self._source.place, further=picture.further
            )
        )
        if isinstance(picture.content, Path):
            films.clear(self._target, picture.content)
        outcome = replace(
            picture.outcome, write_seconds=time.perf_counter() - started, tries=picture.outcome.tries + tries - 1
        )
        return outcome if error is None else _failure(outcome, error, f"its result {item.output} cannot be written")

    def is_done(self, item: Item) -> bool:
        """Whether another worker has done it since it was planned."""
        return journal.is_committed(self._target, item)

    def close(self) -> None:
        """Free the model's memory."""
        self._remover.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cutout(self, item: Item, content: bytes) -> Cutout:
        with _prompts_of(item):
            return self._remover(content, name=item.path, **vars(self._asked(item)))

    def _film(self, item: Item, outcome: Outcome) -> Picture:
        """A film cut out into a file of this machine."""
        started = time.perf_counter()
        try:
            with _prompts_of(item):
                made = films.cut(item, self._remover, self.job, self._asked(item), self._source, self._target)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with one film, the others go on
            return Picture(content=b"", outcome=_failure(outcome, error, "cannot be cut out"))
        outcome = replace(outcome, **made.facts, cut_seconds=time.perf_counter() - started)
        if made.damage:
            damage = InputError(f"{made.damage}; {item.output} holds what could be read", subject=item.path)
            outcome = _failure(outcome, damage, "")
        return Picture(content=made.path, outcome=outcome)

    def _asked(self, item: Item) -> Asked:
        return self.job.asked if item.asked is None else item.asked

    def _with_retries(self, act: Callable[[], _T]) -> tuple[_T | None, int, Exception | None]:
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

    def _alone_if_large(self, content: bytes) -> AbstractContextManager[object]:
        if self._lock is None or self._large_pixels is None or _pixels(content) <= self._large_pixels:
            return nullcontext()
        return self._lock


@contextmanager
def _prompts_of(item: Item) -> Iterator[None]:
    """Prompts that do not fit a photo are its failure, and not that of the command."""
    try:
        yield
    except UsageError as error:
        if item.asked is None:
            raise InputError(error.problem, subject=item.path, field=error.field, remedy=error.remedy) from None
        raise InputError(
            f"{item.asked_in}: {error.field} {error.problem}", subject=item.path, remedy=error.remedy
        ) from None


def _outputs(item: Item, count: int) -> tuple[str, ...]:
    """For `Outcome.outputs`."""
    return (
        (item.output, *(further_output(item.output, number) for number in range(2, count + 1))) if item.several else ()
    )


def _pixels(content: bytes) -> int:
    """Pixels of a photo by its header; 0 where the header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return 2**62
    except Exception:  # noqa: BLE001 - decoding will say what is wrong
        return 0


def _failure(outcome: Outcome, error: Exception, act: str) -> Outcome:
    """The outcome as a failure that says what could not be done and why."""
    kind = type(error).__name__
    if isinstance(error, InputError):
        return replace(outcome, status="failed", failure=error, kind=kind)
    if isinstance(error, LiftoutError):
        why, remedy = error.problem if error.subject == outcome.path else error.what(), error.remedy
    else:
        why, remedy = (error.strerror if isinstance(error, OSError) else None) or one_line(error, 300), ""
    failure = OutputError(f"{act}: {why}", subject=outcome.path, remedy=remedy)
    return replace(outcome, status="failed", failure=failure, kind=kind)
