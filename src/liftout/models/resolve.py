"""Have a model on this machine: find it, or fetch and convert it, or fetch a published graph.

located = ensure(find("birefnet-general-lite"))
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec

from liftout.errors import ExtraMissing, ModelFileCorrupt, ModelMissing, ModelUnavailable
from liftout.home import home
from liftout.models import cache, packs, verify
from liftout.models.download import addresses, fetch, offline
from liftout.models.licence import consent
from liftout.models.locate import Located, from_onnx, from_pack, locate, locate_for, needs_pack
from liftout.models.spec import FileSpec, ModelSpec
from liftout.progress import Progress, unseen

Notify = Callable[[str], None]
"""Takes a line that a person should read."""

_logger = logging.getLogger("liftout")
_logger.addHandler(logging.NullHandler())


def ensure(
    spec: ModelSpec,
    *,
    precision: str = "auto",
    accept_license: bool = False,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Located:
    """The model, ready to be loaded.

    precision: what it is to run in; a pack that `liftout convert --precision` made needs nothing else.

    What is here is used, without network. Else the authors' checkpoint is fetched and converted where the extra `convert`
    is installed, else the published ONNX file is fetched, after a line to `notify` (by default a warning of the logger
    `liftout`) that says what memory it takes.
    Raises LicenseNotAccepted, ModelFileCorrupt, ModelMissing, ExtraMissing (the model has only a checkpoint).
    """
    consent(spec, accept=accept_license)
    try:
        return locate_for(spec, precision)
    except ModelMissing:
        if needs_pack(precision):
            raise
        return _get(spec, progress or unseen, notify or _logger.warning)


def pull(
    spec: ModelSpec,
    *,
    accept_license: bool = False,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Located:
    """As `ensure`, but what is damaged is deleted and had anew instead of refused. Raises what `ensure` raises."""
    consent(spec, accept=accept_license)
    notify = notify or _logger.warning
    damaged = [part for part in verify.check(spec, trust_stamp=True) if part.wrong]
    if damaged and not any(addresses(spec, file) for file in spec.files):
        raise ModelFileCorrupt(
            f"{spec.name}: {damaged[0].label} is damaged and no address of it is known; add it again"
        )
    if damaged and offline():
        raise ModelFileCorrupt(f"{spec.name}: {damaged[0].label} is damaged and LIFTOUT_OFFLINE is set; unset it")
    for part in damaged:
        notify(f"{spec.name}: {part.label} is damaged and is deleted")
        verify.discard(part)
    return ensure(spec, progress=progress, notify=notify)


def _get(spec: ModelSpec, progress: Progress, notify: Notify) -> Located:
    checkpoints = [file for file in spec.files if file.role == "checkpoint" and _reachable(spec, file)]
    graphs = [file for file in spec.files if file.role == "onnx"]
    if checkpoints and can_convert():
        try:
            return _convert(spec, checkpoints, progress)
        except ModelUnavailable as error:
            if not graphs:
                raise
            notify(f"{error}; using the published ONNX file instead")
    if graphs:
        return _published(spec, graphs, progress, notify)
    if any(file.role == "checkpoint" for file in spec.files):
        if can_convert():
            raise ModelMissing(
                f"{spec.name}: no plain address of its checkpoint is known; set LIFTOUT_MIRROR, or convert a copy: "
                f"liftout convert {spec.name} --checkpoint FILE"
            )
        raise ExtraMissing(
            f"{spec.name} is published as a checkpoint only, which must be converted; "
            "install the extra that does it: pip install 'liftout[convert]'"
        )
    raise ModelMissing(
        f"{spec.name}: the catalogue names no file of it; `liftout models add` registers one of your own"
    )


def can_convert() -> bool:
    """Whether what the extra `convert` brings is installed."""
    return all(find_spec(name) is not None for name in ("liftout.convert", "torch", "onnx", "safetensors"))


def _reachable(spec: ModelSpec, file: FileSpec) -> bool:
    return cache.path_of(spec, file).is_file() or bool(addresses(spec, file))


def _convert(spec: ModelSpec, checkpoints: list[FileSpec], progress: Progress) -> Located:
    """The pack made of the first checkpoint that can be had."""
    try:
        from liftout.convert import convert_model  # type: ignore[attr-defined, unused-ignore]
    except ImportError as error:
        raise ExtraMissing(
            f"{spec.name}: what the extra `convert` installed cannot be loaded ({error}); "
            "install it again: pip install --force-reinstall 'liftout[convert]'"
        ) from None

    failures: list[ModelUnavailable] = []
    with cache.locked(spec.stored_as, "pack"):
        try:
            return locate(spec)  # another process was quicker
        except ModelMissing:
            pass
        for file in checkpoints:
            try:
                path = fetch(spec, file, progress=progress)
            except ModelUnavailable as error:
                failures.append(error)
                continue
            folder = convert_model(
                spec, path, size=spec.input.size, batch=1, layout="pack", out_dir=home() / "packs", progress=progress
            )
            return from_pack(packs.read(folder), spec, "pack")
    raise failures[0]


def _published(spec: ModelSpec, graphs: list[FileSpec], progress: Progress, notify: Notify) -> Located:
    """The first published graph that can be had."""
    failures: list[ModelUnavailable] = []
    for file in graphs:
        try:
            if not offline() and addresses(spec, file):
                notify(memory_notice(spec, file))
            path = fetch(spec, file, progress=progress)
        except ModelUnavailable as error:
            failures.append(error)
            continue
        return from_onnx(path, spec, file)
    raise failures[0]


def memory_notice(spec: ModelSpec, file: FileSpec) -> str:
    """What a person should know before a published graph is fetched and run."""
    needs = (
        f"needs about {file.peak_bytes / 1e9:.1f} GB of memory"
        if file.peak_bytes
        else "needs memory nobody has measured"
    )
    size = f" ({file.bytes / 1e6:.0f} MB)" if file.bytes else ""
    convertible = any(other.role == "checkpoint" and other.url for other in spec.files)
    lean = "; with pip install 'liftout[convert]' it is made lean first" if convertible and not can_convert() else ""
    return f"{spec.name}: the published file {file.name}{size} {needs} to run{lean}"
