"""Fetching several models at a time."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import click

from liftout.cli import exit_status, fetching
from liftout.cli.progress import shown
from liftout.cli.terms import error_line
from liftout.errors import LiftoutError, UsageError
from liftout.loading import converter
from liftout.models.local import ResolvedModel
from liftout.models.resolve import Convert, LoadConverter, pull
from liftout.models.spec import ModelSpec
from liftout.progress import FETCH, Progress


def pull_each(
    specs: list[ModelSpec], *, source: str | None, accept_license: tuple[str, ...], jobs: int, quiet: bool
) -> int:
    """Pull models, `jobs` at a time, also after one that fails. Returns the exit status: that of the first failure in their order.

    Ctrl-C ends it at once: what has arrived stays to be gone on from. Raises UsageError.
    """
    accepted = fetching.accepted(accept_license)
    notify = fetching.notifier(quiet=quiet)
    load_converter = _one_at_a_time(converter())
    specs_left: queue.SimpleQueue[ModelSpec] = queue.SimpleQueue()
    for spec in specs:
        specs_left.put(spec)
    ended: queue.SimpleQueue[tuple[ModelSpec, ResolvedModel | Exception]] = queue.SimpleQueue()

    def work(progress: Progress) -> None:
        while True:
            try:
                spec = specs_left.get_nowait()
            except queue.Empty:
                return
            try:
                resolved = pull(
                    spec,
                    accept_license=accepted,
                    load_converter=load_converter,
                    source=source,
                    progress=progress if len(specs) == 1 else _labelled(progress, spec),
                    notify=notify,
                )
            except Exception as error:  # noqa: BLE001 - raised again where the results are taken
                ended.put((spec, error))
            else:
                ended.put((spec, resolved))

    errors: dict[str, LiftoutError] = {}
    with shown(quiet=quiet) as progress:
        shared = _locked(progress)
        for _ in range(min(jobs, len(specs))):
            # Daemons, so that an interrupted process need not wait for servers.
            threading.Thread(target=work, args=(shared,), daemon=True).start()
        for _ in specs:
            spec, result = ended.get()
            if isinstance(result, ResolvedModel):
                if not quiet:
                    click.echo(f"{spec.name} is ready ({result.source})")
            elif isinstance(result, LiftoutError) and not isinstance(result, UsageError):
                click.echo(error_line(result), err=True)
                errors[spec.name] = result
            else:
                raise result
    return next((exit_status(errors[spec.name]) for spec in specs if spec.name in errors), 0)


def _one_at_a_time(load: LoadConverter | None) -> LoadConverter | None:
    if load is None:
        return None
    lock = threading.Lock()

    def load_locked() -> Convert:
        with lock:
            convert = load()

        def convert_locked(spec: ModelSpec, checkpoint: Path, progress: Progress) -> Path:
            with lock:
                return convert(spec, checkpoint, progress)

        return convert_locked

    return load_locked


def _locked(progress: Progress) -> Progress:
    lock = threading.Lock()

    def report(phase: str, done: int, total: int | None) -> None:
        with lock:
            progress(phase, done, total)

    return report


def _labelled(progress: Progress, spec: ModelSpec) -> Progress:
    """Phases with the model's name, since several models have files of one name."""

    def report(phase: str, done: int, total: int | None) -> None:
        label = (
            f"{FETCH}{spec.name}: {phase.removeprefix(FETCH)}" if phase.startswith(FETCH) else f"{spec.name}: {phase}"
        )
        progress(label, done, total)

    return report
