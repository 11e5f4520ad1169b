"""From a model's checkpoint to a pack, or to one plain ONNX file."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from liftout import __version__, packs
from liftout.catalog import find
from liftout.catalog.spec import ModelSpec
from liftout.convert.files import write_network, write_single_file
from liftout.convert.graph import LeanNetwork
from liftout.convert.memory import peak_bytes
from liftout.convert.network import build_network
from liftout.errors import CheckpointMismatch, ModelMissing, OutputError, OutputExists, UsageError
from liftout.networks import ARCHITECTURES, read_checkpoint
from liftout.weights.digest import Expectation, Fingerprint
from liftout.weights.progress import Progress

Layout = Literal["pack", "onnx"]


def convert_model(
    spec: ModelSpec,
    checkpoint: Path,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = 1,
    layout: Layout = "pack",
    out_dir: Path,
    overwrite: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write the model's lean network into `out_dir`. Returns the pack's folder, or with layout `onnx` the file.

    size: (height, width) of the input, by default the catalogue's. batch: photos per run, or None for any number, which
    BiRefNet does not allow. The output appears whole or not at all.
    Raises ModelMissing where the model's architecture is not known, CheckpointUnreadable, CheckpointMismatch, UsageError
    where size or batch do not fit the architecture, OutputExists, OutputError.
    """
    spec = _owner(spec)
    size = size or spec.input.size
    if spec.architecture not in ARCHITECTURES:
        raise ModelMissing(
            f"{spec.name} is published as an ONNX file only and its architecture is not known; use it as it is"
        )
    target = out_dir / _output_name(spec, size, batch, layout)
    _require_free(target, overwrite=overwrite)
    network = _build(spec, checkpoint, size, batch, progress)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if layout == "onnx":
            write_single_file(network, target, progress)
        else:
            _write_pack(network, spec.with_size(size), checkpoint, batch, target, overwrite, progress)
    except FileExistsError:
        _require_free(target, overwrite=False)
        raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return target


def _owner(spec: ModelSpec) -> ModelSpec:
    """The entry whose files and pack `spec` reads."""
    return find(spec.files_of) if spec.files_of else spec


def _output_name(spec: ModelSpec, size: tuple[int, int], batch: int | None, layout: Layout) -> str:
    name = spec.name
    if size != spec.input.size:
        height, width = size
        name += f"-{height}" if height == width else f"-{height}x{width}"
    if batch not in (1, None):
        name += f"-batch{batch}"
    return f"{name}.onnx" if layout == "onnx" else name


def _require_free(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise OutputExists(f"{target} is there already; give --force to replace it, or another -o")


def _build(
    spec: ModelSpec, checkpoint: Path, size: tuple[int, int], batch: int | None, progress: Progress | None
) -> LeanNetwork:
    try:
        return build_network(
            spec.architecture,
            read_checkpoint(checkpoint),
            size=size,
            batch=batch,
            patch_order=spec.patch_order or "cgw",
            sigmoid=spec.output.activation == "none",
            progress=progress,
        )
    except (CheckpointMismatch, UsageError) as error:
        raise type(error)(f"{spec.name}: {error}") from None


def _write_pack(
    network: LeanNetwork,
    spec: ModelSpec,
    checkpoint: Path,
    batch: int | None,
    folder: Path,
    overwrite: bool,
    progress: Progress | None,
) -> None:
    output = dataclasses.replace(spec.output, index=None)  # side outputs are gone
    with packs.writing(folder, overwrite=overwrite) as fresh:
        write_network(network, fresh, progress)
        manifest = packs.Manifest(
            spec=dataclasses.replace(spec, output=output),
            precision="fp32",
            files=(),
            batch=batch,
            peak_bytes=peak_bytes(network),
            made_from=_made_from(checkpoint),
        )
        packs.write_manifest(fresh, manifest)


def _made_from(checkpoint: Path) -> dict[str, Any]:
    found = Fingerprint.of(checkpoint, Expectation())
    tools = {"liftout": __version__, **{name: version(name) for name in ("torch", "onnx")}}
    return {"checkpoint": checkpoint.name, "bytes": found.bytes, "sha256": found.sha256, "tools": tools}
