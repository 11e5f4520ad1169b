"""From a model's name, or the folder of a pack, to its network on this machine.

    resolve("birefnet-general-lite")    here already, or downloaded (and converted, where the caller can)
    locate("u2netp", "int8")            here already, or ModelMissing

What engines can compute and how a checkpoint becomes a pack are handed in by the caller: nothing here loads an engine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from liftout.errors import ExtraMissing, ModelFileCorrupt, ModelMissing, ModelUnavailable
from liftout.models import cache, packs, verify
from liftout.models.catalog import find
from liftout.models.download import fetch, offline, sources_of
from liftout.models.licence import consent
from liftout.models.spec import FileSpec, ModelSpec
from liftout.progress import Notify, Progress, unseen
from liftout.remedies import AddModel, ConvertModel, InstallExtra, PullModel

REDUCED: tuple[Literal["fp16"], Literal["int8"]] = ("fp16", "int8")
"""Precisions that have packs of their own."""

Capabilities = Callable[[str], bool]
"""Whether an engine on this machine computes a plain network in this precision (`liftout.engines.choice.computes`)."""

Convert = Callable[[ModelSpec, Path, Progress], Path]
"""Makes a checkpoint into a pack in the cache and returns the pack's folder."""

LoadConverter = Callable[[], Convert]
"""Loads what conversion needs; called before a checkpoint is downloaded. Raises ExtraMissing where it cannot be loaded."""

_logger = logging.getLogger("liftout")
_logger.addHandler(logging.NullHandler())


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


def resolve(
    model: str | ModelSpec,
    precision: str = "auto",
    capabilities: Capabilities = fp32_only,
    *,
    accept_license: bool | Collection[str] = False,
    load_converter: LoadConverter | None = None,
    source: str | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> ResolvedModel:
    """The model, ready to be loaded.

    model: a name of the catalogue, a purpose such as `best`, a path to the folder of a pack, or a catalogue entry. precision: what it is to run in.
    accept_license: consent to its licence, or names of models and licences that are accepted. load_converter: None where
    checkpoints cannot be converted. source: the only place to download from (`sources.chosen`). notify: by default a warning of the logger `liftout`.

    What is here is used, without network. Else the authors' checkpoint is downloaded and converted, else the published
    ONNX file is downloaded, after a line to `notify` that says what memory it takes.
    Raises UnknownModel, LicenseNotAccepted, ModelFileCorrupt, ModelMissing, ExtraMissing (the model has only a checkpoint).
    """
    if isinstance(model, str) and is_path(model):
        pack = _pack_in(Path(model))
        consent(pack.spec, accept=accept_license)
        return from_pack(pack, pack.spec, "pack")
    if isinstance(model, str) and is_purpose(model):
        return _resolve_purpose(model, precision, capabilities, accept_license, load_converter, progress, notify)
    spec = find(model) if isinstance(model, str) else model
    consent(spec, accept=accept_license)
    try:
        return locate(spec, precision, capabilities)
    except ModelMissing:
        if needs_pack(precision, capabilities):
            raise
        return _get(spec, load_converter, source, progress or unseen, notify or _logger.warning)


def _resolve_purpose(
    name: str,
    precision: str,
    capabilities: Capabilities,
    accept_license: bool | Collection[str],
    load_converter: LoadConverter | None,
    progress: Progress | None,
    notify: Notify | None,
) -> ResolvedModel:
    """The model that a purpose means; where it cannot be had, the next one."""
    from liftout.models.purposes import choose

    notify = notify or _logger.warning
    unfit: list[str] = []
    while True:
        choice = choose(name, accept_license=accept_license, can_convert=load_converter is not None, unfit=unfit)
        if choice.notable:
            notify(choice.explanation)
        try:
            return resolve(
                choice.spec,
                precision,
                capabilities,
                accept_license=accept_license,
                load_converter=load_converter,
                progress=progress,
                notify=notify,
            )
        except ModelMissing as error:
            if choice.fetches is None:
                raise
            notify(f"{error}; taking the next one for {name}")
            unfit.append(choice.spec.name)


def pull(
    spec: ModelSpec,
    *,
    accept_license: bool | Collection[str] = False,
    load_converter: LoadConverter | None = None,
    source: str | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> ResolvedModel:
    """As `resolve`, but damaged files are deleted and downloaded again instead of refused. Raises what `resolve` raises."""
    consent(spec, accept=accept_license)
    notify = notify or _logger.warning
    damaged = [part for part in verify.check(spec, trust_stamp=True) if part.wrong]
    if damaged and not any(sources_of(spec, file) for file in spec.files):
        raise ModelFileCorrupt(
            f"{damaged[0].label} is damaged and no URL of it is known", subject=spec.name, remedy="add it again"
        )
    if damaged and offline():
        raise ModelFileCorrupt(
            f"{damaged[0].label} is damaged and LIFTOUT_OFFLINE is set", subject=spec.name, remedy="unset it"
        )
    for part in damaged:
        notify(f"{spec.name}: {part.label} is damaged and is deleted")
        verify.discard(part)
    return resolve(spec, load_converter=load_converter, source=source, progress=progress, notify=notify)


def locate(model: str | ModelSpec, precision: str = "fp32", capabilities: Capabilities = fp32_only) -> ResolvedModel:
    """The best form of the model that is here: for `fp16` and `int8` the pack that `liftout convert --precision` made, or the
    plain form where engines compute that in this precision; for all others the built-in pack, a converted one, a raw ONNX file.

    What was downloaded or converted is compared with its hash before it is loaded (`hash_cache`). Takes what `resolve` takes.
    Raises UnknownModel, ModelMissing where there is none, ModelFileCorrupt where one is damaged.
    """
    if isinstance(model, str) and is_path(model):
        pack = _pack_in(Path(model))
        return from_pack(pack, pack.spec, "pack")
    if isinstance(model, str) and is_purpose(model):
        from liftout.models.purposes import choose

        model = choose(model, may_fetch=False).spec
    spec = find(model) if isinstance(model, str) else model
    if precision in REDUCED:
        try:
            return _reduced(spec, precision)
        except ModelMissing:
            if needs_pack(precision, capabilities):
                raise
    return _plain(spec)


def needs_pack(precision: str, capabilities: Capabilities) -> bool:
    """Whether only a pack that holds reduced weights will do."""
    return precision in REDUCED and not capabilities(precision)


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


def _pack_in(folder: Path) -> packs.Pack:
    """The pack in a folder, compared with its hashes. Raises ModelMissing where there is none, ModelFileCorrupt."""
    pack = packs.read(folder)
    cache.check_pack(pack, model=pack.spec.name)
    return pack


def is_purpose(name: str) -> bool:
    """Whether a name is that of a purpose (`liftout.models.purposes`) and of no model."""
    from liftout.models import purposes

    return purposes.is_purpose(name)


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
    """A raw ONNX file's network, with what the catalogue says of this very file."""
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


def _get(
    spec: ModelSpec, load_converter: LoadConverter | None, source: str | None, progress: Progress, notify: Notify
) -> ResolvedModel:
    def bring(file: FileSpec) -> Path:
        return fetch(spec, file, source=source, progress=progress, notify=notify)

    checkpoints = [file for file in spec.files if file.role == "checkpoint" and _reachable(spec, file, source)]
    graphs = [file for file in spec.files if file.role == "onnx"]
    if source is not None:
        graphs = [file for file in graphs if _reachable(spec, file, source)]
    if checkpoints and load_converter:
        try:
            return _converted(spec, checkpoints, load_converter(), bring, progress)
        except ModelUnavailable as error:
            if not graphs:
                raise
            notify(f"{error.what()}; using the published ONNX file instead")
    if graphs:
        return _published(spec, graphs, bring, notify, can_convert=load_converter is not None)
    if source is not None and not checkpoints:
        raise ModelMissing(
            f"nothing of it is known at {source}", subject=spec.name, remedy="name another source, or none"
        )
    if any(file.role == "checkpoint" for file in spec.files):
        if load_converter:
            raise ModelMissing(
                "no direct URL of its checkpoint is known",
                subject=spec.name,
                remedy=("set LIFTOUT_MIRROR", ConvertModel(spec.name, checkpoint=True)),
            )
        raise ExtraMissing(
            "is published as a checkpoint only, which must be converted",
            subject=spec.name,
            remedy=InstallExtra("convert"),
        )
    raise ModelMissing("the catalogue names no file of it", subject=spec.name, remedy=AddModel())


def _reachable(spec: ModelSpec, file: FileSpec, source: str | None) -> bool:
    return cache.path_of(spec, file).is_file() or bool(sources_of(spec, file, source))


Bring = Callable[[FileSpec], Path]
"""Puts a file of the model into the cache."""


def _converted(
    spec: ModelSpec, checkpoints: list[FileSpec], convert: Convert, bring: Bring, progress: Progress
) -> ResolvedModel:
    """The pack made of the first checkpoint that can be had."""
    failures: list[ModelUnavailable] = []
    with cache.locked(spec.stored_as, "pack"):
        try:
            return locate(spec)  # another process was quicker
        except ModelMissing:
            pass
        for file in checkpoints:
            try:
                checkpoint = bring(file)
            except ModelUnavailable as error:
                failures.append(error)
                continue
            return from_pack(packs.read(convert(spec, checkpoint, progress)), spec, "pack")
    raise failures[0]


def _published(
    spec: ModelSpec, graphs: list[FileSpec], bring: Bring, notify: Notify, *, can_convert: bool
) -> ResolvedModel:
    """The first published graph that can be had."""
    failures: list[ModelUnavailable] = []
    for file in graphs:
        try:
            if not offline() and sources_of(spec, file):
                notify(_memory_notice(spec, file, can_convert=can_convert))
            path = bring(file)
        except ModelUnavailable as error:
            failures.append(error)
            continue
        return from_onnx(path, spec, file)
    raise failures[0]


def _memory_notice(spec: ModelSpec, file: FileSpec, *, can_convert: bool) -> str:
    """What a person should know before a published graph is downloaded and run."""
    needs = (
        f"needs about {file.peak_bytes / 1e9:.1f} GB of memory"
        if file.peak_bytes
        else "needs an unknown amount of memory"
    )
    size = f" ({file.bytes / 1e6:.0f} MB)" if file.bytes else ""
    convertible = any(other.role == "checkpoint" and other.url for other in spec.files)
    lean = "; with pip install 'liftout[convert]' it is made lean first" if convertible and not can_convert else ""
    return f"{spec.name}: the published file {file.name}{size} {needs} to run{lean}"
