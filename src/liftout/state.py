"""Small facts that liftout keeps between runs, one JSON file each under `LIFTOUT_HOME/state`.

A home that cannot be written only means that the fact is found out again next time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liftout.errors import OutputError
from liftout.files import write_whole
from liftout.home import home

_logger = logging.getLogger("liftout")


def recall(*parts: str) -> dict[str, Any]:
    """The fact kept as `state/<parts>.json`; empty where there is none or it cannot be read."""
    try:
        kept = json.loads(place(*parts).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def keep(*parts: str, fact: Mapping[str, Any]) -> None:
    """Keep a fact as `state/<parts>.json`."""
    path = place(*parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(fact, indent=1) + "\n").encode(), overwrite=True)
    except (OSError, OutputError) as error:
        _logger.debug("%s is not kept: %s", path, error)


def forget(*parts: str) -> None:
    """Drop a fact."""
    place(*parts).unlink(missing_ok=True)


def place(*parts: str) -> Path:
    """Path of the fact kept under these names."""
    path = home() / "state"
    for part in parts:
        path /= part
    return path.with_name(f"{path.name}.json")
