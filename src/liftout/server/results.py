"""Finished cutouts on disk, so that the same photo with the same options is cut out once: `liftout serve --cache SIZE`.

A result is one file: a line of JSON with its facts and the SHA-256 of the picture, then the picture. Its name is the hash of
everything that the result depends on. The files used longest ago are deleted before all together exceed the size. Several servers
and processes may share the folder: the bytes of all files stand in one file, which is written under a lock.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from liftout import __version__
from liftout.images import FORMATS
from liftout.options import ResultOptions, RunOptions
from liftout.prompts import Asked
from liftout.render import Rendered
from liftout.server import archive

_KEEP = 0.9
"""Share of the size that is kept when files are deleted."""

_log = logging.getLogger("liftout.server")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One of several subjects. name: of its picture in the archive. box, subject: as of a `Result`, of this subject alone."""

    name: str
    box: tuple[int, int, int, int] | None
    subject: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished picture and what a caller is told about it. width, height: of the photo, upright. box: of the subject in the
    photo's pixels. subject: share of the photo, 0..1. layers: the subjects, the largest first, where each has a picture of its own; the
    content is then an archive of them, in the format that it has."""

    rendered: Rendered
    width: int
    height: int
    box: tuple[int, int, int, int] | None
    subject: float
    layers: tuple[Layer, ...] = ()

    @property
    def mime(self) -> str:
        """Media type of the content."""
        return archive.MIME if self.layers else self.rendered.format.mime


def result_key(
    model: str, run: RunOptions, options: ResultOptions, asked: Asked, *, kind: str | None, files: tuple[bytes, ...]
) -> str:
    """The hash of everything that a result depends on.

    model: `Service.model_identity`. kind: the format where the options name none. files: photo and background.
    """
    facts = [__version__, model, dataclasses.asdict(run), dataclasses.asdict(options), asked.described(), kind]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for content in files:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


class ResultCache:
    """A folder of results of at most `limit` bytes. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        from filelock import FileLock

        self._lock = FileLock(folder / "bytes.lock")
        self._recorded = folder / "bytes"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._record(sum(size for _, size, _ in self._files()))
        except OSError as error:
            _log.warning("results cannot be kept: %s", error.strerror)

    def get(self, key: str) -> Result | None:
        """The result of a key; None if it is not there or its file is damaged."""
        path = self._path(key)
        try:
            head, _, content = path.read_bytes().partition(b"\n")
            facts = json.loads(head)
            if hashlib.sha256(content).hexdigest() != facts.pop("sha256"):
                raise ValueError
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError):
            path.unlink(missing_ok=True)
            return None
        rendered = Rendered(content=content, format=FORMATS[facts.pop("format")], note=facts.pop("note"))
        layers = tuple(Layer(**{**layer, "box": _box(layer["box"])}) for layer in facts.pop("layers"))
        return Result(rendered=rendered, box=_box(facts.pop("box")), layers=layers, **facts)

    def put(self, key: str, result: Result) -> None:
        """Keep a result. A folder that cannot be written is noted in the log."""
        rendered = result.rendered
        facts = {
            "sha256": hashlib.sha256(rendered.content).hexdigest(),
            "format": rendered.format.name,
            "note": rendered.note,
            "width": result.width,
            "height": result.height,
            "box": result.box,
            "subject": result.subject,
            "layers": [vars(layer) for layer in result.layers],
        }
        content = json.dumps(facts).encode() + b"\n" + rendered.content
        if len(content) > self._limit:
            return
        path = self._path(key)
        partial = path.with_name(f"{path.name}.{os.urandom(4).hex()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)  # not synchronised: a file cut short by a power failure fails its hash
            with self._lock:
                total = self._total() + len(content)
                if total > self._limit:
                    total = self._shrink(spare=partial)
                partial.replace(path)
                self._record(total)
        except OSError as error:
            _log.warning("a result cannot be kept: %s", error.strerror)
            partial.unlink(missing_ok=True)

    def _total(self) -> int:
        """Bytes of all files, as last recorded."""
        try:
            return int(self._recorded.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return sum(size for _, size, _ in self._files())

    def _record(self, total: int) -> None:
        self._recorded.write_text(str(total), encoding="ascii")

    def _shrink(self, *, spare: Path) -> int:
        """Delete the files used longest ago, but not `spare`. Returns the bytes of the others."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._limit * _KEEP:
                break
            if path != spare:
                path.unlink(missing_ok=True)
                total -= size
        return total

    def _files(self) -> list[tuple[int, int, Path]]:
        """(time of last use, bytes, path) of each file."""
        files = []
        for path in self._folder.glob("*/*"):
            try:
                state = path.stat()
            except FileNotFoundError:  # another server deleted it
                continue
            files.append((state.st_mtime_ns, state.st_size, path))
        return files

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key


def _box(edges: list[int] | None) -> tuple[int, int, int, int] | None:
    if edges is None:
        return None
    left, top, right, bottom = edges
    return left, top, right, bottom
