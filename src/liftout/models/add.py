"""Register a model of the user's own: a raw ONNX file with the facts of a model that the catalogue knows, or a folder that
transformers.js loads."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tomli_w

from liftout.errors import NetworkRejected, UsageError
from liftout.files import write_whole
from liftout.home import home
from liftout.models import packs
from liftout.models.catalog import all_models, find
from liftout.models.licence import stated
from liftout.models.local import NetworkFile
from liftout.models.spec import FileSpec, InputSpec, ModelSpec, OutputSpec
from liftout.models.stored import stored_precision
from liftout.remedies import UseOption

Float32 = npt.NDArray[np.float32]

Run = Callable[[NetworkFile, Float32], Float32]
"""Gives the prediction of a network, float32 [1, C, h, w], for a tensor float32 [1, 3, h, w]."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def add_onnx(
    name: str,
    onnx_file: Path,
    *,
    like: str,
    run: Run,
    output_index: int | None = None,
    license: str | None = None,  # noqa: A002
    overwrite: bool = False,
) -> ModelSpec:
    """Copy an ONNX file into the cache and enter it into the user's catalogue.

    name: what it will be called. onnx_file: is copied, not moved. like: the model whose preprocessing and size it shares. run: how to
    run a network once (`liftout.engines.run_once`); the file is run on noise: its input must be float32 [N, 3, h, w] of `like`'s
    size, its prediction a map with values that fit `like`'s activation. output_index: which output is the prediction, by default
    that of `like`. license: SPDX name of what its weights are under; unknown by default, whatever `like` is under. overwrite:
    replace a model of this name that was added before.
    Raises UsageError for a bad name, UnknownModel, NetworkRejected.
    """
    free_name(name, overwrite=overwrite)
    if not onnx_file.is_file():
        raise UsageError("no such file", subject=onnx_file)
    parent = find(like)
    output = dataclasses.replace(parent.output, index=parent.output.index if output_index is None else output_index)
    summary = f"Added by you: {onnx_file.name}, like {like}"
    spec = dataclasses.replace(
        parent,
        name=name,
        summary=summary,
        output=output,
        added=True,
        license=stated(license),
        notes=(),
        paper="",
        origin="",
    )
    file = NetworkFile(name=name, path=onnx_file, size=spec.input.size, output=output.index)
    _check(name, run(file, _noise(spec.input.size)), spec)

    return _enter(dataclasses.replace(spec, files_of=""), onnx_file)


def free_name(name: str, *, overwrite: bool) -> None:
    """Raise UsageError where the name is malformed or taken."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"`{name}` cannot be a model's name", remedy="use lower-case letters, digits, `.`, `_` and `-`"
        )
    entry = _entry(name)
    if name in all_models() and not (overwrite and entry.is_file()):
        remedy = UseOption("overwrite", True) if entry.is_file() else "choose another name"
        raise UsageError("a model of this name is in the catalogue already", subject=name, remedy=remedy)


def _entry(name: str) -> Path:
    return home() / "catalog" / f"{name}.toml"


def _enter(spec: ModelSpec, graph: Path) -> ModelSpec:
    """Copy the graph into the cache and write the catalogue entry."""
    with packs.writing(home() / "models" / spec.name, overwrite=True) as fresh:
        shutil.copyfile(graph, fresh / packs.NETWORK)
        _copy_external_data(graph, fresh)
        described = packs.describe(fresh / packs.NETWORK, packs.NETWORK)
    file = FileSpec(
        role="onnx",
        name=packs.NETWORK,
        bytes=described.bytes,
        sha256=described.sha256,
        precision=stored_precision(graph),
    )
    spec = dataclasses.replace(spec, files=(file,))
    enter(spec)
    return spec


def enter(spec: ModelSpec) -> None:
    """Write a model's entry into the user's catalogue; its files or its pack are in the cache."""
    entry = _entry(spec.name)
    entry.parent.mkdir(parents=True, exist_ok=True)
    write_whole(entry, _toml(spec).encode(), overwrite=True)


def add_folder(
    name: str,
    folder: Path,
    *,
    run: Run,
    precision: str | None = None,
    license: str | None = None,  # noqa: A002
    overwrite: bool = False,
) -> ModelSpec:
    """Enter a folder in the layout of transformers.js: `config.json`, `preprocessor_config.json`, `onnx/model*.onnx`.

    A folder that liftout wrote carries its own facts. Of another one the size, mean and deviation are read; the prediction is
    the first output, a probability or logits by the look of its values, as transformers.js decides it too.
    name, run, overwrite: as for `add_onnx`. license: likewise; a folder that liftout wrote states its own. precision: which of its graphs to take, `fp32`, `fp16` or `int8`; by default the best that is there.
    Raises UsageError where the folder has another layout, NetworkRejected.
    """
    facts = {file: _json(folder / file) for file in ("config.json", "preprocessor_config.json")}
    graph = _graph(folder, precision)
    own = facts["config.json"].get("liftout", {}).get("model")
    if own is not None:
        spec = ModelSpec.from_dict(own, where=str(folder / "config.json"))
    else:
        spec = _read_spec(name, facts["config.json"], facts["preprocessor_config.json"], folder)
    free_name(name, overwrite=overwrite)
    spec = dataclasses.replace(
        spec,
        name=name,
        files=(),
        files_of="",
        summary=f"Added by you: {graph.name} of {folder.resolve().name}",
        added=True,
        license=stated(license) if license or own is None else spec.license,
    )
    file = NetworkFile(name=name, path=graph, size=spec.input.size, output=spec.output.index or 0)
    prediction = run(file, _noise(spec.input.size))
    if own is None and _are_logits(prediction):
        spec = dataclasses.replace(spec, output=dataclasses.replace(spec.output, activation="sigmoid"))
    _check(name, prediction, spec)
    return _enter(spec, graph)


_GRAPHS = {
    "fp32": ("model.onnx",),
    "fp16": ("model_fp16.onnx",),
    "int8": ("model_quantized.onnx", "model_int8.onnx", "model_uint8.onnx"),
}


def _graph(folder: Path, precision: str | None) -> Path:
    """The graph of a folder for a precision, or the best one."""
    kinds = [precision] if precision else list(_GRAPHS)
    for place in (folder / "onnx", folder):
        for kind in kinds:
            for file in _GRAPHS[kind]:
                if (place / file).is_file():
                    return place / file
    what = f"for {precision} " if precision else ""
    raise UsageError(
        f"holds no graph {what}(onnx/model.onnx or its fp16 or quantized form)",
        subject=folder,
        remedy="check the folder",
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"holds no {path.name}", subject=path.parent, remedy="give a folder that transformers.js loads"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(str(error), subject=path, remedy="fetch it again") from None
    if not isinstance(content, dict):
        raise UsageError("expected a JSON object", subject=path, remedy="fetch it again")
    return content


def _read_spec(name: str, config: dict[str, Any], preprocessor: dict[str, Any], folder: Path) -> ModelSpec:
    """The spec of a folder that another tool wrote. Raises UsageError for steps that the pipeline does not have."""
    size = preprocessor.get("size", {})
    if isinstance(size, int):
        size = {"height": size, "width": size}
    height, width = size.get("height"), size.get("width")
    if not isinstance(height, int) or not isinstance(width, int):
        raise UsageError(
            f"preprocessor_config.json names no fixed height and width ({size})",
            subject=folder,
            remedy="add its ONNX file by the name of a model that it is like",
        )
    factor = float(preprocessor.get("rescale_factor", 1 / 255)) if preprocessor.get("do_rescale", True) else 1.0
    normalized = preprocessor.get("do_normalize", True)
    mean = preprocessor.get("image_mean", (0.485, 0.456, 0.406)) if normalized else (0.0, 0.0, 0.0)
    std = preprocessor.get("image_std", (0.229, 0.224, 0.225)) if normalized else (1.0, 1.0, 1.0)
    # (level * factor - mean) / std, in terms of level / 255
    unit = 255 * factor
    return ModelSpec(
        name=name,
        family=str(config.get("model_type", "onnx")),
        architecture="onnx",
        input=InputSpec(
            size=(height, width),
            mean=cast("tuple[float, float, float]", tuple(float(m) / unit for m in mean)),
            std=cast("tuple[float, float, float]", tuple(float(s) / unit for s in std)),
        ),
        output=OutputSpec(index=0),
    )


def _are_logits(prediction: Float32) -> bool:
    return float(prediction.min()) < -1e-3 or float(prediction.max()) > 1 + 1e-3


def _noise(size: tuple[int, int]) -> Float32:
    return np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)


def _check(name: str, prediction: Float32, spec: ModelSpec) -> None:
    """Raise NetworkRejected where the prediction is not what `spec` says of it."""
    channels = prediction.shape[1]
    if spec.output.activation == "argmax":
        if channels <= max(spec.output.classes, default=0):
            raise NetworkRejected(
                f"the prediction has {channels} channels, fewer than the classes of the model it is like", subject=name
            )
    elif channels != 1:
        raise NetworkRejected(
            f"the prediction has shape {list(prediction.shape)}, not one channel",
            subject=name,
            remedy=UseOption("output_index"),
        )
    low, high = float(prediction.min()), float(prediction.max())
    if not np.isfinite([low, high]).all():
        raise NetworkRejected(
            "the prediction holds values that are not numbers", subject=name, remedy="the file is damaged"
        )
    if spec.output.activation == "none" and _are_logits(prediction):
        raise NetworkRejected(
            f"values from {low:.2g} to {high:.2g} are logits, but the model it is like ends in a sigmoid",
            subject=name,
            remedy="choose a model with activation sigmoid, such as a birefnet",
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
    """A catalogue entry as TOML."""
    facts = spec.to_dict()
    return tomli_w.dumps({facts.pop("name"): facts})
