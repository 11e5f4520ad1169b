"""`liftout bench`: how fast a model is on this machine."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liftout.cli import fetching, params
from liftout.cores import usable_cores
from liftout.options import RunOptions

if TYPE_CHECKING:
    from liftout.measure import Combination, Figures
    from liftout.models.resolve import ResolvedModel

_HEADER = ("", "load s", "network ms", "photo s", "CPU s", "photos/s", "peak MB")


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--photo",
    "photos",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The same as IMAGE. [default: a made photo of 2 megapixels]",
)
@params.options_of(RunOptions, leave_out=("engine", "device", "precision", "max_pixels"))
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="How often each photo is cut; the figures are medians.",
)
@fetching.accept_license_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Print the table and errors only.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def bench(
    images: tuple[Path, ...],
    photos: tuple[Path, ...],
    repeats: int,
    accept_license: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    debug: bool,
    **values: Any,
) -> int:
    """Measure a model with every engine and precision that runs on this machine, and say which of them `auto` takes.

    MODEL is a name or the folder of a pack; a name that is not on this machine is fetched, as `liftout cut` does. Each row is
    measured in a process of its own: a photo's bytes become the bytes of a PNG.
    """
    from liftout import measure
    from liftout.images import decode

    options: RunOptions = params.read(RunOptions, values)
    resolved = fetching.have(options.model, accept_license=accept_license, quiet=quiet or as_json)
    for photo in (*images, *photos):
        decode(photo)  # says what is wrong with it, once
    taken, reason = measure.automatic(resolved)
    rows: list[tuple[Combination, Figures | str]] = []
    with _given((*images, *photos)) as given:
        if not as_json:
            size = " x ".join(str(side) for side in resolved.spec.input.size)
            shown = ", ".join(photo.name for photo in (*images, *photos)) or "a made photo of 2 megapixels"
            click.echo(f"{resolved.spec.name} ({resolved.source}, {size}), {shown}, {usable_cores()} cores")
            click.echo(_line(_HEADER))
        for combination in measure.combinations(options.model):
            figures = measure.run(
                combination, options.model, given, repeats=repeats, edges=options.edges, threads=options.threads
            )
            rows.append((combination, figures))
            if not as_json:
                click.echo(_row(combination, figures) + ("  <- auto" if combination == taken else ""))
    if as_json:
        click.echo(json.dumps(_report(resolved, rows, taken, reason), indent=2, ensure_ascii=False))
    else:
        click.echo(f"auto takes {taken}: {reason}")
    return 0 if any(not isinstance(figures, str) for _, figures in rows) else 1


def _report(
    resolved: ResolvedModel, rows: list[tuple[Combination, Figures | str]], taken: Combination, reason: str
) -> dict[str, Any]:
    return {
        "model": resolved.spec.name,
        "source": resolved.source,
        "size": list(resolved.spec.input.size),
        "cores": usable_cores(),
        "auto": {**dataclasses.asdict(taken), "reason": reason},
        "rows": [
            {
                **dataclasses.asdict(combination),
                "auto": combination == taken,
                **({"error": told} if isinstance(told, str) else dataclasses.asdict(told)),
            }
            for combination, told in rows
        ],
    }


def _row(combination: Combination, told: Figures | str) -> str:
    if isinstance(told, str):
        return f"{combination!s:20}  {told}"
    peak = f"{told.peak_bytes / 1e6:.0f}" if told.peak_bytes else "?"
    return _line(
        (
            str(combination),
            f"{told.load_seconds:.2f}",
            f"{1000 * told.network_seconds:.0f}",
            f"{told.photo_seconds:.2f}",
            f"{told.photo_cpu_seconds:.2f}",
            f"{1 / told.photo_seconds:.2f}",
            peak,
        )
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"{cells[0]:20}" + "".join(f"{cell:>12}" for cell in cells[1:])


@contextmanager
def _given(photos: tuple[Path, ...]) -> Iterator[tuple[Path, ...]]:
    """The photos, or one that is made for the time of the measurement."""
    if photos:
        yield photos
        return
    from liftout.measure import made_photo

    with tempfile.TemporaryDirectory(prefix="liftout-bench-") as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(made_photo())
        yield (path,)
