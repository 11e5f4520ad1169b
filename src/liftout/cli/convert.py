"""`liftout convert`: a checkpoint becomes a pack, or a plain ONNX file."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from liftout.cli import fetching
from liftout.errors import ExtraMissing, ModelMissing, ModelUnavailable
from liftout.models.catalog import find
from liftout.models.spec import FileSpec, ModelSpec
from liftout.progress import Progress

if TYPE_CHECKING:
    from liftout.convert import Layout, PackPrecision
    from liftout.models.local import ResolvedModel

_NEEDS_TORCH = (
    "needs PyTorch; run `pip install 'liftout[convert]'` (docs/precision.md says how to have it for the CPU alone)"
)

_SMALLEST = 32
"""Pixels; a network that halves its input five times sees nothing below that."""


class _Size(click.ParamType[tuple[int, int]]):
    """`512`, or `HEIGHTxWIDTH`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(value))
        if not match:
            self.fail(f"{value!r} is not a size; give one number, or HEIGHTxWIDTH", param, ctx)
        height, width = int(match[1]), int(match[2] or match[1])
        if min(height, width) < _SMALLEST:
            self.fail(f"{value!r} is too small for a photo; give {_SMALLEST} or more", param, ctx)
        return height, width


@click.command()
@click.argument("name")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="The authors' weights. [default: downloaded]"
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
    help="fp16 halves the size of the weights; int8 quarters it, is calibrated on photos, and is refused where alphas differ too much.",
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
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option(
    "--force", is_flag=True, help="Replace what is there, and keep a pack whose alphas differ more than allowed."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Output folder or file. [default: the cache, where `liftout cut` finds it; the current folder for another size, batch or layout]",
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
    overwrite: bool,
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
    _require_onnx()
    from liftout import convert as conversion
    from liftout.cli.progress import shown
    from liftout.home import home
    from liftout.loading import can_convert
    from liftout.models import packs
    from liftout.models.licence import consent

    spec = find(name)
    consent(spec, accept=fetching.accepted(accept_license))
    if batch is None and (layout != "onnx" or precision != "fp32" or not can_convert() or not _any_batch(spec)):
        batch = 1
    usual = size in (None, spec.input.size) and batch == 1
    own = layout == "pack" and usual
    lean = not usual or (precision == "fp32" and layout != "huggingface")
    with shown(quiet=quiet) as progress:
        target = conversion.convert_model(
            spec,
            _from_checkpoint(spec, checkpoint, lean=lean)
            if checkpoint
            else _from_cache_or_network(spec, progress, lean=lean),
            size=size,
            batch=batch,
            layout=layout,
            precision=precision,
            calibrate=calibrate,
            keep_below_bar=force,
            out_dir=output or (home() / "packs" if own else Path()),
            overwrite=overwrite or force,
            progress=progress,
        )
    if layout == "huggingface":
        return _say_huggingface(target, quiet=quiet)
    if quiet:
        return 0
    if layout == "onnx":
        click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    else:
        pack = packs.read(target)
        needs = f", runs in about {pack.manifest.peak_bytes / 1e6:.0f} MB" if pack.manifest.peak_bytes else ""
        click.echo(f"{target}: {pack.bytes / 1e6:.1f} MB{needs}")
        if pack.manifest.agreement:
            for line in conversion.precision.report.lines(pack.manifest.agreement):
                click.echo(line)
            click.echo(f"  picture                     {target / conversion.PICTURE}")
            in_cache = own and target.parent.resolve() == (home() / "packs").resolve()
            if batch == 1:
                click.echo(f"run it: {_command(spec, target, precision, in_cache=in_cache)}")
    return 0


def _say_huggingface(folder: Path, *, quiet: bool) -> int:
    """What is in the folder; status 1 where int8 fell short and was left out."""
    from liftout.convert.huggingface import GRAPHS

    agreements = json.loads((folder / "agreement.json").read_text(encoding="utf-8"))["agreement"]
    status = 0
    for precision, name in GRAPHS.items():
        file = folder / "onnx" / name
        if not file.exists():
            figures = agreements[precision]
            click.echo(
                f"liftout: {folder.name}: {precision} differs from fp32 by {figures['mean_difference']:.4f} on average, IoU "
                f"{figures['iou_at_128']:.4f}, which is below its bar; {name} was left out (--force keeps it)",
                err=True,
            )
            status = 1
        elif not quiet:
            agrees = (
                f", mean difference to fp32 {agreements[precision]['mean_difference']:.5f}"
                if precision in agreements
                else ""
            )
            click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB{agrees}")
    return status


def _command(spec: ModelSpec, pack: Path, precision: str, *, in_cache: bool) -> str:
    """The line that runs a pack: by the model's name where that finds it, else by the pack's path, which must look like one."""
    if in_cache:
        return f"liftout cut photo.jpg -m {spec.name} --precision {precision}"
    path = str(pack) if len(pack.parts) > 1 else os.path.join(".", pack)  # noqa: PTH118 - a Path drops the dot
    return f"liftout cut photo.jpg -m {shlex.quote(path)}"


def _require_onnx() -> None:
    from importlib.util import find_spec

    if find_spec("onnx") is None:
        raise ExtraMissing(
            "converting needs the package `onnx`, and PyTorch where there is a checkpoint to read",
            remedy="run `pip install 'liftout[convert]'`, or without PyTorch `pip install 'liftout[reduce]'`",
        )


def _any_batch(spec: ModelSpec) -> bool:
    """Whether the model's lean graph takes any number of photos."""
    from liftout.networks import ARCHITECTURES

    known = ARCHITECTURES.get(spec.architecture)
    return known is not None and not known.backbone


def _from_checkpoint(spec: ModelSpec, checkpoint: Path, *, lean: bool) -> Path | ResolvedModel:
    """What to make of the file that --checkpoint names: a graph keeps its form where no other is asked for and its weights cannot
    be read back.

    lean: whether a graph that is there already will not do.
    """
    from liftout.loading import can_convert
    from liftout.models.local import from_onnx

    if checkpoint.suffix.lower() != ".onnx" or lean or _readable(spec):
        if can_convert() or not checkpoint.is_file():
            return checkpoint
        raise ExtraMissing(f"reading {checkpoint.name} {_NEEDS_TORCH}", subject=spec.name)
    if not checkpoint.is_file():
        raise ModelMissing("no such file", subject=checkpoint)
    published = [file for file in spec.files if file.role == "onnx"]
    return from_onnx(checkpoint, spec, published[0] if published else FileSpec(role="onnx", name=checkpoint.name))


def _from_cache_or_network(spec: ModelSpec, progress: Progress, *, lean: bool) -> Path | ResolvedModel:
    """What is here to convert, or can be fetched: a pack, a published graph, a checkpoint; graphs whose weights can be read back
    become lean where PyTorch is installed. Raises ModelUnavailable.

    lean: whether a graph that is there already will not do.
    """
    from liftout.loading import can_convert
    from liftout.models.download import fetch
    from liftout.models.local import from_onnx
    from liftout.models.resolve import locate

    published = any(file.role == "onnx" and file.url for file in spec.files)  # what a user added keeps its graph
    readable = published and _readable(spec)
    if not lean:
        try:
            located = locate(spec)
        except ModelMissing:
            pass
        else:
            return located.file.path if located.source == "onnx" and readable else located
    kinds = {kind: [file for file in spec.files if file.role == kind] for kind in ("checkpoint", "onnx")}
    graphs = kinds["onnx"] if not lean or readable else []
    candidates = [*(kinds["checkpoint"] if can_convert() else []), *graphs]
    failures: list[ModelUnavailable] = []
    for file in candidates:
        try:
            path = fetch(spec, file, progress=progress)
        except ModelUnavailable as error:
            failures.append(error)
            continue
        return path if file.role == "checkpoint" or readable else from_onnx(path, spec, file)
    if failures:
        raise failures[-1]
    if kinds["checkpoint"] and not can_convert():
        raise ExtraMissing(f"reading its checkpoint {_NEEDS_TORCH}", subject=spec.name)
    raise ModelMissing(
        "the catalogue names no checkpoint of it", subject=spec.name, remedy="give one with --checkpoint"
    )


def _readable(spec: ModelSpec) -> bool:
    """Whether the weights of the model's published graph can be read back here."""
    from liftout.loading import can_convert

    if not can_convert():
        return False
    from liftout.convert.from_onnx import READABLE
    from liftout.networks import ARCHITECTURES

    known = ARCHITECTURES.get(spec.architecture)
    return known is not None and known.family in READABLE
