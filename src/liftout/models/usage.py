"""What the cache holds, how much of the disk it takes, and what of it no longer serves."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from liftout.errors import ModelFileCorrupt, ModelMissing
from liftout.home import home
from liftout.models import hash_cache, packs
from liftout.models.catalog import all_models
from liftout.models.local import presence
from liftout.models.spec import ModelSpec

Kind = Literal["file", "pack", "unfinished", "other"]

FRESH_SECONDS = 3600
"""A download that grew within this time may still be arriving."""


@dataclass(frozen=True, kw_only=True)
class CacheItem:
    """One file or folder of the cache."""

    model: str
    kind: Kind
    path: Path
    bytes: int
    useless: str | None = None
    """Why it no longer serves; None where it does."""


def contents() -> list[CacheItem]:
    """Everything in the cache that takes room, by model, the largest first within one."""
    items = [*_files(), *_packs()]
    return sorted(items, key=lambda item: (item.model, -item.bytes, item.path))


def discard(item: CacheItem) -> int:
    """Delete it. Returns the bytes that were freed. Raises OSError."""
    if item.path.is_dir():
        for path in item.path.rglob("*"):
            hash_cache.drop(path)
        shutil.rmtree(item.path)
    else:
        item.path.unlink(missing_ok=True)
        item.path.with_name(f"{item.path.name}.json").unlink(missing_ok=True)
        hash_cache.drop(item.path)
    return item.bytes


def _files() -> Iterator[CacheItem]:
    specs = {spec.stored_as: spec for spec in all_models().values() if not spec.files_of}
    for folder in sorted((home() / "models").glob("*")):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        spec = specs.get(folder.name)
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.endswith(".partial.json"):
                continue
            unfinished = path.name.endswith(".partial")
            why = _why_unfinished(path) if unfinished else _why_useless(spec, path) if path.is_file() else None
            kind: Kind = "unfinished" if unfinished else "file" if path.is_file() else "other"
            yield CacheItem(model=folder.name, kind=kind, path=path, bytes=_size(path), useless=why)


def _why_unfinished(path: Path) -> str | None:
    if time.time() - path.stat().st_mtime < FRESH_SECONDS:
        return None
    return "a download that was not finished"


def _why_useless(spec: ModelSpec | None, path: Path) -> str | None:
    """Why a downloaded file no longer serves. Files of models that are in no catalogue now are the user's to judge."""
    if spec is None:
        return None
    file = next((item for item in spec.files if item.name == path.name), None)
    if file is None:
        return None if spec.added else "the catalogue names this file no longer"
    if file.bytes is not None and path.stat().st_size != file.bytes:
        return f"damaged: {path.stat().st_size} bytes, not {file.bytes}"
    if file.role == "checkpoint" and presence(spec) == "pack":
        return "it was converted, and the pack is here"
    if file.role == "onnx" and presence(spec) == "pack" and not spec.added:
        return "the pack is used instead"
    return None


def _packs() -> Iterator[CacheItem]:
    for folder in sorted((home() / "packs").glob("*")):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        why = None
        try:
            model = packs.read(folder).spec.stored_as
        except ModelMissing:
            model, why = folder.name, f"it holds no {packs.MANIFEST}, so nothing can use it"
        except ModelFileCorrupt:
            model, why = folder.name, "damaged"
        yield CacheItem(model=model, kind="pack", path=folder, bytes=_size(folder), useless=why)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
