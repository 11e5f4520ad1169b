"""What the processes of one server share: numbers on a board, and rate limits and counts of keys in a database.

Both lie in a folder that lives as long as the server. The board is a file of 64-bit numbers in memory, one row for each process,
which writes only its own row; a limit holds for the sum of all rows. A single process has a board of its own in memory.
"""

from __future__ import annotations

import mmap
import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

NUMBERS = ("pid", "running", "waiting", "body_bytes", "models", "connections")
"""Columns of the board."""
CALLERS = 10_000
"""Buckets that are kept; the ones used longest ago are dropped first."""

_ROW = 8 * len(NUMBERS)
_BUSY_SECONDS = 30
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS buckets (caller TEXT PRIMARY KEY, tokens REAL NOT NULL, updated REAL NOT NULL);
CREATE INDEX IF NOT EXISTS buckets_by_use ON buckets(updated);
CREATE TABLE IF NOT EXISTS requests (key TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""

Bucket: TypeAlias = tuple[float, float]
"""Tokens of a caller, and when there were so many."""


class Number:
    """A number of this process, and its sum over all processes of the server."""

    def __init__(self, cells: memoryview, row: int, column: int) -> None:
        self._cells = cells
        self._own = row * len(NUMBERS) + column
        self._column = column

    @property
    def own(self) -> int:
        """Of this process."""
        return int(self._cells[self._own])

    @own.setter
    def own(self, value: int) -> None:
        self._cells[self._own] = value

    @property
    def total(self) -> int:
        """Of all processes."""
        return sum(self._cells[self._column :: len(NUMBERS)])


class Board:
    """Numbers of all processes."""

    def __init__(self, cells: memoryview, row: int = 0) -> None:
        """cells: int64, a row of `NUMBERS` for each process. row: of this process."""
        self._cells = cells
        self._row = row

    @classmethod
    def alone(cls) -> Board:
        """The board of a single process."""
        return cls(memoryview(bytearray(_ROW)).cast("q"))

    @classmethod
    def open(cls, path: Path, row: int = 0) -> Board:
        """The board in a file that `write_board` has made."""
        with path.open("r+b") as file:
            return cls(memoryview(mmap.mmap(file.fileno(), 0)).cast("q"), row)

    def number(self, name: str) -> Number:
        """One of `NUMBERS`."""
        return Number(self._cells, self._row, NUMBERS.index(name))

    def pids(self) -> list[int]:
        """The processes that serve."""
        return [pid for pid in self._cells[NUMBERS.index("pid") :: len(NUMBERS)] if pid]

    def clear(self, row: int) -> None:
        """Forget what a process counted that has ended."""
        for cell in range(row * len(NUMBERS), (row + 1) * len(NUMBERS)):
            self._cells[cell] = 0


def write_board(path: Path, rows: int) -> None:
    """A file for a board of so many processes."""
    path.write_bytes(bytes(_ROW * rows))


class Tally(Protocol):
    """Rate limits of callers and requests of keys."""

    def change(self, caller: str, change: Callable[[Bucket | None], Bucket]) -> None:
        """Replace the bucket of a caller by what `change` makes of it, with no other change in between."""

    def count(self, key: str) -> None:
        """Count one request of a key."""

    def counted(self, key: str) -> int:
        """Requests of a key since the server started."""


class MemoryTally:
    """The tally of a single process."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._requests: Counter[str] = Counter()

    def change(self, caller: str, change: Callable[[Bucket | None], Bucket]) -> None:
        """See `Tally`."""
        self._buckets[caller] = change(self._buckets.pop(caller, None))
        while len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)

    def count(self, key: str) -> None:
        """See `Tally`."""
        self._requests[key] += 1

    def counted(self, key: str) -> int:
        """See `Tally`."""
        return self._requests[key]


class SharedTally:
    """The tally of several processes, in an SQLite database. Not for several threads."""

    def __init__(self, path: Path, *, callers: int = CALLERS) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._callers = callers
        self._changes = 0

    def change(self, caller: str, change: Callable[[Bucket | None], Bucket]) -> None:
        """See `Tally`."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            row = self._database.execute("SELECT tokens, updated FROM buckets WHERE caller = ?", (caller,)).fetchone()
            self._database.execute("REPLACE INTO buckets VALUES (?, ?, ?)", (caller, *change(row)))
        self._changes += 1
        if self._changes % (self._callers // 10) == 0:
            self._forget()

    def count(self, key: str) -> None:
        """See `Tally`."""
        self._database.execute(
            "INSERT INTO requests VALUES (?, 1) ON CONFLICT(key) DO UPDATE SET count = count + 1", (key,)
        )

    def counted(self, key: str) -> int:
        """See `Tally`."""
        row = self._database.execute("SELECT count FROM requests WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _forget(self) -> None:
        """Drop the buckets used longest ago; some more than `callers` may be there for a while."""
        self._database.execute(
            "DELETE FROM buckets WHERE caller IN (SELECT caller FROM buckets ORDER BY updated DESC LIMIT -1 OFFSET ?)",
            (self._callers,),
        )


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What a process shares with the others of its server. metrics: the folder of their metrics; None for a single process."""

    board: Board = field(default_factory=Board.alone)
    tally: Tally = field(default_factory=MemoryTally)
    metrics: Path | None = None

    @classmethod
    def open(cls, folder: Path, row: int) -> Shared:
        """Of the process with this row, in a folder that `write_shared` has prepared."""
        return cls(
            board=Board.open(folder / "board", row),
            tally=SharedTally(folder / "tally.sqlite"),
            metrics=folder / "metrics",
        )


def write_shared(folder: Path, processes: int) -> Board:
    """Prepare a folder for so many processes. Returns their board."""
    (folder / "metrics").mkdir()
    write_board(folder / "board", processes)
    SharedTally(folder / "tally.sqlite").close()
    return Board.open(folder / "board")
