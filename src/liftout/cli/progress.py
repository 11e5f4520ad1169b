"""Progress of downloads and conversions on standard error.

with shown() as progress:
    resolve("u2netp", progress=progress)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from liftout.progress import FETCH, Progress, unseen

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Progress]:
    """Progress on standard error: bytes, rate and time left on a terminal, else a line when a phase begins and when it ends.

    Nothing is shown before the first call, nor where `quiet` is set.
    """
    if quiet:
        yield unseen
    elif sys.stderr.isatty():
        with ExitStack() as stack:
            yield _Bars(stack)
    else:
        yield _Lines()


class _Bars:
    """A bar for each phase."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        if self._bars is None:
            self._bars = self._stack.enter_context(_columns())
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total, completed=done)
        self._bars.update(self._tasks[phase], completed=done, total=total)


def _columns() -> Bars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class ForBytes(ProgressColumn):
        """A column that only a fetch has a use for."""

        def __init__(self, column: DownloadColumn | TransferSpeedColumn) -> None:
            super().__init__()
            self._column = column

        def render(self, task: Task) -> Text:
            return self._column.render(task) if task.description.startswith(FETCH) else Text("")

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        ForBytes(DownloadColumn()),
        ForBytes(TransferSpeedColumn()),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        redirect_stdout=False,
    )


class _Lines:
    """Two lines for each phase."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._ended: set[str] = set()

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        if phase not in self._begun:
            self._begun.add(phase)
            size = f" ({total / 1e6:.1f} MB)" if total and phase.startswith(FETCH) else ""
            print(f"{phase}{size} ...", file=sys.stderr, flush=True)  # noqa: T201
        if total is not None and done >= total and phase not in self._ended:
            self._ended.add(phase)
            print(f"{phase}: done", file=sys.stderr, flush=True)  # noqa: T201
