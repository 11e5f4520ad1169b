"""Files that a worker on another machine needs besides the job: the model's and the background."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from liftout.batch.job import Job, identity
from liftout.engines.choice import computes
from liftout.errors import ModelFileCorrupt, ModelUnavailable, UnknownModel
from liftout.home import home
from liftout.identity import background_file
from liftout.models.local import is_path
from liftout.models.resolve import locate


@dataclass(frozen=True)
class Payload:
    """Files that travel with a job."""

    files: dict[str, bytes]
    """Content by path in LIFTOUT_HOME."""
    background: bytes | None
    background_name: str
    identity: str
    """`job.identity` of the job where it was planned; with the right files a worker gets the same."""
    model: str = ""
    """The model's name."""
    pack: str = ""
    """Path in LIFTOUT_HOME of a pack that the job names by its folder; empty where it names a model."""


def pack_payload(job: Job) -> Payload:
    """The files that another machine may lack: the model's, unless it is built in, and the user's own catalogue.

    Raises UnknownModel, ModelUnavailable.
    """
    resolved = locate(job.run.model, job.run.precision, computes)
    files: dict[str, bytes] = {}
    folder = resolved.file.path.parent
    pack = f"given/{folder.name}" if is_path(job.run.model) else ""
    if resolved.source != "built-in":
        place = pack or folder.relative_to(home()).as_posix()
        files = {f"{place}/{path.name}": path.read_bytes() for path in folder.iterdir() if path.is_file()}
    overlay = os.environ.get("LIFTOUT_CATALOG")
    for entries in [home() / "catalog", *([Path(overlay)] if overlay else [])]:
        files.update({f"catalog/{path.name}": path.read_bytes() for path in entries.glob("*.toml")})
    background = background_file(job.result)
    return Payload(
        files=files,
        background=background.read_bytes() if background else None,
        background_name=background.name if background else "",
        identity=identity(job),
        model=resolved.spec.name,
        pack=pack,
    )


def unpack_payload(job: Job, payload: Payload) -> Job:
    """The job as this machine can run it. Model and background are unpacked where this machine lacks them or has others.

    Raises ModelFileCorrupt where the result would still differ, as with another built-in model.
    """
    if _is_same(job, payload):
        return job
    folder = Path(tempfile.mkdtemp(prefix="liftout-payload-"))
    if payload.background is not None:
        path = folder / payload.background_name
        path.write_bytes(payload.background)
        job = dataclasses.replace(job, result=dataclasses.replace(job.result, background=str(path)))
    if not _is_same(job, payload) and payload.files:
        for name, content in payload.files.items():
            path = folder / "home" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        os.environ["LIFTOUT_HOME"] = str(folder / "home")
        if payload.pack:
            job = dataclasses.replace(job, run=dataclasses.replace(job.run, model=str(folder / "home" / payload.pack)))
        os.environ["LIFTOUT_ACCEPT_LICENSE"] = payload.model  # consent was given where the batch was planned
        os.environ.pop("LIFTOUT_CATALOG", None)
    if not _is_same(job, payload):
        raise ModelFileCorrupt(
            "this worker has a different model of this name than the batch was planned with",
            subject=job.run.model,
            remedy="install the same version of liftout on all machines",
        )
    return job


def _is_same(job: Job, payload: Payload) -> bool:
    try:
        return identity(job) == payload.identity
    except (ModelUnavailable, UnknownModel):
        return False
