"""The catalogue: one TOML file per family of models, read into frozen `ModelSpec`s.

Three layers, later ones over earlier ones: the files beside this module, the models that the user added
(`LIFTOUT_HOME/catalog`), and the folder named by `LIFTOUT_CATALOG`. A layer may hold whole entries or single keys of an
entry that exists; `like = "NAME"` starts from another entry. An entry that states no licence is the user's own (`added`).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liftout.errors import CatalogError, UnknownModel
from liftout.home import home
from liftout.models.spec import FileSpec, InputSpec, LicenseSpec, ModelSpec, OutputSpec
from liftout.remedies import ListModels

__all__ = ["FileSpec", "InputSpec", "LicenseSpec", "ModelSpec", "OutputSpec", "all_models", "find"]


def all_models() -> dict[str, ModelSpec]:
    """All models by name, in the order of the files. Raises CatalogError where a file is malformed."""
    entries, origins = _entries()
    return {name: _spec(name, entries, origins) for name in entries}


def find(name: str) -> ModelSpec:
    """The model called `name`. Raises UnknownModel, with the nearest right spelling; CatalogError where its entry is malformed."""
    entries, origins = _entries(name)
    if name in entries:
        return _spec(name, entries, origins)
    known, _ = _entries()
    folded = {key.lower().replace("_", "-"): key for key in known}
    near = difflib.get_close_matches(name.lower().replace("_", "-"), folded, n=1, cutoff=0.5)
    raise UnknownModel(
        "no model has this name",
        subject=name,
        remedy=(f"did you mean `{folded[near[0]]}`?", ListModels()) if near else ListModels(),
    )


def _entries(name: str | None = None) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The entries of all files by name, later layers over earlier ones, and where each stands.

    name: only the files that say something of this model and of those that it is like: parsing all takes longer than loading the built-in network.
    """
    texts = [(path, _text(path)) for folder in _layers() for path in sorted(folder.glob("*.toml"))]
    wanted: set[str] = set() if name is None else {name}
    while True:
        entries: dict[str, dict[str, Any]] = {}
        origins: dict[str, str] = {}
        for path, text in texts:
            if not wanted or any(each in text for each in wanted):
                _add(path, _parsed(path, text), entries, origins)
        parents = {str(entries[each]["like"]) for each in wanted if "like" in entries.get(each, {})}
        if parents <= wanted:
            return entries, origins
        wanted |= parents


def _add(path: Path, table: Mapping[str, Any], entries: dict[str, dict[str, Any]], origins: dict[str, str]) -> None:
    """Lay the entries of a file over those of earlier ones."""
    for name, entry in table.items():
        if not isinstance(entry, dict):
            raise CatalogError(f"`{name}` is not a table", subject=path.name, remedy=f"a model starts with [{name}]")
        if name not in entries and "family" not in entry:
            entry = {"family": path.stem, **entry}
        entries[name] = _merged(entries.get(name, {}), entry)
        origins[name] = f"{path.name}: {name}"


def _spec(name: str, entries: Mapping[str, dict[str, Any]], origins: Mapping[str, str]) -> ModelSpec:
    entry = _inherited(name, entries, ())
    return ModelSpec.from_dict({"added": _is_added(entry), **entry, "name": name}, where=origins[name])


def _is_added(entry: Mapping[str, Any]) -> bool:
    """Whether an entry that does not say so was written by the user: liftout's own entries state a licence. `models add` of
    0.1.0 copied the licence of the model that the file is like, and wrote this summary."""
    return "license" not in entry or str(entry.get("summary", "")).startswith("Added by you: ")


def _layers() -> list[Path]:
    layers = [Path(__file__).parent, home() / "catalog"]
    overlay = os.environ.get("LIFTOUT_CATALOG")
    if overlay:
        if not Path(overlay).is_dir():
            raise CatalogError(
                f"LIFTOUT_CATALOG={overlay} is not a folder", remedy="set it to one that holds .toml files"
            )
        layers.append(Path(overlay))
    return layers


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CatalogError(str(error), subject=path) from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(str(error), subject=path) from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        value_before = merged.get(key)
        merged[key] = (
            _merged(value_before, value) if isinstance(value_before, dict) and isinstance(value, dict) else value
        )
    return merged


def _inherited(name: str, entries: Mapping[str, dict[str, Any]], children: tuple[str, ...]) -> dict[str, Any]:
    entry = entries[name]
    parent = entry.get("like")
    if parent is None:
        return entry
    if parent not in entries or parent in (*children, name):
        raise CatalogError(f"like = {parent!r} names no other model", subject=name)
    own = {key: value for key, value in entry.items() if key != "like"}
    return _merged(_inherited(parent, entries, (*children, name)), own)
