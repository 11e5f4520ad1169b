"""From a model's name, or the folder of a pack, to its network on this machine.

    resolve("birefnet-general-lite")    here already, or downloaded (and converted, where the caller can)
    locate("u2netp", "int8")            here already, or ModelMissing

What engines can compute and how a checkpoint becomes a pack are handed in by the caller: nothing here loads an engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from liftout.errors import ExtraMissing, ModelFileCorrupt, ModelMissing, ModelUnavailable
from liftout.models import cache, packs, verify
from liftout.models.catalog import find
from liftout.models.download import fetch, offline, sources_of
from liftout.models.licence import consent
from liftout.models.local import (
    Capabilities,
    ResolvedModel,
    fp32_only,
    from_onnx,
    from_pack,
    is_path,
    needs_pack,
    network_of,
    pack_in,
)
from liftout.models.purposes import choose, is_purpose
from liftout.models.spec import FileSpec, ModelSpec
from liftout.progress import Notify, Progress, unseen
from liftout.remedies import AddModel, ConvertModel, InstallExtra

Convert = Callable[[ModelSpec, Path, Progress], Path]
"""Makes a checkpoint into a pack in the cache and returns the pack's folder."""

LoadConverter = Callable[[], Convert]
"""Loads what conversion needs; called before a checkpoint is downloaded. Raises ExtraMissing where it cannot be loaded."""

_logger = logging.getLogger("liftout")
_logger.addHandler(logging.NullHandler())


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
    checkpoints cannot be converted. source: the only place to download from
    (`sources.chosen`). notify: by default a warning of the logger `liftout`.

    What is here is used, without network. Else the authors' checkpoint is downloaded and converted, else the published
    ONNX file is downloaded, after a line to `notify` that says what memory it takes.
    Raises UnknownModel, LicenseNotAccepted, ModelFileCorrupt, ModelMissing, ExtraMissing (the model has only a checkpoint).
    """
    if isinstance(model, str) and is_path(model):
        pack = pack_in(Path(model))
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
    """The model that a purpose means; where that is not available, the next one."""
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
    """As `resolve`, but damaged files are deleted and downloaded again instead of refused. Raises what `resolve` raises.

    spec: which model. accept_license: True, or the names of the licences that the user accepts. load_converter: how to turn a checkpoint
    into a pack; without it a model that needs one is refused. source: the only place to download from (`sources.chosen`).
    progress: told how far downloads are. notify: told in one line what is deleted; by default a warning of the logger `liftout`.
    """
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
        pack = pack_in(Path(model))
        return from_pack(pack, pack.spec, "pack")
    if isinstance(model, str) and is_purpose(model):
        model = choose(model, may_fetch=False).spec
    return network_of(find(model) if isinstance(model, str) else model, precision, capabilities)


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
    """The pack made of the first checkpoint that can be downloaded."""
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
    """The first published graph that can be downloaded."""
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
