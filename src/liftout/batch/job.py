"""What a batch is asked to do, and the outcome for each photo."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from liftout.errors import LiftoutError
from liftout.identity import NO_PIXELS, background_file, identity_of_cutouts, sha256_of
from liftout.images import FORMATS
from liftout.models.local import is_path
from liftout.models.resolve import locate
from liftout.options import ResultOptions, RunOptions
from liftout.prompts import NOTHING, Asked
from liftout.remedies import PYTHON, Terms

Status = Literal["done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One batch: where photos come from, where cutouts go, and how they are made. It is sent to every worker."""

    source: str
    """A folder or an fsspec URL."""
    target: str
    """A folder, or an fsspec URL of a store that can be written to."""
    result: ResultOptions = field(default_factory=ResultOptions)
    run: RunOptions = field(default_factory=RunOptions)
    asked: Asked = NOTHING
    """Prompts for every photo; those of `Batch(prompts=...)` for single photos go before them."""
    overwrite: bool = False
    """Replace files in the target that no batch made, and results that were made with other options or from another source."""
    retries: int = 2
    """How often a photo is retried after a failure of storage, network or a worker."""

    @property
    def suffix(self) -> str:
        """Suffix of the outputs' names, such as `.png`."""
        return FORMATS[self.result.format or "png"].suffix


@dataclass(frozen=True, kw_only=True)
class Item:
    """One photo to do. Paths are relative to source and target, with `/`."""

    path: str
    output: str
    size: int | None
    """Bytes of the photo; None where the store does not tell."""
    record: str
    """Path of its record in the journal, without the number of bytes at its end."""
    old_records: tuple[str, ...] = ()
    """Records of the output that will be replaced."""
    old_bytes: int | None = None
    """Bytes of the output that will be replaced; None where there is none."""
    several: bool = False
    """Whether each subject has an output of its own, of which `output` is the first."""
    old_further: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Numbers and records of the outputs after the first that will be replaced or removed."""
    asked: Asked | None = None
    """Prompts for this photo alone, in place of the job's."""
    asked_in: str = ""
    """The file and line that they are from."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome for one photo."""

    path: str
    output: str
    status: Status
    outputs: tuple[str, ...] = ()
    """All outputs, where each subject has its own."""
    failure: LiftoutError | None = None
    """Why it failed."""
    kind: str = ""
    """Name of the exception's class, where it failed."""
    tries: int = 1
    bytes_in: int = 0
    bytes_out: int = 0
    width: int = 0
    height: int = 0
    frames: int | None = None
    """Of a film, what was written of it."""
    subject: float | None = None
    """Mean alpha, 0..1: the share of the picture that the subject covers."""
    read_seconds: float = 0.0
    cut_seconds: float = 0.0
    write_seconds: float = 0.0
    worker: str = ""
    """Host and process that did it."""

    @property
    def error(self) -> str:
        """Why it failed, as one line; empty where it did not."""
        return " ".join(str(self.failure or "").split())

    def to_dict(self, terms: Terms = PYTHON) -> dict[str, Any]:
        """One line of the report as JSON; empty fields are left out. terms: how errors are said."""
        fields: dict[str, Any] = {"input": self.path, **vars(self)}
        del fields["path"], fields["failure"]
        if self.failure is not None:
            fields |= {"error": self.failure.line(terms), "kind": self.kind or type(self.failure).__name__}
        rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}
        return {key: value for key, value in rounded.items() if value not in ("", None, ())}


def further_output(first: str, number: int) -> str:
    """The path of a subject's own output, `a/cat-2.png`. first: of the first one, `a/cat-1.png`. number: 2 or more."""
    stem, _, suffix = first.rpartition("-1.")
    return f"{stem}-{number}.{suffix}"


def identity(job: Job) -> str:
    """A hash of everything that a cutout depends on besides the photo, see `liftout.identity`.

    Two batches with the same identity make the same files. Raises UnknownModel, ModelUnavailable.
    """
    return identity_of_cutouts(job.result, job.run, job.asked)


def choices(job: Job) -> dict[str, Any]:
    """The options that a result depends on, by name: the model, and every other one that is not at its default.

    Unlike `identity` it leaves out what a user does not choose: the content of the model's files and the facts about it.
    """
    chosen: dict[str, Any] = {}
    for options in (job.run, job.result):
        for item in dataclasses.fields(options):
            value = getattr(options, item.name)
            if item.name not in NO_PIXELS and value != item.default:
                chosen[item.name] = value
    chosen |= job.asked.described()
    chosen["model"] = locate(job.run.model).spec.name if is_path(job.run.model) else job.run.model
    if (background := background_file(job.result)) is not None:
        chosen["background_sha256"] = sha256_of(background)
    return chosen
