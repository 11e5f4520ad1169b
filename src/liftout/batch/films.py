"""Films of a batch: `a/clip.mp4` becomes `a/clip.webm`, VP9 with alpha, as `liftout video` makes it.

A film is read and written in parts, never whole in memory. On a disk the parts are in the target's `.liftout/films`, so that a batch
that was killed goes on in the middle of a film; for an object store they are in a temporary folder of the worker.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from liftout.batch.job import Item, Job
from liftout.batch.storage import OWN, Storage
from liftout.errors import ClipUnreadable, UsageError
from liftout.files import make_folder
from liftout.options import ResultOptions, VideoOptions
from liftout.prompts import Asked
from liftout.remover import Remover
from liftout.video.library import FILM_SUFFIXES, installed, require

SUFFIX = ".webm"
_FOLDER = f"{OWN}/films"
_FOR_PHOTOS = ("crop", "canvas", "shadow", "contact_shadow")
"""Options that follow the subject, so that a film would shake."""


@dataclass(frozen=True, kw_only=True)
class MadeFilm:
    """path: of the result, on this machine. facts: for `Outcome`. damage: what of the film could not be read."""

    path: Path
    facts: dict[str, Any]
    damage: str


def is_film(path: str) -> bool:
    """Whether a file is a film, by its name."""
    return PurePosixPath(path).suffix.lower() in FILM_SUFFIXES


def suffixes(job: Job) -> tuple[str, ...]:
    """Suffixes of the films that a job takes without being told by a pattern: none without the extra `video`, and none where an option
    holds for photos alone."""
    return FILM_SUFFIXES if installed() and not _for_photos(job.result) else ()


def cut(item: Item, remover: Remover, job: Job, asked: Asked, source: Storage, target: Storage) -> MadeFilm:
    """Cut out a film into a file of this machine; `clear` removes it where nobody moves it away.

    asked: prompts at the film's beginning. Raises ClipUnreadable, ExtraMissing, OutputError, UsageError.
    """
    require()
    from liftout.video.clip import open_clip
    from liftout.video.write import write

    if option := _for_photos(job.result):
        raise UsageError("holds for photos, not for films", field=option, remedy="choose the photos by a pattern")
    said = asked.described()
    options = VideoOptions(
        keep=tuple(said.get("keep", ())),
        drop=tuple(said.get("drop", ())),
        box=(said["box"],) if "box" in said else (),
    )
    path = _place(item, target)
    with (
        _named(item.path),
        _on_disk(source, item.path) as film,
        open_clip(film, remover, options, max_pixels=job.run.max_pixels) as clip,
    ):
        written = write(clip, path, job.result, overwrite=True, identity=_key(item))
        height, width = clip.facts.size
        facts = {
            "width": width,
            "height": height,
            "frames": written.frames,
            "bytes_in": film.stat().st_size,
            "bytes_out": path.stat().st_size,
        }
    return MadeFilm(path=path, facts=facts, damage=written.damage)


def clear(target: Storage, path: Path) -> None:
    """Remove what is left of a film that was written, or could not be. path: of the result on this machine."""
    path.unlink(missing_ok=True)
    if target.on_disk is None:
        shutil.rmtree(path.parent, ignore_errors=True)


def _for_photos(result: ResultOptions) -> str:
    """The name of an option that holds for photos alone; empty where there is none."""
    if result.subjects == "each":
        return "subjects"
    return next((name for name in _FOR_PHOTOS if getattr(result, name)), "")


def _key(item: Item) -> str:
    """A hash of output, film and all options, from its record."""
    return hashlib.sha256(item.record.encode()).hexdigest()


def _place(item: Item, target: Storage) -> Path:
    """Where the film is made: the same place in each run, where the target is on a disk."""
    if target.on_disk is None:
        return Path(tempfile.mkdtemp(prefix="liftout-film-")) / f"film{SUFFIX}"
    folder = target.on_disk / _FOLDER
    make_folder(folder)
    return folder / f"{_key(item)[:16]}{SUFFIX}"


@contextmanager
def _on_disk(source: Storage, path: str) -> Iterator[Path]:
    """A film's file on this machine, copied where it is somewhere else."""
    if source.on_disk is not None:
        yield source.on_disk / path
        return
    with tempfile.TemporaryDirectory(prefix="liftout-film-") as folder:
        local = Path(folder) / f"film{PurePosixPath(path).suffix}"
        source.fetch(path, local)
        yield local


@contextmanager
def _named(path: str) -> Iterator[None]:
    """What cannot be read is called by its path in the source, not by that of a copy."""
    try:
        yield
    except ClipUnreadable as error:
        raise ClipUnreadable(error.problem, subject=path, remedy=error.remedy) from None
