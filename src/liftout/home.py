"""Where liftout keeps what it downloaded and learned, and the small records in it.

LIFTOUT_HOME/
  models/<name>/      downloaded files of a model, as published
  packs/<pack>/       packs, converted here or downloaded
  catalog/<name>.toml models that the user added
  results/            finished cutouts of the server, with `liftout serve --cache`
  state/              records, one JSON file each: consents, precision checks, hashes of files that were read whole

A home that cannot be written only means that a record is found out again next time.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liftout.errors import OutputError
from liftout.files import write_whole

_logger = logging.getLogger("liftout")


def home() -> Path:
    """The cache folder: `LIFTOUT_HOME`, or the platform's own place for caches. It need not exist yet."""
    chosen = os.environ.get("LIFTOUT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("liftout", appauthor=False)


def read_record(*names: str) -> dict[str, Any]:
    """The record `state/<names>.json`; empty where there is none or it cannot be read."""
    try:
        record = json.loads(record_path(*names).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(*names: str, record: Mapping[str, Any]) -> None:
    """Write the record `state/<names>.json`, whole; a home that cannot be written is noted in the debug log."""
    path = record_path(*names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(record, indent=1) + "\n").encode(), overwrite=True)
    except (OSError, OutputError) as error:
        _logger.debug("%s cannot be written: %s", path, error)


def delete_record(*names: str) -> None:
    """Delete the record `state/<names>.json`, if it is there."""
    record_path(*names).unlink(missing_ok=True)


def record_path(*names: str) -> Path:
    """Path of the record of these names."""
    path = home().joinpath("state", *names)
    return path.with_name(f"{path.name}.json")
