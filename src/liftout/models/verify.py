"""Read what is here of a model, compare it with its hashes, and discard what is damaged."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from liftout.errors import LiftoutError, ModelFileCorrupt, ModelMissing
from liftout.models import cache, packs
from liftout.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file or a pack of a model that is here."""

    label: str
    path: Path
    wrong: LiftoutError | None
    """What is wrong with it; None where it is whole."""


def check(spec: ModelSpec, *, trust_stamp: bool = False) -> list[Part]:
    """Everything of the model that is here, read and compared with its hashes.

    trust_stamp: whether files that are unchanged since they were last read whole are not read again.
    """
    parts = []
    wrong: LiftoutError | None
    for folder in cache.packs_of(spec):
        wrong = None
        try:
            cache.check_pack(packs.read(folder), model=spec.name, trust_stamp=trust_stamp)
        except (ModelFileCorrupt, ModelMissing) as error:
            wrong = error
        parts.append(Part(label=f"pack {folder.name}", path=folder, wrong=wrong))
    for file in spec.files:
        wrong = None
        try:
            if cache.present(spec, file, trust_stamp=trust_stamp) is None:
                continue
        except ModelFileCorrupt as error:
            wrong = error
        parts.append(Part(label=file.name, path=cache.path_of(spec, file), wrong=wrong))
    return parts


def discard(part: Part) -> None:
    """Delete one part."""
    if part.path.is_dir():
        shutil.rmtree(part.path)
    else:
        part.path.unlink(missing_ok=True)
