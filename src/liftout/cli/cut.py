"""`liftout cut`: cut the subject out of photos."""

from __future__ import annotations

import functools
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liftout.cli import fetching, params
from liftout.cli.progress import photo_progress
from liftout.cli.terminal import Printer, encodable
from liftout.cli.terms import COMMANDS, error_line
from liftout.errors import (
    EngineError,
    ExtraMissing,
    InputError,
    LiftoutError,
    OutputError,
    OutputExists,
    UsageError,
)
from liftout.files import numbered
from liftout.options import PromptOptions, ResultOptions, RunOptions
from liftout.remedies import UseOption

if TYPE_CHECKING:
    from liftout.cutout import Cutout
    from liftout.prompts import Asked
    from liftout.remover import Remover

STREAM = "-"


@dataclass(frozen=True)
class _Job:
    source: str
    target: Path | None
    """None is standard output."""
    shared: bool = False
    """Whether an earlier photo of this call would become the same file."""
    several: bool = False
    """Whether each subject becomes a file of its own."""

    def path(self, number: int = 1) -> Path | None:
        """The file that is written, or that of a subject, counted from 1, where each has its own; None is standard output."""
        if self.target is None or not self.several:
            return self.target
        return self.target.with_name(numbered(self.target.name, number))


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--output", "-o", metavar="FILE|DIR|-", help="File, folder, or - for standard output. [default: beside the photo]"
)
@params.options_of(PromptOptions)
@params.options_of(ResultOptions)
@params.options_of(RunOptions)
@fetching.accept_license_option
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
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

    IMAGE is a file, or - for standard input. The result is written as <name>-cutout.png beside the photo, unless -o names another
    place; with --subjects each as <name>-cutout-1.png, <name>-cutout-2.png, ... A photo that fails leaves no file and does not stop the
    others.
    """
    result: ResultOptions = params.read(ResultOptions, values)
    run: RunOptions = params.read(RunOptions, values)
    asked = params.read_prompts(values)
    jobs = list(_plan(images, output, result))
    if as_json and any(job.target is None for job in jobs):
        raise UsageError("--json and the picture would both go to standard output", remedy="give -o FILE")
    from liftout.remover import Remover

    run = fetching.settled(run, accept_license=accept_license, quiet=quiet or as_json)
    status = 0
    with (
        Remover.from_options(run) as remover,
        photo_progress(total=len(jobs), quiet=quiet or as_json or len(jobs) < 2) as printer,
    ):
        started = time.perf_counter()
        targets: dict[Path, str] = {}
        refusal = functools.partial(_refusal, result=result, targets=targets, overwrite=overwrite)
        for job, cutout in _cutouts(remover, jobs, asked, refusal):
            try:
                if isinstance(cutout, LiftoutError):
                    raise cutout
                report = _write(cutout, remover.subjects(cutout), job, result, refusal, overwrite=overwrite)
            except (InputError, OutputError, EngineError, ExtraMissing) as error:
                if debug:
                    raise
                status = max(status, 3 if isinstance(error, ExtraMissing) else 1)
                report = {"input": job.source, "error": error.line(COMMANDS)}
                printer.err(error_line(error))
            else:
                if job.target is not None:
                    targets[job.target] = job.source
                report |= {"model": remover.spec.name, "seconds": round(time.perf_counter() - started, 3)}
                _announce(report, job, printer, quiet=quiet or as_json)
            started = time.perf_counter()
            if as_json:
                click.echo(encodable(json.dumps(report, ensure_ascii=False)))
            printer.advance(total=len(jobs))
    return status


def _plan(images: tuple[str, ...], output: str | None, result: ResultOptions) -> Iterator[_Job]:
    """The input and output of each photo. Raises UsageError where the call as a whole makes no sense."""
    from liftout.images import FORMATS, format_of

    many = len(images) > 1
    if images.count(STREAM) > 1:
        raise UsageError("standard input (-) can be read only once")
    if output == STREAM and many:
        raise UsageError(f"{len(images)} photos cannot all be written to standard output", remedy="give -o DIR")
    folder: Path | None = None
    file: Path | None = None
    if output is not None and output != STREAM:
        path = Path(output)
        if path.is_dir() or output.endswith(("/", "\\")) or not path.suffix or (many and not path.suffix):
            folder = path
        elif many:
            raise UsageError(
                f"{len(images)} photos cannot all be written to {output}", remedy="give -o DIR (a name that ends in /)"
            )
        else:
            file = path
            if result.format is None:
                format_of(path.name)
    if folder is not None:
        _make_folder(folder)
    elif file is not None:
        _make_folder(file.parent)
    suffix = FORMATS[result.format or "png"].suffix
    ending = ("-mask" if result.mask else "-cutout") + suffix
    first_source: dict[Path, str] = {}
    for source in images:
        if file is not None:
            target: Path | None = file
        elif output == STREAM or (output is None and source == STREAM):
            target = None
        else:
            stem = "stdin" if source == STREAM else Path(source).stem
            target = (folder or Path(source).parent) / f"{stem}{ending}"
        several = result.subjects == "each"
        if target is None and several:
            raise UsageError(
                "--subjects each makes several pictures, and standard output takes one", remedy="give -o DIR"
            )
        if target is None and sys.stdout.isatty():
            raise UsageError("standard output is a terminal", remedy="give -o FILE or redirect it")
        shared = target is not None and first_source.setdefault(target, source) != source
        yield _Job(source, target, shared, several)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder cannot be created: {error.strerror}", subject=folder) from None


def _cutouts(
    remover: Remover, jobs: list[_Job], asked: Asked, refusal: Callable[[_Job], OutputError | None]
) -> Iterator[tuple[_Job, Cutout | LiftoutError]]:
    """Each job, in order, with its cutout or its error. While one is written, the next photos are already being cut.

    refusal: the reason not to start a job, asked when every job before it has ended or certainly has another output.
    """
    waiting = deque(jobs)
    while waiting:
        job = waiting[0]
        if (refused := refusal(job)) or job.source == STREAM or len(waiting) == 1 or asked:
            yield waiting.popleft(), refused or _alone(remover, job, asked)
            continue
        followers = itertools.takewhile(
            lambda job: job.source != STREAM and not job.shared and not refusal(job), itertools.islice(waiting, 1, None)
        )
        ahead = [job, *followers]
        cutouts = remover.map([job.source for job in ahead], errors="return")
        for _ in ahead:
            try:
                cutout: Cutout | LiftoutError = next(cutouts)
            except (EngineError, ExtraMissing) as error:
                yield waiting.popleft(), error
                break  # the error ended the photos in progress as well; they start again
            yield waiting.popleft(), cutout


def _alone(remover: Remover, job: _Job, asked: Asked) -> Cutout | LiftoutError:
    stream = job.source == STREAM
    name = "standard input" if stream else job.source
    try:
        photo = sys.stdin.buffer.read() if stream else job.source
        return remover(photo, name=name, **vars(asked))
    except (InputError, EngineError, ExtraMissing) as error:
        return error
    except UsageError as error:  # prompts that do not fit this photo, which says nothing about the others
        return InputError(error.problem, subject=name, field=error.field, remedy=error.remedy)


def _refusal(
    job: _Job, result: ResultOptions, targets: dict[Path, str], *, overwrite: bool, number: int = 1
) -> OutputError | None:
    """The reason not to write a photo's file, if there is one. number: of the file, where each subject has its own.

    targets: source by target, of the photos of this call that are done.
    """
    path = job.path(number)
    if path is None or job.target is None or not path.exists():
        return None
    if job.source != STREAM and _same_file(Path(job.source), path):
        return OutputError("the result would replace the photo itself", subject=job.source, remedy="give another -o")
    if result.background is not None and _same_file(Path(result.background), path):
        return OutputError(
            f"the result would replace the background {path}", subject=job.source, remedy="give another -o"
        )
    if job.shared and job.target in targets:
        return OutputExists(
            f"{path} is already the result of {targets[job.target]}", subject=job.source, remedy="give another -o"
        )
    if not overwrite:
        return OutputExists("already exists", subject=path, remedy=(UseOption("overwrite", True), "give another -o"))
    return None


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _write(
    cutout: Cutout,
    subjects: Iterable[Cutout],
    job: _Job,
    result: ResultOptions,
    refusal: Callable[..., OutputError | None],
    *,
    overwrite: bool,
) -> dict[str, Any]:
    """Write one cutout to its output, or each subject to its own; returns the facts for --json. Raises OutputError.

    refusal: see `_refusal`. Where there is a reason not to write one of the files, none is written.
    """
    from liftout.files import write_whole
    from liftout.render import render_each

    kind = job.target.name if job.target else None
    rendered = list(render_each(cutout, result, format=kind, subjects=subjects))
    for number in range(1, len(rendered) + 1 if job.several else 1):
        if refused := refusal(job, number=number):
            raise refused
    outputs = []
    for number, (subject, picture) in enumerate(rendered, 1):
        path = job.path(number)
        if path is None:
            sys.stdout.buffer.write(picture.content)
            sys.stdout.buffer.flush()
        else:
            write_whole(path, picture.content, overwrite=overwrite)
        outputs.append({"output": str(path or STREAM), **_facts(subject)})
    height, width = cutout.size
    return {
        "input": job.source,
        **({"outputs": outputs} if job.several else {"output": outputs[0]["output"]}),
        "format": rendered[0][1].format.name,
        "width": width,
        "height": height,
        **_facts(cutout),
        **({"note": note} if (note := rendered[0][1].note) else {}),
    }


def _facts(cutout: Cutout) -> dict[str, Any]:
    return {"box": cutout.box, "subject": round(float(cutout.alpha.mean()) / 255, 4)}


def _announce(report: dict[str, Any], job: _Job, printer: Printer, *, quiet: bool) -> None:
    if note := report.get("note"):
        printer.err(f"{job.source}: {note}")
    if report["box"] is None:
        printer.err(f"{job.source}: no subject was found; the cutout is empty")
    if not quiet and job.target is not None:
        for output in report.get("outputs", [report]):
            printer.out(output["output"])
