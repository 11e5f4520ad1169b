"""The report: one line of JSON for each photo, written as photos are done."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from liftout.batch.job import Outcome
from liftout.batch.storage import Storage
from liftout.errors import OutputError
from liftout.remedies import PYTHON, Terms


class Report:
    """Lines of JSON in a file, on a stream, or in an object store, which gets them in one piece at the end.

    with Report("report.jsonl") as report:
        report.add(outcome)
    """

    def __init__(self, where: str | IO[str], terms: Terms = PYTHON) -> None:
        """where: a path, an fsspec URL, or an open text stream. terms: how errors are said. Raises OutputError where it cannot be written."""
        self._exit = ExitStack()
        self._terms = terms
        self._upload: tuple[Storage, str] | None = None
        if not isinstance(where, str):
            self._stream = where
            return
        if "://" in where:
            folder, _, name = where.rpartition("/")
            self._upload = (Storage(folder), name)
            self._stream = self._exit.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))  # noqa: SIM115 - the stack closes it
            return
        try:
            Path(where).parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._exit.enter_context(Path(where).open("w", encoding="utf-8"))  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", subject=where) from None

    def add(self, outcome: Outcome) -> None:
        """Write one line."""
        self._stream.write(json.dumps(outcome.to_dict(self._terms)) + "\n")
        if self._upload is None:
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._exit:
            if self._upload is not None:
                storage, name = self._upload
                self._stream.seek(0)
                storage.write(name, self._stream.read().encode())
