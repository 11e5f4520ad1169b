"""`remove`: one photo in one call. What it needs is imported when it is called, so that a script which may not call it starts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftout.options import DEFAULT_MAX_PIXELS, DEFAULT_MODEL, Edges, EngineName, Precision, RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from liftout.cutout import Cutout
    from liftout.images import ImageInput
    from liftout.prompts import AlphaInput, BoxInput, PointInput


def remove(
    image: ImageInput,
    model: str | None = None,
    *,
    engine: EngineName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    edges: Edges = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    accept_license: bool = False,
    keep: Iterable[PointInput] | str = (),
    drop: Iterable[PointInput] | str = (),
    box: BoxInput | None = None,
    start: AlphaInput | None = None,
) -> Cutout:
    """Cut out one photo. The last two models stay loaded; use a `Remover` to decide that yourself.

        remove("photo.jpg").save("cutout.png")

    Options and errors are those of `Remover`, prompts those of a call of it.
    """
    from liftout.models.catalog import find
    from liftout.models.licence import consent
    from liftout.models.local import is_path
    from liftout.models.purposes import default_model
    from liftout.remover import models

    model = default_model(DEFAULT_MODEL) if model is None else model
    options = RunOptions(
        model=model,
        edges=edges,
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        max_pixels=max_pixels,
    )
    if accept_license and not is_path(model):
        consent(find(model), accept=True)
    with models.using(options) as remover:
        return remover(image, keep=keep, drop=drop, box=box, start=start)
