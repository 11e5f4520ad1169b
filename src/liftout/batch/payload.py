"""What a worker on another machine needs besides the job: files of the model and of the background."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from liftout.batch.job import Job, background_file, identity
from liftout.engines.choice import computes
from liftout.errors import ModelFileCorrupt, ModelUnavailable, UnknownModel
from liftout.home import home
from liftout.models.resolve import is_path, locate


@dataclass(frozen=True)
class Payload:
    """Files by their paths in LIFTOUT_HOME, and what a job with them must be."""

    files: dict[str, bytes]
    background: bytes | None
    background_name: str
    identity: str
    model: str = ""
    """The model's name."""
    pack: str = ""
    """Path in LIFTOUT_HOME of a pack that the job names by its folder; empty where it names a model."""


def pack_payload(job: Job) -> Payload:
    """Files that another machine may lack: of the model, unless it is built in, and the user's own catalogue.

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
    """The job as it can be run here: with the model and background that it was planned with, unpacked where they are not here.

    Raises ModelFileCorrupt where this machine's liftout has another built-in model.
    """
    if _same(job, payload):
        return job
    folder = Path(tempfile.mkdtemp(prefix="liftout-payload-"))
    if payload.background is not None:
        path = folder / payload.background_name
        path.write_bytes(payload.background)
        job = dataclasses.replace(job, result=dataclasses.replace(job.result, background=str(path)))
    if not _same(job, payload) and payload.files:
        for name, content in payload.files.items():
            path = folder / "home" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        os.environ["LIFTOUT_HOME"] = str(folder / "home")
        if payload.pack:
            job = dataclasses.replace(job, run=dataclasses.replace(job.run, model=str(folder / "home" / payload.pack)))
        os.environ["LIFTOUT_ACCEPT_LICENSE"] = payload.model  # who planned the batch has consented
        os.environ.pop("LIFTOUT_CATALOG", None)
    if not _same(job, payload):
        raise ModelFileCorrupt(
            f"{job.run.model}: this worker has another model of this name than the batch was planned with; "
            "install the same version of liftout on all machines"
        )
    return job


def _same(job: Job, payload: Payload) -> bool:
    try:
        return identity(job) == payload.identity
    except (ModelUnavailable, UnknownModel):
        return False
