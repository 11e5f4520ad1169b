"""Names by purpose: `best`, `people`, `products`, ... each a list of models in order, kept in `purposes.toml`.

    choice = choose("people")
    choice.spec.name, choice.explanation       the model, and a line about why it is that one

A purpose never fetches much unasked: what is here comes first, then what takes at most `UNASKED_BYTES`.
"""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from liftout.errors import UnknownModel
from liftout.home import delete_record, read_record, write_record
from liftout.models.catalog import all_models, find
from liftout.models.download import offline, sources_of
from liftout.models.licence import asks, names, remembered
from liftout.models.local import presence
from liftout.models.spec import FileSpec, ModelSpec

UNASKED_BYTES = 200_000_000
"""The largest download that a purpose starts; a larger model is pulled by its own name."""


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What people want a model for."""

    name: str
    summary: str
    models: tuple[str, ...]
    """In order, the best first."""
    last: str
    """What there is without a network."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The model that a purpose means on this machine now."""

    spec: ModelSpec
    fetches: int | None
    """Bytes that it would take to fetch; None where the model is here."""
    explanation: str
    """The model, why it, and how to have a better one, in one line."""
    notable: bool
    """Whether a person should read that: something is fetched, or no model for the purpose is available."""


@functools.cache
def purposes() -> dict[str, Purpose]:
    """All purposes by name."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        name: Purpose(name=name, summary=entry["summary"], models=tuple(entry["models"]), last=entry["last"])
        for name, entry in entries.items()
    }


def is_purpose(name: str) -> bool:
    """Whether a name is that of a purpose and of no model: a model that the user called so comes first."""
    return name in purposes() and name not in all_models()


def choose(
    name: str,
    *,
    accept_license: bool | Collection[str] = False,
    can_convert: bool = False,
    may_fetch: bool = True,
    is_here: Callable[[ModelSpec], bool] | None = None,
    unfit: Collection[str] = (),
) -> Choice:
    """What a purpose means on this machine now.

    accept_license: as `licence.consent` takes it. can_convert: whether checkpoints can be made into networks here. may_fetch:
    whether a model that is not here may be chosen. is_here: whether a model can be used at once; by default by the look of its
    files. unfit: models to leave out. Raises UnknownModel where there is no such purpose.
    """
    if name not in purposes():
        raise UnknownModel(f"no purpose is called `{name}`; there are {', '.join(purposes())}")
    purpose = purposes()[name]
    candidates = [find(model) for model in purpose.models if model not in unfit]
    allowed = [
        spec for spec in candidates if not asks(spec) or remembered(spec) or _license_accepted(spec, accept_license)
    ]
    here = is_here or _is_here
    ready = next((spec for spec in allowed if here(spec)), None)
    fetches = None
    if ready is None and may_fetch and not offline():
        sizes = {spec.name: fetch_bytes(spec, can_convert=can_convert) for spec in allowed}
        small = [spec for spec in allowed if (sizes[spec.name] or UNASKED_BYTES + 1) <= UNASKED_BYTES]
        ready = small[0] if small else None
        fetches = sizes[ready.name] if ready else None
    chosen = ready or find(purpose.last)
    return Choice(
        spec=chosen,
        fetches=fetches,
        explanation=_reason(purpose, chosen, fetches, allowed, can_convert=can_convert),
        notable=ready is None or fetches is not None,
    )


def fetch_bytes(spec: ModelSpec, *, can_convert: bool) -> int | None:
    """Bytes of the file that would be fetched for a model; None where nothing can be, or nobody knows how much it is.

    can_convert: whether checkpoints can be converted on this machine.
    """
    roles = ("checkpoint", "onnx") if can_convert else ("onnx",)
    for role in roles:
        for file in spec.files:
            if file.role == role and sources_of(spec, file) and not file.gated:
                return file.bytes or _about(spec, file)
    return None


def default_model(built_in: str) -> str:
    """The model that is meant where none is named: `LIFTOUT_MODEL`, what `liftout models use` set, or `built_in`."""
    chosen = os.environ.get("LIFTOUT_MODEL", "").strip() or read_record("default-model").get("model")
    return chosen if isinstance(chosen, str) and chosen else built_in


def use(name: str | None) -> None:
    """Make a model or a purpose this machine's default; None gives it back to the built-in one. Raises UnknownModel."""
    if name is None:
        delete_record("default-model")
        return
    if not is_purpose(name):
        find(name)
    write_record("default-model", record={"model": name})


def _is_here(spec: ModelSpec) -> bool:
    return presence(spec) not in (None, "damaged")


def _license_accepted(spec: ModelSpec, accept_license: bool | Collection[str]) -> bool:
    if isinstance(accept_license, bool):
        return accept_license
    return names(spec, accept_license) or names(spec, os.environ.get("LIFTOUT_ACCEPT_LICENSE", "").split(","))


def _about(spec: ModelSpec, file: FileSpec) -> int | None:
    """As much as the largest file of this role of the same architecture."""
    alike = [other for other in all_models().values() if other.architecture == spec.architecture]
    return max(
        (item.bytes for other in alike for item in other.files if item.bytes and item.role == file.role), default=None
    )


def _reason(
    purpose: Purpose, chosen: ModelSpec, fetches: int | None, allowed: list[ModelSpec], *, can_convert: bool
) -> str:
    how = f", which is fetched ({fetches / 1e6:.0f} MB)" if fetches else ""
    line = f"{purpose.name}: taking {chosen.name}{how}"
    better = allowed[0] if allowed and allowed[0].name != chosen.name else None
    if better is None or presence(better):
        return line
    size = fetch_bytes(better, can_convert=can_convert)
    if size is None:
        return line
    return f"{line}; the best for it is {better.name} ({size / 1e6:.0f} MB): liftout models pull {better.name}"
