"""Progress on standard error: bars on a terminal, a few lines elsewhere.

with shown() as progress:
    resolve(find("u2netp"), progress=progress)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from liftout.cli.terminal import Printer, printable
from liftout.progress import FETCH, Progress, unseen

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_SECONDS = 30.0
"""Where there is no terminal, a long phase prints a line this often."""


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Progress]:
    """Progress of downloads and conversions, phase by phase.

    On a terminal each phase has a bar with the time left, a download its bytes and rate too. Elsewhere a line is printed when a
    phase begins and ends, and every `LINE_SECONDS` of a long one. Nothing is shown before the first call, nor where `quiet` is set.
    """
    if quiet:
        yield unseen
    elif sys.stderr.isatty():
        with ExitStack() as stack:
            yield _Bars(stack)
    else:
        yield _Lines()


@contextmanager
def photo_progress(*, total: int | None = None, quiet: bool = False) -> Iterator[Printer]:
    """A printer for a command that works through photos. On a terminal it shows a bar with the rate and the time left.

    total: photos, where they are known before the work begins. quiet: never show a bar.
    """
    if quiet or not sys.stderr.isatty():
        yield Printer()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("cutting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:
        yield _BarPrinter(bars, bars.add_task("photos", total=total, rate="", left=""))


class _BarPrinter(Printer):
    """Prints lines above a progress bar on standard error, which is a terminal."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars, self._task = bars, task
        self._started, self._ended = time.monotonic(), 0

    def out(self, text: str) -> None:
        if sys.stdout.isatty():  # the same terminal, where a line of its own would run into the bar
            self.err(text)
        else:
            super().out(text)

    def err(self, text: str) -> None:
        self._bars.console.print(printable(text), soft_wrap=True, markup=False, highlight=False, emoji=False)

    def advance(self, *, total: int | None, complete: bool = True) -> None:
        self._ended += 1
        seconds = time.monotonic() - self._started
        left = "" if total is None else f"{_left(seconds, self._ended, total)}{'' if complete else '+'} left"
        rate = f"{self._ended / max(seconds, 1e-6):.1f}/s"
        self._bars.update(self._task, completed=self._ended, total=total, rate=rate, left=left)


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
            self._tasks[phase] = self._bars.add_task(phase, total=total, completed=done, first=done)
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

    class RemainingTime(TimeRemainingColumn):
        """Time left. A step of a conversion may take longer than the half minute over which Rich measures a rate, so theirs
        comes from all steps so far."""

        def render(self, task: Task) -> Text:
            done = task.completed - task.fields["first"]
            if (
                task.description.startswith(FETCH)
                or task.finished
                or task.total is None
                or not done
                or not task.elapsed
            ):
                return super().render(task)
            left = _left(task.elapsed, done, task.total - task.fields["first"])
            return Text(f"{left} left", style="progress.remaining")

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        ForBytes(DownloadColumn()),
        ForBytes(TransferSpeedColumn()),
        RemainingTime(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        redirect_stdout=False,
    )


class _Lines:
    """A line when a phase begins, when it ends, and now and then between."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}
        """Of each phase: when, and how much of it was done then."""
        self._ended: set[str] = set()
        self._printed = 0.0

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if phase not in self._began:
            self._began[phase] = now, done
            size = f" ({total / 1e6:.1f} MB)" if total and phase.startswith(FETCH) else ""
            self._print(f"{phase}{size} ...")
        elif total is not None and done >= total:
            if phase not in self._ended:
                self._ended.add(phase)
                self._print(f"{phase}: done")
        elif total and now - self._printed >= LINE_SECONDS:
            began, first = self._began[phase]
            share = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if phase.startswith(FETCH) else f"{done} of {total}"
            left = f", {_left(now - began, done - first, total - first)} left" if done > first else ""
            self._print(f"{phase}: {share}{left}")

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        print(printable(line), file=sys.stderr, flush=True)  # noqa: T201


def _left(seconds: float, done: float, total: float) -> str:
    """`h:mm:ss` until `total` is done, when `done` took `seconds`."""
    minutes, rest = divmod(int(max(0.0, total - done) * seconds / done), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
