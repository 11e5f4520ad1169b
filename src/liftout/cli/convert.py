"""`liftout convert`: a checkpoint becomes a pack, or a plain ONNX file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from liftout.catalog import find
from liftout.catalog.spec import ModelSpec
from liftout.cli import fetching
from liftout.errors import ExtraMissing, ModelMissing, ModelUnavailable
from liftout.weights.progress import Progress

if TYPE_CHECKING:
    from liftout.convert import Layout, PackPrecision
    from liftout.weights.locate import Located

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
    type=click.Choice(["pack", "onnx", "huggingface"]),
    default="pack",
    show_default=True,
    help="A pack for liftout and the browser, one ONNX file, or the folder that transformers.js loads (all precisions).",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    show_default=True,
    help="fp16 stores weights in half; int8 is a quarter of the size, calibrated on photos and refused where it would ruin mattes.",
)
@click.option(
    "--calibrate",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Photos like yours to calibrate int8 and measure agreement on. [default: the example photos]",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Photos per run. [default: 1; any number for --layout onnx where the network allows]",
)
@click.option("--force", is_flag=True, help="Replace what is there, and keep a pack that falls short of its bar.")
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
    layout: Layout,
    precision: PackPrecision,
    calibrate: Path | None,
    batch: int | None,
    force: bool,
    output: Path | None,
    accept_license: tuple[str, ...],
    quiet: bool,
    debug: bool,
) -> int:
    """Make a model's checkpoint into a lean network, or a network smaller.

    \b
    liftout convert rmbg-1.4 --accept-license rmbg-1.4 -o packs/
    liftout convert birefnet-general-lite --size 512 -o packs/
    liftout convert u2net --checkpoint u2net.pth --layout onnx
    liftout convert pocket --precision int8
    liftout convert u2netp --layout huggingface -o public/models
    """
    from liftout.weights.ensure import can_convert

    if not can_convert():
        raise ExtraMissing("converting needs PyTorch and ONNX; run `pip install 'liftout[convert]'`")
    from liftout import convert as conversion
    from liftout import packs
    from liftout.cli.progress import shown
    from liftout.networks import ARCHITECTURES
    from liftout.weights.consent import consent
    from liftout.weights.home import home

    spec = find(name)
    consent(spec, accept=fetching.accepts(spec, accept_license))
    known = ARCHITECTURES.get(spec.architecture)
    if batch is None and (layout != "onnx" or precision != "fp32" or known is None or known.backbone):
        batch = 1
    own = layout == "pack" and size in (None, spec.input.size) and batch == 1
    with shown(quiet=quiet) as progress:
        written = conversion.convert_model(
            spec,
            checkpoint
            if checkpoint and known
            else _source(spec, checkpoint, progress, leaner=precision == "fp32" and layout != "huggingface"),
            size=size,
            batch=batch,
            layout=layout,
            precision=precision,
            calibrate=calibrate,
            keep_below_bar=force,
            out_dir=output or (home() / "packs" if own else Path()),
            overwrite=force,
            progress=progress,
        )
    if layout == "huggingface":
        return _say_huggingface(written, quiet=quiet)
    if quiet:
        return 0
    if layout == "onnx":
        click.echo(f"{written}: {written.stat().st_size / 1e6:.1f} MB")
    else:
        pack = packs.read(written)
        needs = f", runs in about {pack.manifest.peak_bytes / 1e6:.0f} MB" if pack.manifest.peak_bytes else ""
        click.echo(f"{written}: {pack.bytes / 1e6:.1f} MB{needs}")
        if pack.manifest.agreement:
            for line in conversion.precision.report.lines(pack.manifest.agreement):
                click.echo(line)
            click.echo(f"  picture                     {written / conversion.PICTURE}")
            if own:
                click.echo(f"run it: liftout cut photo.jpg -m {spec.name} --precision {precision}")
    return 0


def _say_huggingface(folder: Path, *, quiet: bool) -> int:
    """What is in the folder; status 1 where int8 fell short and was left out."""
    from liftout.convert.huggingface import GRAPHS

    told = json.loads((folder / "agreement.json").read_text(encoding="utf-8"))["agreement"]
    status = 0
    for precision, name in GRAPHS.items():
        file = folder / "onnx" / name
        if not file.exists():
            figures = told[precision]
            click.echo(
                f"liftout: {folder.name}: {precision} differs from fp32 by {figures['mean_difference']:.4f} on average, IoU "
                f"{figures['iou_at_128']:.4f}, which is below its bar; {name} was left out (--force keeps it)",
                err=True,
            )
            status = 1
        elif not quiet:
            agrees = f", mean difference to fp32 {told[precision]['mean_difference']:.5f}" if precision in told else ""
            click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB{agrees}")
    return status


def _source(spec: ModelSpec, given: Path | None, progress: Progress, *, leaner: bool) -> Path | Located:
    """What to convert: the checkpoint, fetched if need be, or the graph where there is no other form of the model.

    leaner: whether nothing but a leaner graph is asked for, which needs a checkpoint.
    """
    from liftout.weights.locate import from_onnx, locate

    if given:  # a graph whose architecture is not known
        if not any(file.role == "onnx" for file in spec.files):
            raise ModelMissing(
                f"{spec.name}: its architecture is not known, so {given} cannot be read; use `liftout models add`"
            )
        return from_onnx(given, spec, next(file for file in spec.files if file.role == "onnx"))
    if leaner or any(file.role == "checkpoint" for file in spec.files):
        return _fetched(spec, progress)
    from liftout.weights.ensure import ensure

    try:
        return locate(spec)
    except ModelMissing:
        return ensure(spec, progress=progress)


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
