"""From a cutout to the file that a caller asked for: the one place where `ResultOptions` take effect."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from liftout.cutout import Cutout
from liftout.errors import UsageError
from liftout.images import ImageInput, encode, format_of
from liftout.images.encode import Format
from liftout.options import CANVAS_DPI, ResultOptions, canvas_position, canvas_size, is_in_millimetres

_SHADOW = 0.5
_CONTACT_SHADOW = 0.6
"""Opacity of each where it is darkest; the browser's are the same."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A finished picture file."""

    content: bytes
    format: Format
    note: str = ""
    """What the caller should know, such as a background that nobody asked for; empty where there is nothing."""


def render(
    cutout: Cutout,
    options: ResultOptions,
    *,
    format: str | None = None,  # noqa: A002
    background: ImageInput | None = None,
) -> Rendered:
    """A cutout as a file, as `options` say.

    format: name or file name, used where the options name none; png by default. background: a picture in the place of
    `options.background`, for callers that have it in memory.
    Raises UsageError for a background that is neither colour nor image and for `subjects="each"`, which is for `render_each`; OutputError
    where the format cannot hold the picture.
    """
    kind = format_of(options.format or format or "png")
    composed = compose(cutout, options)
    if options.mask:
        content = encode(composed.alpha, kind, quality=options.quality, dpi=composed.photo.dpi)
        return Rendered(content=content, format=kind)
    behind = options.background if background is None else background
    content = composed.to_bytes(kind.name, quality=options.quality, background=behind)
    note = ""
    if behind is None and not kind.alpha:
        note = f"{kind.name} has no transparency: placed over white; a background option chooses another"
    return Rendered(content=content, format=kind, note=note)


def render_each(
    cutout: Cutout,
    options: ResultOptions,
    *,
    format: str | None = None,  # noqa: A002
    background: ImageInput | None = None,
    subjects: Iterable[Cutout] | None = None,
) -> Iterator[tuple[Cutout, Rendered]]:
    """The files that `options` ask for, each with what it was made of, a part of `cutout`: one for each subject where they are to be
    apart, the largest first, else one alone. Where there is no subject, the empty cutout is the only one.

    format, background: as for `render`. subjects: what the parts are; by default those of `Cutout.subjects`. Raises what `render` raises.
    """
    if options.subjects != "each":
        yield cutout, render(cutout, options, format=format, background=background)
        return
    alone = replace(options, subjects="all")
    parts = iter(cutout.subjects() if subjects is None else subjects)
    first = next(parts, cutout)
    for part in itertools.chain([first], parts):
        yield part, render(part, alone, format=format, background=background)


def compose(cutout: Cutout, options: ResultOptions) -> Cutout:
    """The cutout with its metadata reduced, its alpha edited, a shadow, and cropped or placed on a canvas, in this order, as
    `options` say. Raises what the methods of Cutout raise."""
    if options.metadata != "keep":
        cutout = cutout.without_metadata() if options.metadata == "none" else cutout.without_location()
    if options.subjects == "each":
        raise each_is_several()
    if options.subjects != "all":
        cutout = cutout.largest(1 if options.subjects == "largest" else options.subjects)
    if options.fill_holes:
        cutout = cutout.without_holes()
    if options.threshold is not None:
        cutout = cutout.threshold(options.threshold)
    if options.feather:
        cutout = cutout.feather(options.feather)
    if options.shadow or options.contact_shadow:
        cutout = cutout.shadow(
            opacity=_SHADOW if options.shadow else 0, contact=_CONTACT_SHADOW if options.contact_shadow else 0
        )
    if options.canvas is not None:
        width, height = canvas_size(options.canvas)
        cutout = cutout.canvas(
            width,
            height,
            position=canvas_position(options.position),
            margin=options.margin,
            enlarge=options.enlarge,
            fill=options.subject_size / 100,
        )
        return cutout.at_resolution(CANVAS_DPI) if is_in_millimetres(options.canvas) else cutout
    return cutout.crop(options.margin) if options.crop else cutout


def each_is_several() -> UsageError:
    """The error to raise where there is room for one picture and each subject was to have its own."""
    return UsageError(
        "is each, which gives a picture of each subject, and there can be only one here",
        field="subjects",
        remedy="give all, largest or a number",
    )
