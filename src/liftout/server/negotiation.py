"""The Accept header: which answer a caller prefers."""

from __future__ import annotations

from starlette.requests import Request

from liftout.images import FORMATS


def preferred_format(request: Request) -> str | None:
    """Name of the picture format that the Accept header prefers; None if it prefers something else."""
    by_mime = {kind.mime: kind.name for kind in FORMATS.values()}
    accepted = accepted_types(request)
    return by_mime.get(accepted[0]) if accepted else None


def accepted_types(request: Request) -> list[str]:
    """Media types of the Accept header, by descending weight."""
    ranked: list[tuple[float, str]] = []
    for item in request.headers.get("accept", "").split(","):
        kind, *parameters = [part.strip().lower() for part in item.split(";")]
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if kind and weight > 0:
            ranked.append((weight, kind))
    return [kind for _, kind in sorted(ranked, key=lambda entry: -entry[0])]
