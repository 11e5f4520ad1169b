"""The journal: which outputs are done, told from the names of small objects in the target.

Object stores neither rename nor append, and reading a million objects takes hours; listing them takes minutes. So each done
output has one record whose name says everything:

    .liftout/done/<folder of the output>/<output>-<made from>-<bytes>

`output` is a hash of the output's path, `made from` of the photo's path and signature and the job's identity, `bytes` the
output's size. An output is done when such a record is there and the output has that size. The content of a record is the
same in words, for people.

`.liftout/options.json` holds the options that the target's results are made with, so that a run with others is noticed.

A new output's record is written before the output: whatever moment the machine dies at, an output without a record was
not made here. Where an output is replaced, the old record goes last.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from liftout.batch.job import Item
from liftout.batch.storage import OWN, Storage

_DONE = f"{OWN}/done"
_OPTIONS = f"{OWN}/options.json"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})-(\d+)")


@dataclass(frozen=True)
class Record:
    """One record, from its name."""

    made_from: str
    bytes: int
    path: str
    """In the target."""


def records(target: Storage, folder: str) -> dict[str, list[Record]]:
    """The records of a folder's outputs, by the hash of the output."""
    base = _folder(folder)
    found: dict[str, list[Record]] = {}
    for name in target.listing(base).files:
        if match := _NAME.fullmatch(name):
            output, made_from, size = match.groups()
            found.setdefault(output, []).append(Record(made_from, int(size), f"{base}/{name}"))
    return found


def output_key(output: str) -> str:
    """The part of a record's name that stands for an output."""
    return _hash(output)[:16]


def made_from(path: str, signature: str, identity: str) -> str:
    """The part of a record's name that stands for photo and options."""
    return _hash(f"{path}\0{signature}\0{identity}")[:32]


def record_path(output: str, made: str) -> str:
    """A record's path, up to the number of bytes."""
    return f"{_folder(output.rpartition('/')[0])}/{output_key(output)}-{made}"


def recorded_options(target: Storage) -> dict[str, Any] | None:
    """The options that the target's results are made with, as `job.choices` gives them; None where no batch has said."""
    try:
        options = json.loads(target.read(_OPTIONS))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return options if isinstance(options, dict) else None


def record_options(target: Storage, options: dict[str, Any]) -> None:
    """Record the options that the target's results are made with from now on."""
    target.write(_OPTIONS, (json.dumps(options, indent=1, sort_keys=True) + "\n").encode())


def commit(target: Storage, item: Item, content: bytes) -> None:
    """Put an output and its record into the target, so that a crash between any two steps leaves no false record."""
    record = f"{item.record}-{len(content)}"
    if item.held == len(content):
        # The old output has the size that the new record would vouch for; it must not be taken for the new one.
        target.remove(item.output)
    words = {"input": item.path, "output": item.output, "bytes": len(content)}
    target.write(record, json.dumps(words).encode())
    target.write(item.output, content)
    for stale in item.stale:
        if stale != record:
            target.remove(stale)


def is_committed(target: Storage, item: Item) -> bool:
    """Whether the photo was done since the item was planned, such as by a worker that died before it could say so."""
    held = target.size(item.output)
    return held is not None and held != item.held and target.size(f"{item.record}-{held}") is not None


def _folder(folder: str) -> str:
    return f"{_DONE}/{folder}" if folder else _DONE


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
