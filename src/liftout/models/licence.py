"""Consent to licences that restrict use: asked once, remembered under `LIFTOUT_HOME/state/consents`.

consent(find("rmbg-1.4"), accept=True)
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import UTC, datetime

from liftout.errors import LicenseNotAccepted
from liftout.home import read_record, write_record
from liftout.models.spec import ModelSpec


def consent(spec: ModelSpec, *, accept: bool | Collection[str] = False) -> None:
    """Go on if the model's licence asks for nothing or was accepted: now, in `LIFTOUT_ACCEPT_LICENSE`, or earlier.

    accept: whether it is accepted now, or names of models and licences that are.

    Raises LicenseNotAccepted.
    """
    if not asks(spec) or remembered(spec):
        return
    accepted = accept if isinstance(accept, bool) else names(spec, accept)
    if accepted or names(spec, os.environ.get("LIFTOUT_ACCEPT_LICENSE", "").split(",")):
        when = datetime.now(UTC).isoformat(timespec="seconds")
        write_record("consents", spec.name, record={"license": spec.license.weights, "accepted": when})
        return
    raise LicenseNotAccepted(
        f"{spec.name} is under the licence {spec.license.weights}"
        + (f" ({spec.license.url})" if spec.license.url else "")
        + f": no commercial use; if you accept it, give `--accept-license {spec.name}` once"
    )


def asks(spec: ModelSpec) -> bool:
    """Whether the licence asks for consent: it has a name and does not allow commercial use."""
    return not spec.license.commercial and spec.license.weights != "unknown"


def remembered(spec: ModelSpec) -> bool:
    """Whether this model's licence, under its present name, was accepted earlier."""
    return read_record("consents", spec.name).get("license") == spec.license.weights


def names(spec: ModelSpec, given: Collection[str]) -> bool:
    """Whether the model or its licence is among these names, in any case."""
    own = {spec.name.lower(), spec.stored_as.lower(), spec.license.weights.lower()}
    return any(name.strip().lower() in own for name in given)
