"""The journal: which outputs are done, read from the names of small files in the target.

Object stores cannot rename or append, and listing many objects is much faster than reading them. So each finished output has
one record, whose name says everything:

    .liftout/done/<folder of the output>/<output key>-<input key>-<bytes>[-<outputs>]

The output key is a hash of the output's path; the input key is a hash of the photo's path and signature and the job's identity;
`bytes` is the output's size. An output is done when it has such a record and the size that the record says. The content of a
record is JSON: source, input, output and size.

Where each subject has an output of its own, `cat-1.png` is the first and the others follow from its name. Every output has a record; that
of the first also says how many there are. The first is written last, so that it stands for all.

`.liftout/options.json` holds the options that the target's results are made with, so that a run with other options is noticed, and
`.liftout/sources.json` where their photos came from. Only where that is more than one place the content of records is read: it says
which of them a result is from.

The record of a new output is written before the output, so that after a crash at any moment an output without a record was not
made by a batch. Where an output is replaced, the old record is removed last.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftout.batch.job import Item, further_output
from liftout.batch.storage import OWN, Storage

_DONE = f"{OWN}/done"
_OPTIONS = f"{OWN}/options.json"
_SOURCES = f"{OWN}/sources.json"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})-(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Record:
    """One record, read from its name."""

    input_key: str
    bytes: int
    """Size of the output."""
    path: str
    """Path of the record in the target."""
    outputs: int = 1
    """How many outputs the photo has, where this is the record of the first."""


def records(target: Storage, folder: str) -> dict[str, list[Record]]:
    """The records of a folder's outputs, by output key."""
    base = _folder(folder)
    by_output: dict[str, list[Record]] = {}
    for name in target.listing(base).files:
        if match := _NAME.fullmatch(name):
            output, photo, size, outputs = match.groups()
            record = Record(photo, int(size), f"{base}/{name}", int(outputs or 1))
            by_output.setdefault(output, []).append(record)
    return by_output


def output_key(output: str) -> str:
    """The part of a record's name that identifies an output, from the output's path."""
    return _hash(output)[:16]


def input_key(path: str, signature: str, identity: str) -> str:
    """The part of a record's name that identifies what an output was made from.

    path, signature: of the photo, as the source lists it. identity: `job.identity`.
    """
    return _hash(f"{path}\0{signature}\0{identity}")[:32]


def record_path(output: str, photo: str) -> str:
    """A record's path, without the number of bytes at its end. output: path of the output. photo: its input key."""
    return f"{_folder(output.rpartition('/')[0])}/{output_key(output)}-{photo}"


def recorded_options(target: Storage) -> dict[str, Any] | None:
    """The options that the target's results are made with, as `job.choices` gives them; None where none are recorded."""
    try:
        options = json.loads(target.read(_OPTIONS))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return options if isinstance(options, dict) else None


def record_options(target: Storage, options: dict[str, Any]) -> None:
    """Record the options that the target's results are made with from now on."""
    target.write(_OPTIONS, (json.dumps(options, indent=1, sort_keys=True) + "\n").encode())


def recorded_sources(target: Storage) -> list[str]:
    """The places (`Storage.place`) that the photos of the target's results came from, as far as they are recorded."""
    try:
        sources = json.loads(target.read(_SOURCES))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
    return [source for source in sources if isinstance(source, str)] if isinstance(sources, list) else []


def record_sources(target: Storage, sources: list[str]) -> None:
    """Record the places that the photos of the target's results came from."""
    target.write(_SOURCES, (json.dumps(sources, indent=1) + "\n").encode())


def origin(target: Storage, record: Record) -> tuple[str, str]:
    """The photo's path and the place of its source that a record tells; empty where it does not."""
    try:
        facts = json.loads(target.read(record.path))
    except (FileNotFoundError, ValueError):
        return "", ""
    return str(facts.get("input", "")), str(facts.get("source", ""))


def commit(target: Storage, item: Item, content: bytes | Path, *, source: str, further: Sequence[bytes] = ()) -> None:
    """Write a photo's output and its record, so that a crash between any two steps leaves no wrong record.

    source: the place (`Storage.place`) of the photo's source. Raises OSError, or what the target's store raises.
    item: what was planned. content: bytes of the output, or a file of this machine that becomes it. further: of the outputs after it, where each subject has its own.
    """
    facts: dict[str, Any] = {"source": source, "input": item.path}
    for number, more in enumerate(further, 2):
        _commit_further(target, item, number, more, facts)
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    record = f"{item.record}-{size}" + (f"-{1 + len(further)}" if item.several else "")
    if item.old_bytes == size:
        # The old output has the size that the new record will say; it must not be taken for the new output.
        target.remove(item.output)
    facts |= {"output": item.output, "bytes": size}
    target.write(record, json.dumps(facts).encode())
    if isinstance(content, Path):
        target.put(item.output, content)
    else:
        target.write(item.output, content)
    for old in item.old_records:
        if old != record:
            target.remove(old)
    for number, records_of_it in item.old_further:
        if number > 1 + len(further):
            target.remove(further_output(item.output, number))
            for old in records_of_it:
                target.remove(old)


def _commit_further(target: Storage, item: Item, number: int, content: bytes, facts: dict[str, Any]) -> None:
    """Write an output after the first, and its record. Those that it replaces lose their records before."""
    output = further_output(item.output, number)
    record = f"{record_path(output, item.record.rpartition('-')[2])}-{len(content)}"
    target.write(record, json.dumps({**facts, "output": output, "bytes": len(content)}).encode())
    for old in dict(item.old_further).get(number, ()):
        if old != record:
            target.remove(old)
    target.write(output, content)


def is_committed(target: Storage, item: Item) -> bool:
    """Whether the photo was done since the item was planned, as by a worker that crashed before it could report."""
    size = target.size(item.output)
    if size is None or size == item.old_bytes:
        return False
    if not item.several:
        return target.size(f"{item.record}-{size}") is not None
    own = records(target, item.output.rpartition("/")[0]).get(output_key(item.output), [])
    return any(record.bytes == size and record.path.startswith(f"{item.record}-") for record in own)


def _folder(folder: str) -> str:
    return f"{_DONE}/{folder}" if folder else _DONE


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
