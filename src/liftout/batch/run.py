"""`Batch`: plan, claim the target, do the photos, count."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from liftout.batch import journal
from liftout.batch.capacity import capacity
from liftout.batch.claim import STALE_SECONDS, Claim, Released
from liftout.batch.job import Item, Job, Outcome, choices, identity
from liftout.batch.local import run_locally
from liftout.batch.planner import Planner, PlanProgress, limited
from liftout.batch.prefetch import Prefetch
from liftout.batch.prompts import PhotoPrompts
from liftout.batch.storage import Storage, check_apart, open_storage
from liftout.batch.watch import FolderWatch
from liftout.engines.choice import computes
from liftout.errors import LiftoutError, OutputError, UsageError, one_line
from liftout.loading import converter
from liftout.models.resolve import resolve
from liftout.remedies import CutPhotos, UseOption

Executor = Literal["local", "ray"]
_TICK = 0.2


@dataclass
class Summary:
    """Counts of what a batch did."""

    done: int = 0
    failed: int = 0
    done_before: int = 0
    """Photos whose results were in the target already, made from the same photo with the same options."""
    not_photos: int = 0
    """Files of the source that were skipped because of their names."""
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
        prompts: str | os.PathLike[str] | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """Check storages, options and model.

        patterns: which photos, like `*.jpg` or `2024/**/*.png`; by default all files with a photo's suffix. limit: the most
        photos to do. on: what runs the workers, processes of this machine or Ray. workers: how many; by default as many as cores
        and memory allow. watch: keep running, and do photos as they arrive. stop_on_error: start no photo after one has failed.
        prompts: a CSV or JSON lines file with prompts for single photos, see `liftout.batch.prompts`.
        notify: called with one line about what the batch waits for before it begins.
        Raises UsageError, UnknownModel, ModelUnavailable, ExtraMissing, OutputError.
        """
        self._job, self._on, self._workers = job, on, workers
        self._limit, self._stop_on_error = limit, stop_on_error
        source, target = open_storage(job.source), open_storage(job.target)
        check_apart(source, target)
        if not source.is_folder():
            if source.is_file():
                raise UsageError("is a file", subject=job.source, remedy=CutPhotos())
            raise UsageError("no such folder", subject=job.source)
        if watch and (source.on_disk is None or on != "local"):
            raise UsageError(
                f"needs a folder of this machine and local workers, not {job.source} on {on}", field="watch"
            )
        resolve(job.run.model, job.run.precision, computes, load_converter=converter())
        self._choices, self._notify = choices(job), notify
        _check_options(target, self._choices, overwrite=job.overwrite)
        self._source, self._target, self._watching = source, target, watch
        given = None if prompts is None else PhotoPrompts(Path(prompts))
        self._planner = Planner(job, source, target, identity(job), patterns, given)
        self._planner.sources = _recorded_sources(target)
        self._stop = threading.Event()
        self.summary = Summary()

    @property
    def progress(self) -> PlanProgress:
        """What planning has counted so far."""
        return self._planner.progress

    def plan(self) -> Iterator[Item | Outcome]:
        """What would be done: items to do, and outcomes of photos that would fail before any work. Nothing is written."""
        yield from limited(self._planned(None), self._limit, self._stop.is_set)
        self._count_planned()

    def outcomes(self) -> Iterator[Outcome]:
        """Do the photos; yields one outcome for each, in any order.

        The target is claimed before the first photo is started. Raises EngineError and ModelUnavailable where the model cannot
        be loaded, OutputError where the source cannot be listed or another batch is writing to the target.
        """
        started = time.perf_counter()
        self._target.clear_partial()
        claim = Claim(self._target, notify=self._notify, on_lost=self.stop)
        self._planner.before_first = lambda: self._begin(claim)
        prefetch = Prefetch(self._everything(), self._stop)
        outcomes = self._execute(prefetch)
        try:
            for outcome in outcomes:
                if outcome.status == "done":
                    self.summary.done += 1
                else:
                    self.summary.failed += 1
                    if self._stop_on_error:
                        self.stop()
                yield outcome
        finally:
            self._stop.set()
            outcomes.close()
            prefetch.close()
            claim.release()
            self.summary.seconds = time.perf_counter() - started
            self._count_planned()
        if prefetch.error is not None and not isinstance(prefetch.error, Released):
            raise prefetch.error
        if claim.lost:
            raise OutputError(
                f"another batch took over this target, because this one did not respond for {STALE_SECONDS:.0f} s",
                subject=self._job.target,
                remedy="run the same command again when the other one has ended",
            )

    def stop(self) -> None:
        """Start no further photo and finish those in progress. May be called from a signal handler or another thread."""
        self._stop.set()

    def _begin(self, claim: Claim) -> None:
        """Claim the target and record the options of its results."""
        try:
            claim.take()
            _check_options(self._target, self._choices, overwrite=self._job.overwrite)
            if journal.recorded_options(self._target) != self._choices:
                journal.record_options(self._target, self._choices)
            self._planner.sources = journal.recorded_sources(self._target)
            if self._source.place not in self._planner.sources:
                journal.record_sources(self._target, [*self._planner.sources, self._source.place])
        except LiftoutError:
            raise
        except Exception as error:  # noqa: BLE001 - each store's library has exceptions of its own
            raise OutputError(f"cannot be written: {one_line(error, 300)}", subject=self._target.url) from None

    def _count_planned(self) -> None:
        planned = self.progress
        self.summary.done_before, self.summary.not_photos = planned.done_before, planned.not_photos

    def _everything(self) -> Iterator[Item | Outcome]:
        watch = FolderWatch(self._source.on_disk) if self._watching and self._source.on_disk else None
        try:
            yield from limited(self._planned(watch), self._limit, self._stop.is_set)
        finally:
            if watch is not None:
                watch.close()

    def _planned(self, watch: FolderWatch | None) -> Iterator[Item | Outcome]:
        yield from self._planner.everything()
        if not self._watching:
            yield from self._planner.named_in_vain()
        while watch is not None and not self._stop.wait(_TICK):
            yield from self._planner.some(watch.settled())

    def _execute(self, prefetch: Prefetch) -> Generator[Outcome, None, None]:
        private = self._source.in_this_process or self._target.in_this_process
        if self._on == "ray":
            from liftout.batch.cluster import run_on_ray

            yield from run_on_ray(
                prefetch, self._job, shared=not private, workers=self._workers, stopping=self._stop.is_set
            )
            return
        yield from run_locally(
            prefetch,
            self._job,
            capacity(self._job.run, workers=self._workers),
            in_this_process=private,
            stopping=self._stop.is_set,
        )


def _check_options(target: Storage, chosen: dict[str, Any], *, overwrite: bool) -> None:
    """Raise UsageError where the target's results were made with other options and may not be replaced."""
    try:
        before = journal.recorded_options(target)
    except Exception as error:  # noqa: BLE001 - each store's library has exceptions of its own
        raise OutputError(f"cannot be read: {one_line(error, 300)}", subject=target.url) from None
    if before is None or overwrite:
        return
    different = {name for name in before.keys() | chosen.keys() if before.get(name) != chosen.get(name)}
    if "background" not in different or "background_sha256" not in different:
        different.discard("background_sha256")  # a file with new content, which makes new results
        if before.get("background_sha256", "") == chosen.get("background_sha256"):
            different.discard("background")  # a file that was moved
    if different:
        changes = ", ".join(
            f"{name.replace('_', '-')} was {before.get(name, 'not given')}, now {chosen.get(name, 'not given')}"
            for name in sorted(different - {"background_sha256"})
        )
        raise UsageError(
            f"holds results made with other options ({changes})",
            subject=target.url,
            remedy=("choose another target", UseOption("overwrite", True)),
        )


def _recorded_sources(target: Storage) -> list[str]:
    try:
        return journal.recorded_sources(target)
    except Exception as error:  # noqa: BLE001 - each store's library has exceptions of its own
        raise OutputError(f"{target.url}: cannot be read: {one_line(error, 300)}") from None


def run_batch(
    job: Job,
    *,
    patterns: tuple[str, ...] = (),
    limit: int | None = None,
    on: Executor = "local",
    workers: int | None = None,
    stop_on_error: bool = False,
    prompts: str | os.PathLike[str] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> Summary:
    """Run a whole batch.

    The options and errors are those of `Batch`. on_outcome: called with the outcome of each photo. Returns the counts.
    """
    batch = Batch(
        job, patterns=patterns, limit=limit, on=on, workers=workers, stop_on_error=stop_on_error, prompts=prompts
    )
    for outcome in batch.outcomes():
        if on_outcome is not None:
            on_outcome(outcome)
    return batch.summary
