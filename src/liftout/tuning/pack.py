"""The pack of a tuned model, and its entry in the catalogue: so that `liftout cut -m NAME`, the server and the page have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from onnx import __version__ as onnx_version

from liftout import __version__
from liftout.errors import UsageError
from liftout.home import home
from liftout.models import packs
from liftout.models.add import enter
from liftout.models.licence import stated
from liftout.models.spec import LicenseSpec, ModelSpec

PICTURE = "held-out.png"
"""Beside the network: held-out photos as before and after."""


def tuned_spec(base: ModelSpec, name: str, summary: str, licence: str | None) -> ModelSpec:
    """What is known of the model. licence: SPDX name of what its user puts it under, by default that of the model that it started from."""
    return dataclasses.replace(
        base,
        name=name,
        summary=summary,
        output=dataclasses.replace(base.output, index=None),
        notes=(),
        files=(),
        files_of="",
        added=True,
        license=stated(licence) if licence else _inherited(base.license, base.name),
    )


def check_licence(base: ModelSpec, licence: str | None) -> None:
    """Raise UsageError where `licence` allows commercial use and that of `base` does not."""
    if licence and stated(licence).commercial and not base.license.commercial:
        raise UsageError(
            f"{licence} allows commercial use, the licence of {base.name}, {base.license.weights}, does not",
            field="license",
            remedy="leave it out",
        )


def write_pack(
    spec: ModelSpec,
    folder: Path,
    write: Callable[[Path], int | None],
    *,
    facts: Mapping[str, Any],
    picture: Path | None = None,
    overwrite: bool,
) -> packs.Pack:
    """Write the pack into `folder`, whole or not at all. write: writes the network's files and tells the memory that a run takes, where it is
    known. facts: of the run, for the manifest: what it started from, data, recipe, figures.

    Raises FileExistsError where it is there and `overwrite` is false.
    """
    with packs.writing(folder, overwrite=overwrite) as fresh:
        peak = write(fresh)
        if picture is not None and picture.is_file():
            (fresh / PICTURE).write_bytes(picture.read_bytes())
        tools = {"liftout": __version__, "torch": torch.__version__, "onnx": onnx_version}
        made_from = {**facts, "tools": tools}
        manifest = packs.Manifest(spec=spec, precision="fp32", files=(), peak_bytes=peak, made_from=made_from)
        packs.write_manifest(fresh, manifest)
    return packs.read(folder)


def register(spec: ModelSpec) -> None:
    """Enter a model, whose pack lies in the cache, into the user's catalogue."""
    enter(spec)


def folder_of(name: str) -> Path:
    """Where the pack of a model of this name lies."""
    return home() / "packs" / name


def _inherited(license: LicenseSpec, base: str) -> LicenseSpec:  # noqa: A002
    return dataclasses.replace(license, note=f"started from {base}, which is under {license.weights}")
