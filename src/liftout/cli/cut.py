"""`liftout cut`: cut the subject out of photos."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liftout.cli import fetching, params
from liftout.errors import (
    EngineError,
    ExtraMissing,
    InputError,
    LiftoutError,
    OutputError,
    OutputExists,
    UsageError,
)
from liftout.options import ResultOptions, RunOptions

if TYPE_CHECKING:
    from liftout.cutout import Cutout
    from liftout.remover import Remover

STREAM = "-"


@dataclass(frozen=True)
class _Job:
    source: str
    target: Path | None
    """None is standard output."""
    clash: str = ""
    """The earlier photo of this call that has the same target."""


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--output", "-o", metavar="FILE|DIR|-", help="File, folder or - for standard output; by default beside the photo."
)
@params.options_of(ResultOptions)
@params.options_of(RunOptions)
@fetching.accept_license_option
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each photo.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cut(
    images: tuple[str, ...],
    output: str | None,
    accept_license: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **values: Any,
) -> int:
    """Cut the subject out of photos.

    IMAGE is a file, or - for standard input. The result is written as <name>-cutout.png beside the photo unless -o says
    otherwise; a failing photo leaves no file and does not stop the others.
    """
    result: ResultOptions = params.read(ResultOptions, values)
    run: RunOptions = params.read(RunOptions, values)
    jobs = list(_plan(images, output, result))
    if as_json and any(job.target is None for job in jobs):
        raise UsageError("--json and the picture would both go to standard output; give -o FILE")
    from liftout.remover import Remover

    fetching.have(run.model, accept_license=accept_license, quiet=quiet or as_json, precision=run.precision)
    status = 0
    with (
        Remover(
            run.model,
            engine=run.engine,
            device=run.device,
            precision=run.precision,
            threads=run.threads,
            edges=run.edges,
            max_pixels=run.max_pixels,
        ) as remover,
        _progress(len(jobs), quiet=quiet or as_json) as done,
    ):
        started = time.perf_counter()
        for job, made in _cutouts(remover, jobs, overwrite=overwrite):
            try:
                if isinstance(made, LiftoutError):
                    raise made
                report = _write(made, job, result, overwrite=overwrite)
            except (InputError, OutputError, EngineError, ExtraMissing) as error:
                if debug:
                    raise
                status = max(status, 3 if isinstance(error, ExtraMissing) else 1)
                report = {"input": job.source, "error": str(error)}
                click.echo(f"liftout: {error}", err=True)
            else:
                report |= {"model": remover.spec.name, "seconds": round(time.perf_counter() - started, 3)}
                _say(report, job, quiet=quiet or as_json)
            started = time.perf_counter()
            if as_json:
                click.echo(json.dumps(report, ensure_ascii=False))
            done()
    return status


def _plan(images: tuple[str, ...], output: str | None, result: ResultOptions) -> Iterator[_Job]:
    """What goes where. Raises UsageError where the call as a whole makes no sense."""
    from liftout.images import FORMATS, format_of

    many = len(images) > 1
    if images.count(STREAM) > 1:
        raise UsageError("standard input (-) can be read only once")
    if output == STREAM and many:
        raise UsageError(f"{len(images)} photos cannot all go to standard output; give -o DIR")
    folder: Path | None = None
    file: Path | None = None
    if output is not None and output != STREAM:
        path = Path(output)
        if path.is_dir() or output.endswith(("/", "\\")) or not path.suffix or (many and not path.suffix):
            folder = path
        elif many:
            raise UsageError(f"{len(images)} photos cannot all become {output}; give -o DIR (a name that ends in /)")
        else:
            file = path
            if result.format is None:
                format_of(path.name)
    if file is None and folder is not None:
        _make(folder)
    suffix = FORMATS[result.format or "png"].suffix
    ending = ("-mask" if result.mask else "-cutout") + suffix
    taken: dict[Path, str] = {}
    for source in images:
        if file is not None:
            target: Path | None = file
        elif output == STREAM or (output is None and source == STREAM):
            target = None
        else:
            stem = "stdin" if source == STREAM else Path(source).stem
            target = (folder or Path(source).parent) / f"{stem}{ending}"
        if target is None and sys.stdout.isatty():
            raise UsageError("a picture would go to the terminal; give -o FILE or redirect standard output")
        clash = taken.setdefault(target, source) if target is not None else source
        yield _Job(source, target, clash if clash != source or images.count(source) > 1 else "")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made a folder: {error.strerror}") from None


def _cutouts(remover: Remover, jobs: list[_Job], *, overwrite: bool) -> Iterator[tuple[_Job, Cutout | LiftoutError]]:
    """Every job, in order, with its cutout or with what is wrong; while one is written, the next photos are under way."""
    waiting = deque(jobs)
    while waiting:
        job = waiting[0]
        if (wrong := _refusal(job, overwrite=overwrite)) or job.source == STREAM or len(waiting) == 1:
            yield waiting.popleft(), wrong or _alone(remover, job)
            continue
        ahead = list(
            itertools.takewhile(lambda job: job.source != STREAM and not _refusal(job, overwrite=overwrite), waiting)
        )
        cutouts = remover.map([job.source for job in ahead], errors="return")
        for _ in ahead:
            try:
                made: Cutout | LiftoutError = next(cutouts)
            except (EngineError, ExtraMissing) as error:
                yield waiting.popleft(), error
                break  # it ended the others that were under way; they begin again
            yield waiting.popleft(), made


def _alone(remover: Remover, job: _Job) -> Cutout | LiftoutError:
    stream = job.source == STREAM
    try:
        return remover(
            sys.stdin.buffer.read() if stream else job.source, name="standard input" if stream else job.source
        )
    except (InputError, EngineError, ExtraMissing) as error:
        return error


def _refusal(job: _Job, *, overwrite: bool) -> OutputExists | None:
    """Why a photo is not even opened."""
    if job.clash and job.clash != job.source:
        return OutputExists(f"{job.source}: {job.target} is the result of {job.clash} already; give it another -o")
    if job.target is not None and job.target.exists() and not overwrite:
        return OutputExists(f"{job.target} is there already; give --overwrite to replace it, or another -o")
    return None


def _write(cutout: Cutout, job: _Job, result: ResultOptions, *, overwrite: bool) -> dict[str, Any]:
    """Write one cutout where it goes. Raises OutputError."""
    from liftout.files import write_whole
    from liftout.render import render

    rendered = render(cutout, result, format=job.target.name if job.target else None)
    if job.target is None:
        sys.stdout.buffer.write(rendered.content)
        sys.stdout.buffer.flush()
    else:
        write_whole(job.target, rendered.content, overwrite=overwrite)
    height, width = cutout.size
    return {
        "input": job.source,
        "output": str(job.target) if job.target else STREAM,
        "format": rendered.format.name,
        "width": width,
        "height": height,
        "box": cutout.box,
        "subject": round(float(cutout.alpha.mean()) / 255, 4),
        **({"note": rendered.note} if rendered.note else {}),
    }


def _say(report: dict[str, Any], job: _Job, *, quiet: bool) -> None:
    if note := report.get("note"):
        click.echo(f"{job.source}: {note}", err=True)
    if report["box"] is None:
        click.echo(f"{job.source}: no subject was found; the cutout is empty", err=True)
    if not quiet and job.target is not None:
        click.echo(str(job.target))


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Any]:
    """A function to call after each photo; draws a bar where there are several and a terminal to draw on."""
    if total < 2 or quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("cutting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("cut", total=total)
        yield lambda: bar.advance(task)
