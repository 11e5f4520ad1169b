"""`liftout batch`: folders and buckets of photos, resumable, on this machine or a cluster."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from liftout.cli import fetching, params
from liftout.cli.progress import photo_progress
from liftout.cli.terminal import printable
from liftout.cli.terms import COMMANDS, error_line
from liftout.errors import UsageError
from liftout.options import PromptOptions, ResultOptions, RunOptions

if TYPE_CHECKING:
    from liftout.batch.job import Outcome
    from liftout.batch.run import Batch, Summary

INTERRUPTED = 130


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@params.options_of(PromptOptions)
@click.option(
    "--prompts",
    metavar="FILE",
    help="Points and boxes for single photos: a CSV file with the columns photo, keep, drop and box, or JSON lines.",
)
@params.options_of(ResultOptions)
@params.options_of(RunOptions)
@fetching.accept_license_option
@click.option(
    "--on",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run on this machine or on a Ray cluster.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Number of workers. [default: as many as cores and memory allow]",
)
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="GLOB",
    help="Only photos that match, like *.jpg or 2024/**/*.png; may be repeated.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Process at most N photos.")
@click.option("--watch", is_flag=True, help="Keep running and process photos as they arrive in SRC, until interrupted.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--on-error",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    show_default=True,
    help="Whether to continue or stop after a photo fails.",
)
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    metavar="N",
    help="Retries after a failure of storage, network or a worker.",
)
@click.option("--report", metavar="FILE|URL", help="Write one line of JSON for each photo.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files in DST that were not made by a batch, or were made with other options or from another source.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def batch(
    source: str,
    target: str,
    prompts: str | None,
    accept_license: tuple[str, ...],
    on: str,
    workers: int | None,
    patterns: tuple[str, ...],
    limit: int | None,
    watch: bool,
    dry_run: bool,
    on_error: str,
    retries: int,
    report: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **values: Any,
) -> int:
    """Cut out all photos of a folder or bucket.

    SRC and DST are folders or URLs (s3://, gs://, az://, ...). The tree is mirrored: a/cat.jpg becomes a/cat.png, or a/cat-1.png,
    a/cat-2.png, ... with --subjects each. Photos that
    are done already are skipped: run the same command again to resume. Photos are never removed.
    """
    from liftout.batch.job import Job
    from liftout.batch.run import Batch

    if as_json and report is not None:
        raise UsageError("--json prints the report and --report writes it to a file", remedy="give one of them")
    result: ResultOptions = params.read(ResultOptions, values)
    run: RunOptions = params.read(RunOptions, values)
    asked = params.read_prompts(values)
    run = fetching.settled(run, accept_license=accept_license, quiet=quiet or as_json)
    job = Job(source=source, target=target, result=result, run=run, asked=asked, overwrite=overwrite, retries=retries)
    planned = Batch(
        job,
        patterns=patterns,
        limit=limit,
        on="ray" if on == "ray" else "local",
        workers=workers,
        watch=watch and not dry_run,
        stop_on_error=on_error == "stop",
        prompts=prompts,
        notify=fetching.notifier(quiet=quiet),
    )
    if dry_run:
        return _dry_run(planned, quiet=quiet)
    return _run(planned, sys.stdout if as_json else report, quiet=quiet)


def _dry_run(planned: Batch, *, quiet: bool) -> int:
    from liftout.batch.job import Item

    to_do = failed = 0
    for item in planned.plan():
        if isinstance(item, Item):
            to_do += 1
            more = ", ..." if item.several else ""
            click.echo(printable(f"{item.path} -> {item.output}{more}"))
        else:
            failed += 1
            click.echo(_failure(item), err=True)
    if not quiet:
        done_before = planned.summary.done_before
        click.echo(f"{to_do} to do, {done_before} done before, {failed} that would fail; nothing was written", err=True)
    return 1 if failed else 0


def _run(planned: Batch, report: Any, *, quiet: bool) -> int:
    from liftout.batch.report import Report

    with ExitStack() as stack:
        lines = stack.enter_context(Report(report, COMMANDS)) if report is not None else None
        interrupted = stack.enter_context(_interruptible(planned))
        on_one_terminal = report is sys.stdout and sys.stdout.isatty()
        printer = stack.enter_context(photo_progress(quiet=quiet or on_one_terminal))
        for outcome in planned.outcomes():
            if lines is not None:
                lines.add(outcome)
            if outcome.status == "failed":
                printer.err(_failure(outcome))
            printer.advance(total=planned.progress.pending, complete=planned.progress.complete)
    summary = planned.summary
    summary.interrupted = bool(interrupted)
    if not quiet:
        click.echo(_sentence(summary), err=True)
    if summary.interrupted:
        return INTERRUPTED
    return 1 if summary.failed else 0


def _failure(outcome: Outcome) -> str:
    return error_line(outcome.failure) if outcome.failure else ""


def _sentence(summary: Summary) -> str:
    rate = summary.done / summary.seconds if summary.seconds else 0.0
    parts = [f"{summary.done} done", f"{summary.failed} failed"]
    if summary.done_before:
        parts.append(f"{summary.done_before} done before")
    if summary.not_photos:
        parts.append(f"{summary.not_photos} other files skipped")
    text = ", ".join(parts) + f"; {summary.seconds:.1f} s, {rate:.2f} photos a second"
    return text + ("; interrupted: run the same command again to resume" if summary.interrupted else "")


@contextmanager
def _interruptible(planned: Batch) -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM finishes the photos in progress, the second quits. Yields the list of signals received."""
    received: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        planned.stop()
        click.echo("stopping after the photos in progress; press Ctrl-C again to quit now", err=True)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
