"""Find a model's network on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from liftout import packs
from liftout.catalog import find
from liftout.catalog.spec import FileSpec, ModelSpec
from liftout.engines import NetworkFile
from liftout.engines.choice import cuda_engine, openvino_capabilities
from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.weights import stored


@dataclass(frozen=True, kw_only=True)
class Located:
    """A network on disk, and the spec that holds for it (a pack may be of another input size)."""

    spec: ModelSpec
    file: NetworkFile
    source: str
    """`built-in`, `pack` or `onnx`."""
    reduced: str | None = None
    """`fp16` or `int8`, where it is a pack that holds reduced weights; engines compute it in fp32."""


REDUCED = ("fp16", "int8")
"""Precisions that have packs of their own."""


def locate_for(model: str | ModelSpec, precision: str) -> Located:
    """What a run that asks for `precision` loads, where it is here: for `int8` its pack, for `fp16` its pack or, without one,
    the plain form for engines that compute in half; for all others the plain form.

    model: a catalogue entry, its name, or the path to the folder of a pack, which is loaded as it is. Raises UnknownModel and what
    `locate` raises."""
    if isinstance(model, str) and (pack := in_folder(model)):
        return pack
    spec = find(model) if isinstance(model, str) else model
    if precision in REDUCED:
        try:
            return locate(spec, precision)
        except ModelMissing:
            if needs_pack(precision):
                raise
    return locate(spec)


def needs_pack(precision: str) -> bool:
    """Whether no engine here computes a plain network in this precision: only a pack that holds reduced weights will do."""
    if precision == "fp16":
        return "FP16" not in openvino_capabilities() and cuda_engine() is None
    return precision == "int8"


def locate(spec: ModelSpec, precision: str = "fp32") -> Located:
    """The best form of the model that is here: built in, then a pack, then a raw ONNX file; for precision `fp16` and `int8` the
    pack that `liftout convert --precision` made.

    What was fetched or converted is compared with its hash before it is loaded (`stamps`).
    Raises ModelMissing where there is none, ModelFileCorrupt where one is damaged.
    """
    if precision in REDUCED:
        return _reduced(spec, precision)
    pack = packs.built_in(spec.stored_as)
    if pack is not None:
        return from_pack(pack, spec, "built-in")
    folder = stored.pack_folder(spec)
    if (folder / packs.MANIFEST).is_file():
        pack = packs.read(folder)
        stored.check_pack(pack, model=spec.name)
        return from_pack(pack, spec, "pack")
    for file in spec.files:
        if file.role == "onnx" and (path := stored.present(spec, file)):
            return from_onnx(path, spec, file)
    raise ModelMissing(f"{spec.name} is not on this machine; run `liftout models pull {spec.name}`")


def _reduced(spec: ModelSpec, precision: str) -> Located:
    folder = stored.pack_folder(spec, precision)
    if not (folder / packs.MANIFEST).is_file():
        raise ModelMissing(
            f"{spec.name} is not here in {precision}; run `liftout convert {spec.stored_as} --precision {precision}` once"
        )
    pack = packs.read(folder)
    stored.check_pack(pack, model=spec.name)
    return replace(from_pack(pack, spec, "pack"), reduced=precision)


def in_folder(name: str) -> Located | None:
    """The pack in the folder that `name` is a path to, compared with its hashes; None for a model's name, which is no path.

    Raises ModelMissing where the folder holds no pack, ModelFileCorrupt.
    """
    if not is_path(name):
        return None
    pack = packs.read(Path(name))
    stored.check_pack(pack, model=pack.spec.name)
    held = pack.manifest.precision
    return replace(from_pack(pack, pack.spec, "pack"), reduced=held if held in REDUCED else None)


def is_path(name: str) -> bool:
    """Whether a model is meant by the folder of its pack, not by name."""
    return os.sep in name or "/" in name


def presence(spec: ModelSpec) -> str | None:
    """In which form the model is here by the look of it, sizes compared but nothing read: `built-in`, `pack`, `onnx`,
    `damaged`, or None.
    """
    if packs.built_in(spec.stored_as) is not None:
        return "built-in"
    folder = stored.pack_folder(spec)
    if (folder / packs.MANIFEST).is_file():
        try:
            packs.read(folder)
        except ModelFileCorrupt:
            return "damaged"
        return "pack"
    for file in spec.files:
        path = stored.path_of(spec, file)
        if file.role == "onnx" and path.is_file():
            return "onnx" if path.stat().st_size == (file.bytes or path.stat().st_size) else "damaged"
    return None


def from_pack(pack: packs.Pack, spec: ModelSpec, source: str) -> Located:
    """A pack's network. Where several entries share a pack, `spec` says which classes it is read for."""
    held = pack.spec
    if spec.name != held.name:
        held = replace(spec, input=held.input, output=replace(held.output, classes=spec.output.classes))
    return Located(spec=held, file=_network(pack), source=source)


def _network(pack: packs.Pack) -> NetworkFile:
    held = pack.spec
    return NetworkFile(name=held.name, path=pack.network, size=held.input.size, output=held.output.index)


def from_onnx(path: Path, spec: ModelSpec, file: FileSpec) -> Located:
    """A raw ONNX file's network, with what the catalogue says of this very file."""
    output = replace(
        spec.output,
        activation=file.activation or spec.output.activation,
        index=spec.output.index if file.index is None else file.index,
    )
    network = NetworkFile(name=spec.name, path=path, size=spec.input.size, output=output.index)
    return Located(spec=replace(spec, output=output), file=network, source="onnx")
