"""Films in, films out: every frame cut out, and the alphas kept steady along the motion. The extra is `video`.

with liftout.video.open("clip.mp4") as clip:
    for frame in clip.cut():
        frame.alpha, frame.time

source     what can be read: film (PyAV), pictures (GIF, WebP, APNG), raw (pipes)
colour     between frames and RGB: matrix and range
pace       start, end and frames a second
views      what the network is shown of each frame
alphas     frames to alphas, without computing a frame twice
prompts    points and boxes at times
follow     a choice of the subject, through the clip
motion     optical flow on a small copy
steady     alphas corrected by their neighbours in time
look       what is written of a frame: cutout, matte, colours, background
targets    what can be written: facts by suffix
encode     frames to packets
parts      finished parts of a film, for runs that were killed
join       parts and sound into one file
clip       `Clip`, from a source to its cutouts
write      a clip into a file or a folder
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from liftout.options import DEFAULT_MAX_PIXELS, VideoOptions

if TYPE_CHECKING:
    from liftout.options import Edges, EngineName, Precision
    from liftout.remover import Remover
    from liftout.video.clip import Clip, CutFrame

__all__ = ["Clip", "CutFrame", "VideoOptions", "open"]


@contextmanager
def open(  # noqa: A001 - as in gzip.open
    path: str | os.PathLike[str],
    model: str | Remover | None = None,
    *,
    steady: float = 1.0,
    start: float | str | None = None,
    end: float | str | None = None,
    fps: float | None = None,
    size: str | None = None,
    keep: Iterable[str] = (),
    drop: Iterable[str] = (),
    box: Iterable[str] = (),
    edges: Edges = "auto",
    engine: EngineName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    accept_license: bool = False,
) -> Iterator[Clip]:
    """Open a film, or an animated GIF, WebP or PNG, to cut it out.

    model: as for `Remover`, or one that is loaded (its own edges hold, and it stays open). steady: how far alphas are corrected by those
    of the frames around, 0 to 1. start, end: seconds, or as H:MM:SS. fps: frames a second; by default every frame at its
    own time. size: `1280x720`, `1280x` or `x720`. keep, drop, box: points and boxes that choose the subject, each with the time of the
    frame that it is seen in, as in `12.5s:300,200`; without a time, the first frame. The other options are those of `Remover`.
    Raises ClipUnreadable, ImageTooLarge, UsageError, ExtraMissing, and what `Remover` raises.
    """
    from liftout.video.library import require

    require()
    from liftout.remover import Remover
    from liftout.video.clip import open_clip

    options = VideoOptions(
        steady=steady,
        start=_time(start),
        end=_time(end),
        fps=fps,
        size=size,
        keep=tuple(keep),
        drop=tuple(drop),
        box=tuple(box),
    )
    if isinstance(model, Remover):
        with open_clip(path, model, options, max_pixels=max_pixels) as clip:
            yield clip
        return
    with (
        Remover(
            model,
            engine=engine,
            device=device,
            precision=precision,
            threads=threads,
            edges=edges,
            max_pixels=max_pixels,
            accept_license=accept_license,
        ) as remover,
        open_clip(path, remover, options, max_pixels=max_pixels) as clip,
    ):
        yield clip


def _time(value: float | str | None) -> str | None:
    return value if isinstance(value, str) or value is None else f"{value:f}"


def __getattr__(name: str) -> object:
    """Load `Clip` and `CutFrame` on first use: they need the extra."""
    if name not in ("Clip", "CutFrame"):
        raise AttributeError(f"module `liftout.video` has no attribute `{name}`")
    from liftout.video.library import require

    require()
    from liftout.video import clip

    return getattr(clip, name)
