"""Register a model of the user's own: a raw ONNX file with the facts of a model that the catalogue knows."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np

from liftout import packs
from liftout.catalog import find
from liftout.catalog import models as catalogue
from liftout.catalog.spec import FileSpec, ModelSpec
from liftout.engines import NetworkFile, open_network
from liftout.errors import NetworkRejected, UsageError
from liftout.files import write_whole
from liftout.weights.home import home

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def add_onnx(
    name: str, onnx_file: Path, *, like: str, output_index: int | None = None, overwrite: bool = False
) -> ModelSpec:
    """Copy an ONNX file into the cache and enter it into the user's catalogue.

    The file is loaded and run once on noise: its input must be float32 [N, 3, h, w] of `like`'s size, its prediction a map
    with values that fit `like`'s activation. Raises UsageError for a bad name, UnknownModel, NetworkRejected.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` cannot be a model's name; use lower-case letters, digits, `.`, `_` and `-`")
    entry = home() / "catalog" / f"{name}.toml"
    if name in catalogue() and not (overwrite and entry.is_file()):
        hint = "give --overwrite to replace it" if entry.is_file() else "choose another name"
        raise UsageError(f"a model called `{name}` is in the catalogue already; {hint}")
    if not onnx_file.is_file():
        raise UsageError(f"{onnx_file}: no such file")
    parent = find(like)
    output = dataclasses.replace(parent.output, index=parent.output.index if output_index is None else output_index)
    spec = dataclasses.replace(parent, name=name, summary=f"Added by you: {onnx_file.name}, like {like}", output=output)
    _try(NetworkFile(name=name, path=onnx_file, size=spec.input.size, output=output.index), spec)

    folder = home() / "models" / name
    with packs.writing(folder, overwrite=True) as fresh:
        shutil.copyfile(onnx_file, fresh / packs.NETWORK)
        _copy_external_data(onnx_file, fresh)
        described = packs.describe(fresh / packs.NETWORK, packs.NETWORK)
    file = FileSpec(role="onnx", name=packs.NETWORK, bytes=described.bytes, sha256=described.sha256)
    spec = dataclasses.replace(spec, files=(file,), files_of="")
    entry.parent.mkdir(parents=True, exist_ok=True)
    write_whole(entry, _toml(spec).encode(), overwrite=True)
    return spec


def _try(file: NetworkFile, spec: ModelSpec) -> None:
    height, width = spec.input.size
    noise = np.random.default_rng(0).standard_normal((1, 3, height, width)).astype(np.float32)
    network = open_network(file, engine="onnxruntime")
    try:
        prediction = network.run(noise)
    finally:
        network.close()
    channels = prediction.shape[1]
    if spec.output.activation == "argmax":
        if channels <= max(spec.output.classes, default=0):
            raise NetworkRejected(
                f"{file.name}: the prediction has {channels} channels, fewer than the classes of the model it is like"
            )
    elif channels != 1:
        raise NetworkRejected(
            f"{file.name}: the prediction has shape {list(prediction.shape)}; one channel is needed, "
            "so choose another output with --output-index"
        )
    low, high = float(prediction.min()), float(prediction.max())
    if not np.isfinite([low, high]).all():
        raise NetworkRejected(f"{file.name}: the prediction holds values that are not numbers; the file is damaged")
    if spec.output.activation == "none" and (low < -1e-3 or high > 1 + 1e-3):
        raise NetworkRejected(
            f"{file.name}: values from {low:.2g} to {high:.2g} are logits, but the model it is like ends in a sigmoid; "
            "choose a model with activation sigmoid, such as a birefnet"
        )


def _copy_external_data(onnx_file: Path, folder: Path) -> None:
    """Weights that lie beside the graph: every file there whose name stands in the graph as external data."""
    graph = onnx_file.read_bytes() if onnx_file.stat().st_size < 512 * 1024 * 1024 else b""
    if b"external" not in graph and b"location" not in graph:
        return
    for path in onnx_file.parent.iterdir():
        if path.is_file() and path != onnx_file and path.name.encode() in graph:
            shutil.copyfile(path, folder / path.name)


def _toml(spec: ModelSpec) -> str:
    """A catalogue entry as TOML (the standard library reads TOML but does not write it)."""
    tables = spec.to_dict()
    name = tables.pop("name")
    files = tables.pop("files", [])
    lines = [f'["{name}"]']
    lines += [f"{key} = {_value(value)}" for key, value in tables.items()]
    for item in files:
        lines += ["", f'[["{name}".files]]', *(f"{key} = {_value(value)}" for key, value in item.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return repr(value)
