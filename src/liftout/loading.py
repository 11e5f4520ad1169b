"""From run options to a network in memory: find the model, download and convert it if need be, choose an engine, open it.

spec, network = load(RunOptions(model="u2netp"))
"""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path

from liftout import graphs
from liftout.engines import Network
from liftout.engines.choice import choose, computes
from liftout.engines.precision_check import ToAlpha, open_checked
from liftout.errors import ExtraMissing, LiftoutError
from liftout.home import home
from liftout.models import packs
from liftout.models.local import ResolvedModel
from liftout.models.resolve import Convert, LoadConverter, locate, resolve
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions
from liftout.progress import Progress

_WEIGHTS_FACTOR = 3
"""Peak memory of a run in bytes of the weights, where the pack does not state it."""


def load(options: RunOptions, *, accept_license: bool = False) -> tuple[ModelSpec, Network]:
    """A model's network, opened, and the spec that holds for it; the model is downloaded first where it is not here.

    Raises UnknownModel, ModelUnavailable, EngineError, UsageError.
    """
    model = resolve(
        options.model, options.precision, computes, accept_license=accept_license, load_converter=converter()
    )
    return model.spec, open_model(model, options)


def open_model(model: ResolvedModel, options: RunOptions) -> Network:
    """The network of a model that is here. Raises EngineError, UsageError, ExtraMissing."""
    if model.file.reduced:
        options = dataclasses.replace(options, precision="fp32")  # what engines compute reduced weights in
        if options.engine == "auto":
            options = dataclasses.replace(options, engine="onnxruntime")  # in which the agreement was measured
    choice = choose(options, model.spec.architecture)
    return open_checked(model.file, choice, options, _to_alpha(model.spec))


def network_bytes(options: RunOptions) -> int:
    """Memory of one run at its peak, in bytes: as the model's pack states it, else estimated from the size of its files; 0 where the
    model is not here."""
    try:
        network = locate(options.model, options.precision, computes).file.path
    except LiftoutError:
        return 0
    folder = network.parent
    if (folder / packs.MANIFEST).is_file() and (peak := packs.read(folder).manifest.peak_bytes):
        return peak
    return _WEIGHTS_FACTOR * sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _to_alpha(spec: ModelSpec) -> ToAlpha:
    """Alphas to compare two predictions by, at the size that the network sees the photo in."""

    def to_alpha(tensor: graphs.Float32, prediction: graphs.Float32) -> graphs.UInt8:
        box = graphs.photo_box(tensor, spec.input)
        return graphs.finish(prediction, (int(box[2]), int(box[3])), spec.output, box=box)

    return to_alpha


def can_convert() -> bool:
    """Whether what the extra `convert` brings is installed."""
    return all(find_spec(name) is not None for name in ("liftout.convert", "torch", "onnx", "safetensors"))


def converter() -> LoadConverter | None:
    """How `resolve` and `pull` make checkpoints into packs; None where the extra `convert` is not installed."""
    return _load_converter if can_convert() else None


def _load_converter() -> Convert:
    try:
        from liftout.convert import convert_model
    except ImportError as error:
        raise ExtraMissing(
            f"what the extra `convert` installed cannot be loaded ({error})",
            remedy="install torch, onnx and safetensors again",
        ) from None

    def convert(spec: ModelSpec, checkpoint: Path, progress: Progress) -> Path:
        return convert_model(spec, checkpoint, size=spec.input.size, out_dir=home() / "packs", progress=progress)

    return convert
