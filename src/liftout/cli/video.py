"""`liftout video`: cut the subject out of films and animated pictures."""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liftout.cli import fetching, params
from liftout.cli.progress import photo_progress
from liftout.cli.terminal import Printer, encodable
from liftout.cli.terms import COMMANDS, error_line
from liftout.errors import InputError, OutputError, UsageError
from liftout.options import ResultOptions, RunOptions, VideoOptions, frame_size

if TYPE_CHECKING:
    from liftout.remover import Remover
    from liftout.video.clip import Clip
    from liftout.video.raw import PixelFormat
    from liftout.video.write import Written

STREAM = "-"
LEFT_OUT = (
    *("crop", "margin", "canvas", "position", "enlarge", "subject_size", "shadow", "contact_shadow"),
    *("format", "metadata"),
)
"""Options of a result that follow the subject, so that they would shake, or that films do not have."""


@click.command()
@click.argument("source", metavar="CLIP|-")
@click.option(
    "--output",
    "-o",
    metavar="FILE|DIR|-",
    help="File, folder for PNG files, or - for raw frames on standard output. [default: <name>-cutout.webm beside the clip]",
)
@params.options_of(VideoOptions)
@params.options_of(ResultOptions, leave_out=LEFT_OUT)
@params.options_of(RunOptions)
@fetching.accept_license_option
@click.option("--raw", metavar="WIDTHxHEIGHT", help="Read raw frames of this size from standard input.")
@click.option(
    "--pixel",
    type=click.Choice(["rgb24", "bgr24", "rgba", "bgra", "gray"]),
    default="rgb24",
    show_default=True,
    help="What the pixels of raw frames are made of, in FFmpeg's words.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def video(
    source: str,
    output: str | None,
    accept_license: tuple[str, ...],
    raw: str | None,
    pixel: PixelFormat,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **values: Any,
) -> int:
    """Cut the subject out of a film or an animated picture.

    The suffix of the output chooses what is written: .webm (VP9 with alpha), .mov (ProRes 4444), .mp4 (H.264, over a background), .mkv,
    .gif, .webp, .png (animated), or a folder of PNG files. Sound goes along. A run that was killed goes on with the same
    command.
    """
    from liftout.video.library import require

    options: VideoOptions = params.read(VideoOptions, values)
    result: ResultOptions = params.read(ResultOptions, values)
    run: RunOptions = params.read(RunOptions, values)
    require()
    if (source == STREAM) != (raw is not None):
        raise UsageError("raw frames come from standard input", field="raw", remedy="give - and --raw WIDTHxHEIGHT")
    output = STREAM if output is None and source == STREAM else output
    if output == STREAM and (as_json or sys.stdout.isatty()):
        raise UsageError("raw frames would go to standard output", remedy="give -o FILE, or redirect it")
    target, folder = _target(Path(source), output, result, options)
    from liftout.remover import Remover
    from liftout.video.write import check_absent

    try:
        if output != STREAM:
            _check_target(Path(source), target, result)
            check_absent(target, overwrite=overwrite)
        run = fetching.settled(run, accept_license=accept_license, quiet=quiet or as_json)
        with Remover.from_options(run) as remover, _open(source, remover, options, run, raw, pixel) as clip:
            if output == STREAM:
                return _write_raw(clip, result, quiet=quiet)
            return _write(clip, target, result, run, folder=folder, overwrite=overwrite, as_json=as_json, quiet=quiet)
    except (InputError, OutputError) as error:
        if debug:
            raise
        if as_json:
            click.echo(encodable(json.dumps({"input": source, "error": error.line(COMMANDS)}, ensure_ascii=False)))
        click.echo(error_line(error), err=True)
        return 1


def _open(
    source: str, remover: Remover, options: VideoOptions, run: RunOptions, raw: str | None, pixel: PixelFormat
) -> Clip:
    from liftout.video.clip import Clip, open_clip
    from liftout.video.raw import RawSource

    if raw is None:
        return open_clip(source, remover, options, max_pixels=run.max_pixels)
    if options.size is not None:
        raise UsageError("raw frames are not scaled", field="size", remedy="scale them before")
    width, height = frame_size(raw, "raw")
    rate = Fraction(str(options.fps)) if options.fps else Fraction(25)
    frames = RawSource(sys.stdin.buffer, (height, width), pixel, rate, max_pixels=run.max_pixels)
    return Clip(frames, remover, options)


def _write_raw(clip: Clip, result: ResultOptions, *, quiet: bool) -> int:
    from liftout.video.write import write_raw

    with photo_progress(total=clip.frames, quiet=quiet) as printer:
        write_raw(clip, sys.stdout.buffer, result, advance=lambda: printer.advance(total=clip.frames))
        if clip.damage:
            printer.err(f"liftout: {clip.name}: {clip.damage}")
    return 1 if clip.damage else 0


def _target(source: Path, output: str | None, result: ResultOptions, options: VideoOptions) -> tuple[Path, bool]:
    """Where the result goes, and whether it is a folder of pictures. Raises UnknownFormat."""
    from liftout.video.targets import target_of

    if output is None:
        ending = "mask" if result.mask else "fill" if options.fill else "cutout"
        return source.with_name(f"{source.stem}-{ending}.webm"), False
    path = Path(output)
    if path.is_dir() or output.endswith(("/", "\\")) or not path.suffix:
        return path, True
    target_of(path)
    return path, False


def _check_target(source: Path, target: Path, result: ResultOptions) -> None:
    for path in (source, Path(result.background or "")):
        if target.is_file() and path.is_file() and target.samefile(path):
            raise OutputError("the result would replace what it is made of", subject=path, remedy="give another -o")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder cannot be created: {error.strerror}", subject=target.parent) from None


def _write(
    clip: Clip,
    target: Path,
    result: ResultOptions,
    run: RunOptions,
    *,
    folder: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    from liftout.video.identity import identity_of
    from liftout.video.write import write

    began = time.perf_counter()
    with photo_progress(total=clip.frames, quiet=quiet or as_json) as printer:
        try:
            written = write(
                clip,
                target,
                result,
                folder=folder,
                overwrite=overwrite,
                identity=identity_of(clip, target, result, run),
                advance=lambda: printer.advance(total=clip.frames, complete=True),
            )
        except KeyboardInterrupt:
            if not quiet:
                printer.err("interrupted: run the same command again to go on")
            raise
        _report(clip, written, printer, time.perf_counter() - began, as_json=as_json, quiet=quiet)
    return 1 if written.damage else 0


def _report(clip: Clip, written: Written, printer: Printer, took: float, *, as_json: bool, quiet: bool) -> None:
    source = clip.name
    if as_json:
        height, width = clip.facts.size
        facts: dict[str, Any] = {
            "input": source,
            "output": str(written.path),
            "frames": written.frames,
            "resumed": written.resumed,
            "width": width,
            "height": height,
            "model": clip.remover.spec.name,
            "seconds": round(took, 3),
        }
        facts |= {key: value for key in ("note", "damage") if (value := getattr(written, key))}
        click.echo(encodable(json.dumps(facts, ensure_ascii=False)))
    if written.note:
        printer.err(f"{source}: {written.note}")
    if written.damage:
        printer.err(f"liftout: {source}: {written.damage}; {written.path} holds what could be read")
    if not quiet and not as_json:
        printer.out(str(written.path))
        rate = (written.frames - written.resumed) / max(took, 1e-6)
        printer.err(f"{written.frames} frames; {took:.1f} s, {rate:.1f} frames a second")
