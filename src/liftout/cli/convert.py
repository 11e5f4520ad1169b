"""`liftout convert`: a checkpoint becomes a pack, or a plain ONNX file."""

from __future__ import annotations

import re
from pathlib import Path

import click

from liftout.catalog import find
from liftout.catalog.spec import ModelSpec
from liftout.cli import fetching
from liftout.errors import ExtraMissing, ModelMissing, ModelUnavailable
from liftout.weights.progress import Progress

_SMALLEST = 32
"""Pixels; a network that halves its input five times sees nothing below that."""


class _Size(click.ParamType[tuple[int, int]]):
    """`512`, or `HEIGHTxWIDTH`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(value))
        if not match:
            self.fail(f"{value!r} is no size; give one number, or HEIGHTxWIDTH", param, ctx)
        height, width = int(match[1]), int(match[2] or match[1])
        if min(height, width) < _SMALLEST:
            self.fail(f"{value!r} is too small for a photo; give {_SMALLEST} or more", param, ctx)
        return height, width


@click.command()
@click.argument("name")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="The authors' weights. [default: fetched]"
)
@click.option("--size", type=_Size(), metavar="N", help="Input size, N or HEIGHTxWIDTH. [default: the model's own]")
@click.option(
    "--layout",
    type=click.Choice(["pack", "onnx"]),
    default="pack",
    show_default=True,
    help="A pack for liftout and the browser, or one ONNX file.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Photos per run. [default: 1; any number for --layout onnx where the network allows]",
)
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to. [default: the cache, where `liftout cut` finds it; the current folder for another size, batch or layout]",
)
@fetching.accept_license_option
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def convert(
    name: str,
    checkpoint: Path | None,
    size: tuple[int, int] | None,
    layout: str,
    batch: int | None,
    force: bool,
    output: Path | None,
    accept_license: tuple[str, ...],
    quiet: bool,
    debug: bool,
) -> None:
    """Make a model's checkpoint into a lean network.

    \b
    liftout convert rmbg-1.4 --accept-license rmbg-1.4 -o packs/
    liftout convert birefnet-general-lite --size 512 -o packs/
    liftout convert u2net --checkpoint u2net.pth --layout onnx
    """
    from liftout.weights.ensure import can_convert

    if not can_convert():
        raise ExtraMissing("converting needs PyTorch and ONNX; run `pip install 'liftout[convert]'`")
    from liftout import convert as conversion
    from liftout import packs
    from liftout.networks import ARCHITECTURES
    from liftout.weights.consent import consent
    from liftout.weights.home import home
    from liftout.weights.progress import shown

    spec = find(name)
    consent(spec, accept=fetching.accepts(spec, accept_license))
    known = ARCHITECTURES.get(spec.architecture)
    if batch is None and (layout == "pack" or known is None or known.backbone):
        batch = 1
    own = layout == "pack" and size in (None, spec.input.size) and batch == 1
    with shown(quiet=quiet) as progress:
        written = conversion.convert_model(
            spec,
            checkpoint or _fetched(spec, progress),
            size=size,
            batch=batch,
            layout="onnx" if layout == "onnx" else "pack",
            out_dir=output or (home() / "packs" if own else Path()),
            overwrite=force,
            progress=progress,
        )
    if quiet:
        return
    if layout == "onnx":
        click.echo(f"{written}: {written.stat().st_size / 1e6:.1f} MB")
    else:
        pack = packs.read(written)
        needs = f", runs in about {pack.manifest.peak_bytes / 1e6:.0f} MB" if pack.manifest.peak_bytes else ""
        click.echo(f"{written}: {pack.bytes / 1e6:.1f} MB{needs}")


def _fetched(spec: ModelSpec, progress: Progress) -> Path:
    """The model's checkpoint in the cache, fetched if need be."""
    from liftout.weights.fetch import fetch

    failures: list[ModelUnavailable] = []
    for file in spec.files:
        if file.role == "checkpoint":
            try:
                return fetch(spec, file, progress=progress)
            except ModelUnavailable as error:
                failures.append(error)
    if failures:
        raise failures[0]
    raise ModelMissing(f"{spec.name}: the catalogue names no checkpoint of it; give one with --checkpoint")
