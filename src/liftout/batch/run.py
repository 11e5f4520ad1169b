"""A batch from beginning to end: list, compare, do, report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from liftout.batch.capacity import capacity
from liftout.batch.job import Item, Job, Outcome, identity
from liftout.batch.listed import Listed
from liftout.batch.local import run_locally
from liftout.batch.pending import Found, Planner, limited
from liftout.batch.place import check_apart, open_place
from liftout.batch.watch import FolderWatch
from liftout.catalog import find
from liftout.errors import UsageError
from liftout.weights.ensure import ensure
from liftout.weights.locate import is_path

Executor = Literal["local", "ray"]
_TICK = 0.2


@dataclass
class Summary:
    """What a batch did."""

    done: int = 0
    failed: int = 0
    done_before: int = 0
    """In the target already, from the same photos and options."""
    not_photos: int = 0
    """Files of the source that were left out by their names."""
    seconds: float = 0.0
    interrupted: bool = False


class Batch:
    """A planned batch. Nothing is written before `outcomes` runs.

    batch = Batch(Job(source="photos", target="cutouts"))
    for outcome in batch.outcomes():
        ...
    print(batch.summary)
    """

    def __init__(
        self,
        job: Job,
        *,
        patterns: tuple[str, ...] = (),
        limit: int | None = None,
        on: Executor = "local",
        workers: int | None = None,
        watch: bool = False,
        stop_on_error: bool = False,
    ) -> None:
        """Check places and model.

        patterns: which photos, like `*.jpg` or `2024/**/*.png`; by default all that a photo's name ends in. limit: the most
        photos to do. workers: as many as cores and memory allow by default. watch: go on with photos that arrive.
        Raises UsageError, UnknownModel, ModelUnavailable, ExtraMissing, OutputError.
        """
        self._job, self._on, self._workers = job, on, workers
        self._limit, self._stop_on_error = limit, stop_on_error
        source, target = open_place(job.source), open_place(job.target)
        check_apart(source, target)
        if not source.is_folder():
            if source.is_file():
                raise UsageError(f"{job.source} is a file; `liftout cut` works on files, `batch` on folders")
            raise UsageError(f"{job.source}: no such folder")
        if watch and (source.on_disk is None or on != "local"):
            raise UsageError(f"--watch needs a folder of this machine and --on local, not {job.source} on {on}")
        if not is_path(job.run.model):
            ensure(find(job.run.model), precision=job.run.precision)
        self._source, self._target, self._watching = source, target, watch
        self._planner = Planner(job, source, target, identity(job), patterns)
        self._stop = threading.Event()
        self.summary = Summary()

    @property
    def found(self) -> Found:
        """How far listing has come."""
        return self._planner.found

    def plan(self) -> Iterator[Item | Outcome]:
        """What would be done, without doing it."""
        yield from limited(self._planner.everything(), self._limit, self._stop.is_set)
        self._count_found()

    def outcomes(self) -> Iterator[Outcome]:
        """Do it; one outcome for each photo, in no order.

        Raises EngineError and ModelUnavailable where the model cannot be loaded, OutputError where the source cannot be listed.
        """
        started = time.perf_counter()
        self._target.clear_partial()
        listed = Listed(self._everything(), self._stop)
        try:
            for outcome in self._executed(listed):
                if outcome.status == "done":
                    self.summary.done += 1
                else:
                    self.summary.failed += 1
                    if self._stop_on_error:
                        self.stop()
                yield outcome
        finally:
            self._stop.set()
            listed.close()
            self.summary.seconds = time.perf_counter() - started
            self._count_found()
        if listed.error is not None:
            raise listed.error

    def stop(self) -> None:
        """Begin no further photo; those in hand are finished. May be called from a signal handler or another thread."""
        self._stop.set()

    def _count_found(self) -> None:
        self.summary.done_before, self.summary.not_photos = self.found.done_before, self.found.not_photos

    def _everything(self) -> Iterator[Item | Outcome]:
        watch = FolderWatch(self._source.on_disk) if self._watching and self._source.on_disk else None
        try:
            yield from limited(self._planned(watch), self._limit, self._stop.is_set)
        finally:
            if watch is not None:
                watch.close()

    def _planned(self, watch: FolderWatch | None) -> Iterator[Item | Outcome]:
        yield from self._planner.everything()
        while watch is not None and not self._stop.wait(_TICK):
            yield from self._planner.some(watch.settled())

    def _executed(self, listed: Listed) -> Iterator[Outcome]:
        private = self._source.in_this_process or self._target.in_this_process
        if self._on == "ray":
            from liftout.batch.cluster import run_on_ray

            yield from run_on_ray(
                listed, self._job, shared=not private, workers=self._workers, stopping=self._stop.is_set
            )
            return
        yield from run_locally(
            listed,
            self._job,
            capacity(self._job.run, workers=self._workers),
            in_this_process=private,
            stopping=self._stop.is_set,
        )


def run_batch(
    job: Job,
    *,
    patterns: tuple[str, ...] = (),
    limit: int | None = None,
    on: Executor = "local",
    workers: int | None = None,
    stop_on_error: bool = False,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> Summary:
    """Do a batch and say what came of it. Options and errors are those of `Batch`; on_outcome hears of each photo."""
    batch = Batch(job, patterns=patterns, limit=limit, on=on, workers=workers, stop_on_error=stop_on_error)
    for outcome in batch.outcomes():
        if on_outcome is not None:
            on_outcome(outcome)
    return batch.summary
