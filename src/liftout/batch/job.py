"""What a batch is asked to do, and what becomes of each photo."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from liftout.compose.background import parse_blur, parse_colour
from liftout.engines.choice import computes
from liftout.images import FORMATS
from liftout.models.resolve import is_path, locate
from liftout.options import ResultOptions, RunOptions

Status = Literal["done", "failed"]

_NO_PIXELS = ("threads", "max_pixels")
"""Options that change no pixel of any result."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One batch: where photos come from, where cutouts go, and how they are made. Travels to every worker."""

    source: str
    """A folder or an fsspec URL."""
    target: str
    """A folder or an fsspec URL that can be written."""
    result: ResultOptions = field(default_factory=ResultOptions)
    run: RunOptions = field(default_factory=RunOptions)
    overwrite: bool = False
    """Replace files in the target that no batch made, and results that were made with other options."""
    retries: int = 2
    """How often a photo is tried again after a failure that is not its own: storage, network, a dead worker."""

    @property
    def suffix(self) -> str:
        """What the names of the outputs end in."""
        return FORMATS[self.result.format or "png"].suffix


@dataclass(frozen=True, kw_only=True)
class Item:
    """One photo that is to be done. Paths are relative to source and target, with `/`."""

    path: str
    output: str
    size: int | None
    """Bytes of the photo, where the store tells."""
    record: str
    """Path of its record in the journal, without the number of bytes that ends it."""
    stale: tuple[str, ...] = ()
    """Records of what the output holds so far."""
    held: int | None = None
    """Bytes of the output that is there so far."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a photo."""

    path: str
    output: str
    status: Status
    error: str = ""
    """One line for a person."""
    kind: str = ""
    """Class of the error."""
    tries: int = 1
    bytes_in: int = 0
    bytes_out: int = 0
    width: int = 0
    height: int = 0
    subject: float | None = None
    """Share of the picture that the subject covers, 0..1."""
    read_seconds: float = 0.0
    cut_seconds: float = 0.0
    write_seconds: float = 0.0
    worker: str = ""
    """Host and process that did it."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one line of the report; empty fields are left out."""
        held = {"input": self.path, **dataclasses.asdict(self)}
        del held["path"]
        shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in held.items()}
        return {key: value for key, value in shown.items() if value not in ("", None)}


def identity(job: Job) -> str:
    """A hash of everything but the photo that its cutout depends on: options, model facts, network files, background.

    Two batches with the same identity make the same files. `threads` and `max_pixels` are left out: they change no pixel.
    Raises UnknownModel, ModelUnavailable.
    """
    resolved, background = locate(job.run.model, job.run.precision, computes), background_file(job.result)
    run = {key: value for key, value in dataclasses.asdict(job.run).items() if key not in _NO_PIXELS}
    if is_path(job.run.model):
        run["model"] = resolved.spec.name  # not where its pack lies
    result = dataclasses.asdict(job.result)
    if background is not None:
        result["background"] = _sha256(background)  # its content counts, not where it lies
    facts = {
        "result": result,
        "run": run,
        "input": dataclasses.asdict(resolved.spec.input),
        "output": dataclasses.asdict(resolved.spec.output),
        "network": {path.name: _sha256(path) for path in _network_files(resolved.file.path)},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def choices(job: Job) -> dict[str, Any]:
    """The options that a result depends on, by name: the model, and every other one that is not at its default.

    Unlike `identity` it leaves out what a user does not choose: the content of the model's files and the facts about it.
    """
    chosen: dict[str, Any] = {}
    for options in (job.run, job.result):
        for item in dataclasses.fields(options):
            value = getattr(options, item.name)
            if item.name not in _NO_PIXELS and value != item.default:
                chosen[item.name] = value
    chosen["model"] = locate(job.run.model).spec.name if is_path(job.run.model) else job.run.model
    if (background := background_file(job.result)) is not None:
        chosen["background_sha256"] = _sha256(background)
    return chosen


def background_file(result: ResultOptions) -> Path | None:
    """The file that the background is, or None where it is a colour, a blur or nothing."""
    text = result.background
    if text is None or parse_blur(text) is not None or parse_colour(text) is not None or not Path(text).is_file():
        return None
    return Path(text)


def _network_files(network: Path) -> list[Path]:
    """The graph and the weights that lie beside it; the manifest is left out, as notes in it change no pixel."""
    beside = (path for path in network.parent.iterdir() if path.is_file() and path.suffix in (".bin", ".onnx", ".data"))
    return sorted({network, *beside})


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
