"""From a model's checkpoint, or from a graph that is there, to a pack, one plain ONNX file, or transformers.js's folder."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import onnx

from liftout import __version__
from liftout.agreement import BARS, Agreement
from liftout.convert import huggingface
from liftout.convert.files import write_network, write_single_file
from liftout.convert.from_onnx import is_onnx, read_graph
from liftout.convert.memory import peak_bytes
from liftout.convert.nodes import LeanNetwork
from liftout.convert.precision import Photos, Reduced, photos, reduce_network, report
from liftout.engines import NetworkFile
from liftout.errors import BelowBar, CheckpointMismatch, ModelMissing, OutputError, OutputExists, UsageError
from liftout.files import scratch_folder
from liftout.models import packs
from liftout.models.catalog import find
from liftout.models.hashes import Expectation, Fingerprint
from liftout.models.local import ResolvedModel
from liftout.models.spec import ModelSpec
from liftout.progress import Progress
from liftout.remedies import UseOption

Layout = Literal["pack", "onnx", "huggingface"]
PackPrecision = Literal["fp32", "fp16", "int8"]

PICTURE = "agreement.png"
"""Beside a reduced network: the photos with both alphas and their difference."""


def convert_model(
    spec: ModelSpec,
    checkpoint: Path | ResolvedModel,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = 1,
    layout: Layout = "pack",
    precision: PackPrecision = "fp32",
    calibrate: Path | None = None,
    keep_below_bar: bool = False,
    out_dir: Path,
    overwrite: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write the model's lean network into `out_dir`. Returns the pack's folder, the file (layout `onnx`), or the folder that
    transformers.js loads (`huggingface`: fp32, float16 weights and, where it meets its bar, int8).

    checkpoint: the authors' file, a published ONNX graph of a known architecture, or a network that is on this machine: that one
    keeps its graph, only its precision or layout changes. size: (height, width) of the input, by default the catalogue's. batch:
    photos per run, or None for any number, which BiRefNet does not allow. precision: `fp16` stores weights in half, `int8` is
    calibrated on the photos in `calibrate`, by default on the examples. The output appears whole or not at all.
    overwrite: whether an existing output is replaced.
    Raises ModelMissing where the model's architecture is not known, CheckpointUnreadable, CheckpointMismatch, BelowBar where the
    reduced network differs too much from fp32 (unless `keep_below_bar`, and then the manifest says so), UsageError where
    size or batch do not fit the architecture, OutputExists, OutputError.
    """
    spec = _owner(spec)
    size = size or spec.input.size
    if isinstance(checkpoint, Path) and not _rebuildable(spec):
        raise ModelMissing(
            "is published as an ONNX file only and its architecture is not known, so that it cannot be made leaner",
            subject=spec.name,
            remedy=("use it as it is", UseOption("precision", "fp16")),
        )
    if layout == "huggingface":
        huggingface.check(spec)
    target = out_dir / _output_name(spec, size, batch, layout, precision)
    _require_free(target, overwrite=overwrite)
    pictures = None
    if precision != "fp32" or layout == "huggingface":
        pictures = photos.of_folder(calibrate) if calibrate else photos.built_in()
    job = _Job(spec, size, batch, precision, pictures, keep_below_bar, overwrite, progress)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target, "work") as work:
            if isinstance(checkpoint, ResolvedModel):
                _from_graph(job, checkpoint, target, layout, work)
            else:
                _from_checkpoint(job, checkpoint, target, layout, work)
    except FileExistsError:
        _require_free(target, overwrite=False)
        raise
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", subject=target) from None
    return target


@dataclass(frozen=True)
class _Job:
    """What is asked for. photos: to calibrate and measure with, where a precision is reduced."""

    spec: ModelSpec
    size: tuple[int, int]
    batch: int | None
    precision: PackPrecision
    photos: Photos | None
    keep_below_bar: bool
    overwrite: bool
    progress: Progress | None


def _from_checkpoint(job: _Job, checkpoint: Path, target: Path, layout: Layout, work: Path) -> None:
    sigmoid = job.spec.output.activation == "none" or layout == "huggingface"
    network = _build(job, checkpoint, sigmoid=sigmoid)
    output = dataclasses.replace(job.spec.output, index=None)  # side outputs are gone
    spec = dataclasses.replace(job.spec.with_size(job.size), output=output)
    made_from, peak = _made_from(checkpoint, "torch"), peak_bytes(network)
    if layout == "huggingface":
        write_single_file(network, work / packs.NETWORK, job.progress)
        del network
        _write_huggingface(job, huggingface.with_probabilities(spec), work / packs.NETWORK, target)
    elif job.precision != "fp32":
        write_network(network, work, job.progress)
        del network
        source = NetworkFile(name=spec.name, path=work / packs.NETWORK, size=job.size)
        _write_reduced(job, spec, source, target, layout, work, made_from, peak)
    elif layout == "onnx":
        write_single_file(network, target, job.progress)
    else:
        with packs.writing(target, overwrite=job.overwrite) as fresh:
            write_network(network, fresh, job.progress)
            packs.write_manifest(
                fresh,
                packs.Manifest(
                    spec=spec, precision="fp32", files=(), batch=job.batch, peak_bytes=peak, made_from=made_from
                ),
            )


def _from_graph(job: _Job, resolved: ResolvedModel, target: Path, layout: Layout, work: Path) -> None:
    """A network that is here keeps its graph: built-in, raw, or of an architecture that cannot be rebuilt."""
    spec, file = resolved.spec, resolved.file
    if job.size != spec.input.size:
        raise UsageError(
            f"is a graph for {spec.input.size[0]}x{spec.input.size[1]} only",
            subject=spec.name,
            remedy="another size needs its checkpoint",
        )
    if job.precision == "fp32" and layout != "huggingface":
        raise ModelMissing(
            "is a graph already and cannot be made leaner without its checkpoint",
            subject=spec.name,
            remedy=(UseOption("precision", "fp16"), "use it as it is"),
        )
    if layout == "huggingface":
        copy = work / packs.NETWORK
        _as_single_file(file.path, copy)
        huggingface.append_sigmoid(copy, file.output, spec.output.activation)
        _write_huggingface(job, huggingface.with_probabilities(spec), copy, target)
    else:
        _write_reduced(job, spec, file, target, layout, work, _made_from(file.path), None)


def _write_reduced(
    job: _Job,
    spec: ModelSpec,
    source: NetworkFile,
    target: Path,
    layout: Layout,
    work: Path,
    made_from: dict[str, Any],
    peak: int | None,
) -> None:
    if layout == "pack":
        with packs.writing(target, overwrite=job.overwrite) as fresh:
            _reduce_into(job, spec, source, fresh, made_from, peak)
        return
    folder = work / "reduced"
    folder.mkdir()
    _reduce_into(job, spec, source, folder, made_from, peak)
    _as_single_file(folder / packs.NETWORK, target)


def _reduce_into(
    job: _Job, spec: ModelSpec, source: NetworkFile, folder: Path, made_from: dict[str, Any], peak: int | None
) -> None:
    assert job.precision != "fp32"
    assert job.photos is not None
    agreement, facts = reduce_network(source, job.precision, spec, folder, job.photos, progress=job.progress)
    short = _shortfall(job.precision, agreement)
    if short and not job.keep_below_bar:
        raise BelowBar(
            f"{short}; nothing was written",
            subject=spec.name,
            remedy=(UseOption("calibrate"), UseOption("precision", "fp16"), UseOption("keep_below_bar", True)),
        )
    if job.precision == "int8":
        spec = dataclasses.replace(spec, output=dataclasses.replace(spec.output, index=None))
    reduced = NetworkFile(name=spec.name, path=folder / packs.NETWORK, size=spec.input.size, output=spec.output.index)
    report.draw(folder / PICTURE, source, reduced, spec, job.photos.measuring)
    record = {**agreement.to_dict(), "measured_on": job.photos.source, **facts, "below_bar": short is not None}
    packs.write_manifest(
        folder,
        packs.Manifest(
            spec=dataclasses.replace(spec, files=()),
            precision=job.precision,
            files=(),
            batch=job.batch,
            peak_bytes=peak,
            agreement=record,
            made_from=made_from,
        ),
    )


def _write_huggingface(job: _Job, spec: ModelSpec, source: Path, target: Path) -> None:
    """All precisions beside each other; int8 only where it meets its bar or is forced."""
    assert job.photos is not None
    file = NetworkFile(name=spec.name, path=source, size=spec.input.size)
    with packs.writing(target, overwrite=job.overwrite) as fresh:
        (fresh / "onnx").mkdir()
        agreements: dict[str, Any] = {}
        precisions: list[str] = []
        for precision, name in huggingface.GRAPHS.items():
            if precision == "fp32":
                _as_single_file(source, fresh / "onnx" / name)
                precisions.append(precision)
                continue
            kind: Reduced = "fp16" if precision == "fp16" else "int8"
            with tempfile.TemporaryDirectory(dir=fresh) as folder:
                agreement, facts = reduce_network(file, kind, spec, Path(folder), job.photos, progress=job.progress)
                short = _shortfall(kind, agreement)
                agreements[precision] = {**agreement.to_dict(), **facts, "below_bar": short is not None}
                if short is None or job.keep_below_bar:
                    _as_single_file(Path(folder) / packs.NETWORK, fresh / "onnx" / name)
                    precisions.append(precision)
        huggingface.write_configs(fresh, spec, precisions)
        text = {"agreement": agreements, "measured_on": job.photos.source}
        (fresh / "agreement.json").write_text(report.as_json(text), encoding="utf-8")


def _as_single_file(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    try:
        onnx.save(onnx.load(source), partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _shortfall(precision: str, agreement: Agreement) -> str | None:
    """One line where the bar is missed."""
    bar = BARS[precision]
    if agreement.meets(bar):
        return None
    return (
        f"{precision} differs from fp32 by {agreement.difference:.4f} on average (at most {bar.mean} allowed), "
        f"average IoU {agreement.iou:.4f} (at least {bar.iou})"
    )


def _owner(spec: ModelSpec) -> ModelSpec:
    """The entry whose files and pack `spec` reads."""
    return find(spec.files_of) if spec.files_of else spec


def _output_name(spec: ModelSpec, size: tuple[int, int], batch: int | None, layout: Layout, precision: str) -> str:
    name = spec.name
    if size != spec.input.size:
        height, width = size
        name += f"-{height}" if height == width else f"-{height}x{width}"
    if batch not in (1, None):
        name += f"-batch{batch}"
    if layout == "huggingface":
        return f"{name}-huggingface"
    if precision != "fp32":
        name += f"-{precision}"
    return f"{name}.onnx" if layout == "onnx" else name


def _require_free(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise OutputExists(
            "already exists", subject=target, remedy=(UseOption("overwrite", True), UseOption("out_dir"))
        )


def _rebuildable(spec: ModelSpec) -> bool:
    from liftout.networks import ARCHITECTURES  # PyTorch, which a graph that keeps its form does without

    return spec.architecture in ARCHITECTURES


def _build(job: _Job, checkpoint: Path, *, sigmoid: bool) -> LeanNetwork:
    from liftout.convert.network import build_network
    from liftout.networks import read_checkpoint

    spec = job.spec
    try:
        state = read_graph(checkpoint, spec.architecture) if is_onnx(checkpoint) else read_checkpoint(checkpoint)
        return build_network(
            spec.architecture,
            state,
            size=job.size,
            batch=job.batch,
            patch_order=spec.patch_order or "cgw",
            sigmoid=sigmoid,
            progress=job.progress,
        )
    except (CheckpointMismatch, UsageError) as error:
        raise type(error)(error.what(), subject=spec.name, remedy=error.remedy) from None


def _made_from(checkpoint: Path, *more_tools: str) -> dict[str, Any]:
    fingerprint = Fingerprint.of(checkpoint, Expectation())
    tools = {"liftout": __version__, **{name: version(name) for name in (*more_tools, "onnx", "onnxruntime")}}
    return {"checkpoint": checkpoint.name, "bytes": fingerprint.bytes, "sha256": fingerprint.sha256, "tools": tools}
