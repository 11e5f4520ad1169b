"""What `liftout.models` is handed of the rooms above it: conversion of checkpoints on demand."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from liftout.errors import ExtraMissing
from liftout.home import home
from liftout.models.resolve import Convert, LoadConverter
from liftout.models.spec import ModelSpec
from liftout.progress import Progress


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
            f"what the extra `convert` installed cannot be loaded ({error}); "
            "install it again: pip install --force-reinstall 'liftout[convert]'"
        ) from None

    def convert(spec: ModelSpec, checkpoint: Path, progress: Progress) -> Path:
        return convert_model(spec, checkpoint, size=spec.input.size, out_dir=home() / "packs", progress=progress)

    return convert
