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
from liftout.machine import usable_cores
from liftout.models.purposes import is_purpose
from liftout.options import RunOptions

if TYPE_CHECKING:
    from liftout.measure import Figures
    from liftout.models.local import ResolvedModel

_HEADER = ("", "load s", "network ms", "photo s", "CPU s", "photos/s", "peak MB")


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--photo",
    "photos",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The same as IMAGE. [default: a generated photo of 2 megapixels]",
)
@params.options_of(RunOptions, leave_out=("engine", "device", "precision", "max_pixels"))
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="Runs per photo; figures are medians.",
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
    """Measure a model with every engine and precision that runs on this machine, and show which one `auto` uses.

    MODEL is a name or the folder of a pack; a model that is not on this machine is downloaded first. Each row is measured in a
    process of its own, from the bytes of a photo to the bytes of a PNG.
    """
    from liftout import measure
    from liftout.images import decode

    options: RunOptions = params.read(RunOptions, values)
    resolved = fetching.have(options.model, accept_license=accept_license, quiet=quiet or as_json)
    if is_purpose(options.model):
        options = dataclasses.replace(options, model=resolved.spec.name)
    for photo in (*images, *photos):
        decode(photo)  # raises once what is wrong with it, instead of once for each row
    automatic, reason = measure.automatic(resolved, options)
    rows: list[tuple[RunOptions, Figures | str]] = []
    with _photos_or_sample((*images, *photos)) as measured:
        if not as_json:
            size = " x ".join(str(side) for side in resolved.spec.input.size)
            names = ", ".join(photo.name for photo in (*images, *photos)) or "a generated photo of 2 megapixels"
            click.echo(f"{resolved.spec.name} ({resolved.source}, {size}), {names}, {usable_cores()} cores")
            click.echo(_line(_HEADER))
        for combination in measure.combinations(options):
            figures = measure.run(combination, measured, repeats=repeats)
            rows.append((combination, figures))
            if not as_json:
                click.echo(_row(combination, figures) + ("  <- auto" if combination == automatic else ""))
    if as_json:
        click.echo(json.dumps(_report(resolved, rows, automatic, reason), indent=2, ensure_ascii=False))
    else:
        click.echo(f"auto uses {measure.label(automatic)}: {reason}")
    return 0 if any(not isinstance(figures, str) for _, figures in rows) else 1


def _report(
    resolved: ResolvedModel, rows: list[tuple[RunOptions, Figures | str]], automatic: RunOptions, reason: str
) -> dict[str, Any]:
    return {
        "model": resolved.spec.name,
        "source": resolved.source,
        "size": list(resolved.spec.input.size),
        "cores": usable_cores(),
        "auto": {**_shown(automatic), "reason": reason},
        "rows": [
            {
                **_shown(combination),
                "auto": combination == automatic,
                **({"error": figures} if isinstance(figures, str) else dataclasses.asdict(figures)),
            }
            for combination, figures in rows
        ],
    }


def _shown(combination: RunOptions) -> dict[str, str]:
    return {name: getattr(combination, name) for name in ("engine", "device", "precision")}


def _row(combination: RunOptions, figures: Figures | str) -> str:
    from liftout.measure import label

    if isinstance(figures, str):
        return f"{label(combination):20}  {figures}"
    peak = f"{figures.peak_bytes / 1e6:.0f}" if figures.peak_bytes else "?"
    return _line(
        (
            label(combination),
            f"{figures.load_seconds:.2f}",
            f"{1000 * figures.network_seconds:.0f}",
            f"{figures.photo_seconds:.2f}",
            f"{figures.photo_cpu_seconds:.2f}",
            f"{1 / figures.photo_seconds:.2f}",
            peak,
        )
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"{cells[0]:20}" + "".join(f"{cell:>12}" for cell in cells[1:])


@contextmanager
def _photos_or_sample(photos: tuple[Path, ...]) -> Iterator[tuple[Path, ...]]:
    """The photos, or where there are none a generated one, which is removed at the end."""
    if photos:
        yield photos
        return
    from liftout.measure import made_photo

    with tempfile.TemporaryDirectory(prefix="liftout-bench-") as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(made_photo())
        yield (path,)
