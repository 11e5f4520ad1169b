"""One photo through several models, each in a process of its own, so that its memory is its own."""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image

from liftout import measure
from liftout.cli import fetching
from liftout.cli.contact_sheet import LabelledPicture, draw
from liftout.cli.terms import error_line
from liftout.errors import EngineError, ModelUnavailable
from liftout.images import decode
from liftout.models.local import ResolvedModel
from liftout.models.spec import ModelSpec
from liftout.options import RunOptions
from liftout.remover import Remover


def compare_models(
    photo: Path, specs: list[ModelSpec], *, accept_license: tuple[str, ...], quiet: bool
) -> tuple[bytes, bool]:
    """The sheet as a PNG, and whether a model failed. Raises InputError where the photo cannot be used."""
    original = decode(photo)
    height, width = original.size
    pictures = [
        LabelledPicture(picture=Image.fromarray(original.seen_by_network()), lines=(photo.name, f"{width} x {height}"))
    ]
    failed = False
    for spec in specs:
        try:
            pictures.append(_cut(photo, fetching.have(spec.name, accept_license=accept_license, quiet=quiet)))
        except (ModelUnavailable, EngineError) as error:
            click.echo(error_line(error), err=True)
            failed = True
    return draw(pictures), failed


def _cut(photo: Path, resolved: ResolvedModel) -> LabelledPicture:
    name = resolved.spec.name
    with Remover(name) as remover:
        picture = remover(photo).image
    options, _ = measure.automatic(resolved, RunOptions(model=name))
    figures = measure.run(options, [photo], repeats=1)
    if isinstance(figures, str):
        return LabelledPicture(picture=picture, lines=(name, figures))
    memory = f", {figures.peak_bytes / 1e6:.0f} MB of memory" if figures.peak_bytes else ""
    return LabelledPicture(picture=picture, lines=(name, f"{figures.photo_seconds:.2f} s{memory}"))
