"""Consent to licences that restrict use or are unknown: asked once, remembered under `LIFTOUT_HOME/state/consents`.

consent(find("rmbg-1.4"), accept=True)
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import UTC, datetime

from liftout.errors import LicenseNotAccepted
from liftout.home import read_record, write_record
from liftout.models.spec import LicenseSpec, ModelSpec
from liftout.remedies import AcceptLicense


def consent(spec: ModelSpec, *, accept: bool | Collection[str] = False) -> None:
    """Return where the model's licence asks for nothing or was accepted: now, in `LIFTOUT_ACCEPT_LICENSE`, or earlier.

    accept: whether it is accepted now, or names of models and licences that are.

    Raises LicenseNotAccepted. The browser follows the same rule and says the same: `tests/vectors/licence.json`.
    """
    if not asks(spec) or remembered(spec):
        return
    accepted = accept if isinstance(accept, bool) else names(spec, accept)
    if accepted or names(spec, os.environ.get("LIFTOUT_ACCEPT_LICENSE", "").split(",")):
        when = datetime.now(UTC).isoformat(timespec="seconds")
        write_record("consents", spec.name, record={"license": spec.license.weights, "accepted": when})
        return
    raise LicenseNotAccepted(_problem(spec), subject=spec.name, remedy=AcceptLicense(spec.name))


def asks(spec: ModelSpec) -> bool:
    """Whether the model asks for consent: its licence does not allow commercial use, or is unknown. Models that the user
    added never ask."""
    return not spec.license.commercial and not spec.added


def is_unknown(spec: ModelSpec) -> bool:
    """Whether nobody states what may be done with the weights."""
    return spec.license.weights == "unknown" and not spec.license.commercial


def stated(name: str | None) -> LicenseSpec:
    """The licence that a user states for a model of theirs, by its SPDX name; unknown where they state none.

    Whether it allows commercial use is known for the common free licences; of others it is taken not to.
    """
    if name is None or not name.strip():
        return LicenseSpec()
    free = name.strip().lower().startswith(_FREE) and "-nc" not in name.lower()
    return LicenseSpec(code=name.strip(), weights=name.strip(), commercial=free)


_FREE = (
    "0bsd", "agpl-", "apache-", "bsd-", "bsl-1", "cc0-", "cc-by-", "gpl-", "isc", "lgpl-", "mit", "mpl-", "unlicense", "zlib",
)  # fmt: skip


def _problem(spec: ModelSpec) -> str:
    if is_unknown(spec):
        return "licence unknown; its authors do not say whether its weights may be used commercially"
    url = f" ({spec.license.url})" if spec.license.url else ""
    return f"the licence of its weights, {spec.license.weights}{url}, does not allow commercial use"


def remembered(spec: ModelSpec) -> bool:
    """Whether this model's licence, under its present name, was accepted earlier."""
    return read_record("consents", spec.name).get("license") == spec.license.weights


def names(spec: ModelSpec, accepted: Collection[str]) -> bool:
    """Whether the model or its licence is among these names, in any case.

    accepted: names of models or licences.
    """
    own = {spec.name.lower(), spec.stored_as.lower(), spec.license.weights.lower()}
    return any(name.strip().lower() in own for name in accepted)
