"""The finished parts of a film that is being written, in a hidden folder beside it; a killed run goes on behind the last of them.

.clip-cutout.webm.<identity>.parts/
  00000.part   packets of some seconds of film (or a folder of pictures)
  00000.png    what prompts chose in the frame from which the next part goes on, where there are any
  00000.json   where it ends; written last, so that a part with it is whole

The name holds a hash of all that the result depends on: another film, model or option finds no parts of this one.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from liftout.errors import InputError, OutputError
from liftout.files import write_whole
from liftout.images import decode, encode, format_of

UInt8 = npt.NDArray[np.uint8]

_SUFFIX = ".parts"
_NAMED = 80
"""Characters of the target's name that the folder's name keeps: names have at most 255 bytes."""


@dataclass(frozen=True, kw_only=True)
class End:
    """Where a part ends. frames: of the film up to there. time: of its last frame, see `Frame`. context: the `origin` from which on
    frames are needed for those that follow. chosen: uint8 [H, W], what prompts chose in the frame there; None where nothing."""

    frames: int
    time: Fraction
    context: Fraction
    chosen: UInt8 | None = None


class Parts:
    """The folder of parts of one film. Only one process writes into it.

    with Parts(target, identity) as parts:
        partial = parts.begin()
        ...
        parts.finish(partial, End(...))
        join(parts.paths)
        parts.remove()
    """

    def __init__(self, target: Path, identity: str) -> None:
        """identity: a hash of everything that the film depends on. Raises OutputError where another process is at it."""
        self._target = target
        self.folder = target.with_name(f".{target.name[:_NAMED]}.{identity[:16]}{_SUFFIX}")
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", subject=target) from None
        self._lock = FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise OutputError("another process is writing it", subject=target, remedy="wait for it to end") from None
        self.paths: list[Path] = []
        self.end: End | None = None
        while (end := self._end_of(len(self.paths))) is not None:
            self.paths.append(self._path(len(self.paths)))
            self.end = end

    def begin(self) -> Path:
        """Where the next part is written to."""
        partial = self._path(len(self.paths))
        _remove(partial)
        return partial

    def finish(self, partial: Path, end: End) -> None:
        """Record that the part that was begun is whole."""
        fields: dict[str, object] = {"frames": end.frames, "time": str(end.time), "context": str(end.context)}
        _sync(partial)
        if end.chosen is not None:
            write_whole(partial.with_suffix(".png"), encode(end.chosen, format_of("png")), overwrite=True)
            fields["chosen"] = True
        write_whole(partial.with_suffix(".json"), json.dumps(fields).encode(), overwrite=True)
        self.paths.append(partial)
        self.end = end

    def remove(self) -> None:
        """Remove this folder and those that earlier calls with other options left for the same target."""
        self._lock.release()
        for folder in self._target.parent.glob(f".{glob.escape(self._target.name[:_NAMED])}.*{_SUFFIX}"):
            if folder == self.folder or not _in_use(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Leave the parts to the next call; nothing stays where none is finished."""
        self._lock.release()
        if not self.paths:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}.part"

    def _end_of(self, number: int) -> End | None:
        path = self._path(number)
        try:
            fields = json.loads(path.with_suffix(".json").read_bytes())
            chosen = decode(path.with_suffix(".png")).pixels[..., 0] if fields.get("chosen") else None
            end = End(
                frames=fields["frames"],
                time=Fraction(fields["time"]),
                context=Fraction(fields["context"]),
                chosen=None if chosen is None else np.ascontiguousarray(chosen),
            )
        except (OSError, ValueError, KeyError, InputError):
            return None
        return end if path.exists() else None


def _in_use(folder: Path) -> bool:
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a part is on the disk."""
    for file in path.iterdir() if path.is_dir() else (path,):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())
