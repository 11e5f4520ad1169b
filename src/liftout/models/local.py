"""The networks on this machine: the forms that a model can have here, and whether one is there. Nothing is downloaded.

presence(spec)              `built-in`, `pack`, `onnx`, `damaged`, or None, by the look of the files
network_of(spec, "int8")    the network itself, compared with its hash
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.models import cache, packs
from liftout.models.spec import FileSpec, ModelSpec
from liftout.remedies import ConvertModel, PullModel

REDUCED: tuple[Literal["fp16"], Literal["int8"]] = ("fp16", "int8")
"""Precisions that have packs of their own."""

Capabilities = Callable[[str], bool]
"""Whether an engine on this machine computes a plain network in this precision (`liftout.engines.choice.computes`)."""


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """A graph on disk with what its engine must know."""

    name: str
    """The model's name, for messages."""
    path: Path
    size: tuple[int, int]
    """[height, width] of the input."""
    output: int | None = None
    """Which output is the prediction; None where there must be exactly one."""
    reduced: str | None = None
    """`fp16` or `int8`, where its weights are reduced; engines compute it in fp32."""


@dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """A network on disk, and the spec that holds for it (a pack may be of another input size than its catalogue entry)."""

    spec: ModelSpec
    file: NetworkFile
    source: str
    """`built-in`, `pack` or `onnx`."""


def fp32_only(precision: str) -> bool:
    """The capabilities of a machine whose engines compute plain networks in fp32 alone."""
    return precision == "fp32"


def needs_pack(precision: str, capabilities: Capabilities) -> bool:
    """Whether only a pack that holds reduced weights will do.

    precision: that was requested. capabilities: what engines compute from plain weights.
    """
    return precision in REDUCED and not capabilities(precision)


def network_of(spec: ModelSpec, precision: str = "fp32", capabilities: Capabilities = fp32_only) -> ResolvedModel:
    """The best form of a model that is here, as `resolve.locate` says. Raises ModelMissing, ModelFileCorrupt.

    precision: `fp16` and `int8` mean a reduced pack, or the plain form where `capabilities` allows it; all others the plain form.
    """
    if precision in REDUCED:
        try:
            return _reduced(spec, precision)
        except ModelMissing:
            if needs_pack(precision, capabilities):
                raise
    return _plain(spec)


def _plain(spec: ModelSpec) -> ResolvedModel:
    pack = packs.built_in(spec.stored_as)
    if pack is not None:
        return from_pack(pack, spec, "built-in")
    folder = cache.pack_folder(spec)
    if (folder / packs.MANIFEST).is_file():
        pack = packs.read(folder)
        cache.check_pack(pack, model=spec.name)
        return from_pack(pack, spec, "pack")
    for file in spec.files:
        if file.role == "onnx" and (path := cache.present(spec, file)):
            return from_onnx(path, spec, file)
    raise ModelMissing("is not on this machine", subject=spec.name, remedy=PullModel(spec.name))


def _reduced(spec: ModelSpec, precision: str) -> ResolvedModel:
    folder = cache.pack_folder(spec, precision)
    if not (folder / packs.MANIFEST).is_file():
        raise ModelMissing(
            f"is not here in {precision}",
            subject=spec.name,
            remedy=ConvertModel(spec.stored_as, precision),
        )
    pack = packs.read(folder)
    cache.check_pack(pack, model=spec.name)
    return from_pack(pack, spec, "pack")


def pack_in(folder: Path) -> packs.Pack:
    """The pack in a folder, compared with its hashes. Raises ModelMissing where there is none, ModelFileCorrupt."""
    pack = packs.read(folder)
    cache.check_pack(pack, model=pack.spec.name)
    return pack


def is_path(model: str) -> bool:
    """Whether a model is meant by the folder of its pack, not by name."""
    return os.sep in model or "/" in model


def presence(spec: ModelSpec) -> str | None:
    """In which form the model is on this machine, judged by file sizes alone: `built-in`, `pack`, `onnx`,
    `damaged`, or None.
    """
    if packs.built_in(spec.stored_as) is not None:
        return "built-in"
    folder = cache.pack_folder(spec)
    if (folder / packs.MANIFEST).is_file():
        try:
            packs.read(folder)
        except ModelFileCorrupt:
            return "damaged"
        return "pack"
    for file in spec.files:
        path = cache.path_of(spec, file)
        if file.role == "onnx" and path.is_file():
            return "onnx" if path.stat().st_size == (file.bytes or path.stat().st_size) else "damaged"
    return None


def from_pack(pack: packs.Pack, spec: ModelSpec, source: str) -> ResolvedModel:
    """A pack's network. Where several entries share a pack, `spec` says which classes it is read for."""
    packed, precision = pack.spec, pack.manifest.precision
    file = NetworkFile(
        name=packed.name,
        path=pack.network,
        size=packed.input.size,
        output=packed.output.index,
        reduced=precision if precision in REDUCED else None,
    )
    if spec.name != packed.name:
        packed = replace(spec, input=packed.input, output=replace(packed.output, classes=spec.output.classes))
    return ResolvedModel(spec=packed, file=file, source=source)


def from_onnx(path: Path, spec: ModelSpec, file: FileSpec) -> ResolvedModel:
    """A raw ONNX file's network, with what the catalogue says of this very file.

    path: of the ONNX file. file: its entry in `spec`.
    """
    output = replace(
        spec.output,
        activation=file.activation or spec.output.activation,
        index=spec.output.index if file.index is None else file.index,
    )
    network = NetworkFile(
        name=spec.name,
        path=path,
        size=spec.input.size,
        output=output.index,
        reduced=file.precision if file.precision in REDUCED else None,
    )
    return ResolvedModel(spec=replace(spec, output=output), file=network, source="onnx")
