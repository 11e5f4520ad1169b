"""What the subject of each photo of a batch is: `liftout batch --prompts FILE`.

The file names photos by their paths in the source, as the report does. It is a CSV file with a head, in which semicolons separate the
points of a cell,

    photo,keep,drop,box
    a/cat.jpg,"300,200; 310,220",,"5%,10%,60%,90%"

or has one JSON object on each line:

    {"photo": "a/cat.jpg", "keep": [[300, 200], "40%,25%"], "box": [10, 20, 300, 400]}
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from liftout.errors import InputError, UsageError
from liftout.options import PromptOptions
from liftout.prompts import Asked

PHOTO = "photo"
FIELDS = (PHOTO, *(field.name for field in dataclasses.fields(PromptOptions)))
_DELIMITERS = ",;\t"
_POINTS_APART = ";"


class PhotoPrompts:
    """The prompts of a file, by photo.

    prompts = PhotoPrompts(Path("prompts.csv"))
    prompts.of("a/cat.jpg")
    """

    def __init__(self, path: Path) -> None:
        """Read and check the file. Raises UsageError, which names the first line that is wrong."""
        self._name = str(path)
        self._lines: dict[str, tuple[int, str]] = {}
        """Number of the line and what it asks, as JSON, by photo: files of a million lines are held in memory."""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                self._read(file)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", subject=path) from None
        except UnicodeDecodeError:
            raise UsageError("is not text in UTF-8", subject=path) from None
        self._unseen = set(self._lines)

    def of(self, photo: str) -> Asked | None:
        """The prompts for a photo, by its path in the source; None where the file does not name it."""
        if photo not in self._lines:
            return None
        self._unseen.discard(photo)
        return Asked.of(**json.loads(self._lines[photo][1]))

    def place(self, photo: str) -> str:
        """The file and line that name a photo, for messages."""
        return f"{self._name}, line {self._lines[photo][0]}"

    def unseen(self) -> Iterator[tuple[str, InputError]]:
        """The photos that nobody has asked for, with what is wrong with their lines, in the order of the file."""
        for photo in sorted(self._unseen, key=lambda photo: self._lines[photo][0]):
            line = self._lines[photo][0]
            yield photo, InputError(f"line {line}: no photo of the source is called {photo}", subject=self._name)

    def _read(self, file: TextIO) -> None:
        first, wrong = None, 0
        for number, row in _rows(file):
            try:
                self._add(number, row)
            except UsageError as error:
                wrong += 1
                first = first or (number, error)
        if first is not None:
            number, cause = first
            more = f" (and {wrong - 1} more lines are wrong)" if wrong > 1 else ""
            what = f"{cause.field} {cause.problem}" if cause.field else cause.problem
            raise UsageError(f"line {number}: {what}{more}", subject=self._name, remedy=cause.remedy)

    def _add(self, number: int, row: dict[str, Any] | UsageError) -> None:
        if isinstance(row, UsageError):
            raise row
        for name in row:
            if name not in FIELDS:
                raise UsageError(f"`{name[:40]}` is no field", remedy=f"there are {', '.join(FIELDS)}")
        photo = row.pop(PHOTO, None)
        if not isinstance(photo, str) or not photo:
            raise UsageError("names no photo", remedy=f"give its path in the source as {PHOTO}")
        photo = str(PurePosixPath(photo))
        if photo in self._lines:
            raise UsageError(
                f"{photo} is on line {self._lines[photo][0]} already", remedy="put all of its points on one line"
            )
        asked = Asked.of(**{name: value for name, value in row.items() if value not in (None, "", [])})
        self._lines[photo] = number, json.dumps(asked.described())


def _rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any] | UsageError]]:
    """Number and fields of each line, or what is wrong with it."""
    is_json = file.read(1000).lstrip().startswith("{")
    file.seek(0)
    yield from _json_rows(file) if is_json else _csv_rows(file)


def _json_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any] | UsageError]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else UsageError("is not a JSON object")


def _csv_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any] | UsageError]]:
    delimiter = max(_DELIMITERS, key=file.readline().count)
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    head: list[str] | None = None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield reader.line_num, UsageError(f"is not CSV: {error}")
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if head is None:
            head = [cell.strip().lower() for cell in cells]
            if PHOTO not in head or len(set(head)) != len(head) or not set(head) <= set(FIELDS):
                yield (
                    reader.line_num,
                    UsageError("is not the head of a table of prompts", remedy=f"it must be {','.join(FIELDS)}"),
                )
                return
            continue
        yield reader.line_num, _csv_row(head, cells)


def _csv_row(head: list[str], cells: list[str]) -> dict[str, Any] | UsageError:
    if len(cells) != len(head):
        return UsageError(
            f"has {len(cells)} cells, and the head has {len(head)}", remedy='put points into quotes, as in "300,200"'
        )
    row: dict[str, Any] = {name: cell.strip() for name, cell in zip(head, cells, strict=True)}
    for name in ("keep", "drop"):
        if name in row:
            row[name] = [point.strip() for point in row[name].split(_POINTS_APART) if point.strip()]
    return row
