"""Several server processes on one socket: they are started, watched, started again where they end, and stopped together.

Each loads its own models and has its own queue; what must hold for all of them lies in `liftout.server.shared`.
"""

from __future__ import annotations

import dataclasses
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from liftout.errors import EngineError, LiftoutError
from liftout.server import logs
from liftout.server.serving import INTERRUPTED, end, log_address, prepare, serve
from liftout.server.settings import Settings
from liftout.server.shared import Board, Shared, write_shared

TICK = 0.25
"""Seconds between two looks at signals and ended processes."""
STEADY_SECONDS = 60.0
"""A process that ends after this is started again at once; one that ends earlier after a pause."""
LONGEST_PAUSE = 30.0
LAST_SECONDS = 5.0
"""Seconds beyond `grace` in which a process must end."""
TOUCH_SECONDS = 3600.0
"""Between two touches of the shared files, so that no cleaner of temporary folders takes them for left over."""

_SPAWN = multiprocessing.get_context("spawn")
_log = logging.getLogger(logs.NAME)


def supervise(
    settings: Settings, processes: int, listening: socket.socket, *, trust_proxy: str, web: Path | None
) -> int:
    """Serve with so many processes until SIGTERM or SIGINT. Returns an exit status. web: folder of the page.

    Raises what keeps a process from starting: UsageError, UnknownModel, ModelUnavailable, EngineError.
    """
    with TemporaryDirectory(prefix="liftout-processes-") as folder, _metrics_in(Path(folder) / "metrics"):
        board = write_shared(Path(folder), processes)
        slots = [
            _Slot(index, _Start(divided(settings, processes, index), listening, trust_proxy, web, Path(folder), index))
            for index in range(processes)
        ]
        return _Supervisor(slots, board, settings, Path(folder)).run()


def divided(settings: Settings, processes: int, index: int) -> Settings:
    """The settings of one process: its part of the workers, one at least. All other limits are counted together."""
    share, rest = divmod(settings.limits.workers, processes)
    workers = max(1, share + (index < rest))
    return dataclasses.replace(settings, limits=dataclasses.replace(settings.limits, workers=workers))


@dataclass(frozen=True)
class _Start:
    """What a process needs to serve. folder: of `liftout.server.shared`. row: of its board."""

    settings: Settings
    listening: socket.socket
    trust_proxy: str
    web: Path | None
    folder: Path
    row: int


@dataclass
class _Slot:
    """The place of a process, which may have had others before it."""

    index: int
    start: _Start
    process: BaseProcess | None = None
    told: Connection | None = None
    """Brings None when the process is ready, or why it cannot start."""
    ready: bool = False
    problem: str = ""
    """Why the process could not start, where it told."""
    started: float = 0.0
    failures: int = 0
    """Ends in a row, each soon after the start."""

    def launch(self) -> None:
        """Start a process."""
        self.told, theirs = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(target=_serve, args=(self.start, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.ready, self.problem, self.started = False, "", time.monotonic()

    def listen(self) -> None:
        """Take note of what the process told. Raises why it cannot start."""
        while self.told is not None and self.told.poll():
            try:
                error = self.told.recv()
            except EOFError:
                self.told.close()
                self.told = None
                return
            if error is not None:
                raise error
            self.ready = True

    @property
    def pause(self) -> float:
        """Seconds between an end and the next start."""
        return min(LONGEST_PAUSE, 2.0 ** (self.failures - 1)) if self.failures > 1 else 0.0


class _Supervisor:
    """The process that started the others and serves nothing itself."""

    def __init__(self, slots: list[_Slot], board: Board, settings: Settings, folder: Path) -> None:
        self._slots = slots
        self._board = board
        self._settings = settings
        self._folder = folder
        self._signals: list[int] = []
        self._due: dict[int, float] = {}
        """When the process of a slot is to be started again."""

    def run(self) -> int:
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._note) for number in handled}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._forward)
        try:
            for slot in self._slots:
                slot.launch()
            self._wait_until_ready()
            if not self._signals:
                self._log_start()
            self._watch()
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
        return INTERRUPTED if self._signals[:1] == [signal.SIGINT] else 0

    def _log_start(self) -> None:
        _log.info(
            "%d processes: each loads its own models and has its own part of --workers; limits, keys, cache, jobs and metrics are "
            "those of all together",
            len(self._slots),
        )
        log_address(self._slots[0].start.listening, self._settings)

    def _wait_until_ready(self) -> None:
        while not self._signals and not all(slot.ready for slot in self._slots):
            self._tick()
            for slot in self._slots:
                slot.listen()
                if not slot.ready and slot.process is not None and not slot.process.is_alive():
                    slot.listen()
                    raise EngineError(f"a server process ended while it started ({_reason(slot.process)})")

    def _watch(self) -> None:
        """Start again what ends, until a signal comes."""
        touched = time.monotonic()
        while not self._signals:
            self._tick()
            now = time.monotonic()
            for slot in self._slots:
                self._look_after(slot, now)
            if now - touched > TOUCH_SECONDS:
                touched = now
                for path in (self._folder, *self._folder.rglob("*")):
                    os.utime(path)

    def _look_after(self, slot: _Slot, now: float) -> None:
        if slot.process is None:
            if now >= self._due[slot.index]:
                slot.launch()
            return
        try:
            slot.listen()
        except LiftoutError as error:
            slot.problem = error.line()
        if slot.process.is_alive():
            return
        reason = slot.problem or _reason(slot.process)
        self._forget(slot)
        slot.failures = 1 if now - slot.started > STEADY_SECONDS else slot.failures + 1
        self._due[slot.index] = now + slot.pause
        _log.error(
            "process %d of %d ended (%s); it is started again%s",
            slot.index + 1,
            len(self._slots),
            reason,
            f" in {slot.pause:g} s" if slot.pause else "",
        )

    def _forget(self, slot: _Slot) -> None:
        """Release what an ended process had counted and held."""
        if slot.process is not None:
            slot.process.join()
            slot.process.close()
        if slot.told is not None:
            slot.told.close()
        slot.process = slot.told = None
        self._board.clear(slot.index)

    def _stop(self) -> None:
        """End all processes: in order within `grace`, at once after another SIGINT."""
        self._slots[0].start.listening.close()
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._settings.limits.grace + LAST_SECONDS
        signals = len(self._signals)
        while any(process.is_alive() for process in running):
            if time.monotonic() > deadline or signal.SIGINT in self._signals[signals:]:
                for process in running:
                    process.kill()
            self._tick()
        for slot in self._slots:
            self._forget(slot)

    def _tick(self) -> None:
        running = (slot.process for slot in self._slots if slot.process is not None and slot.process.is_alive())
        wait([process.sentinel for process in running], TICK)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def _forward(self, number: int, _: FrameType | None) -> None:
        for slot in self._slots:
            if slot.ready and slot.process is not None and slot.process.pid is not None and slot.process.is_alive():
                os.kill(slot.process.pid, number)


def _serve(start: _Start, told: Connection) -> None:
    """The body of a process that serves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the one that started them decides
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there are keys that can be read again
    logging.config.dictConfig(logs.configuration(start.settings.log_format))
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    shared = Shared.open(start.folder, start.row)
    try:
        service, server = prepare(
            start.settings, trust_proxy=start.trust_proxy, web=start.web, shared=shared, ready=lambda: told.send(None)
        )
        service.preload()
    except LiftoutError as error:
        told.send(error)
        sys.exit(1)
    shared.board.number("pid").own = os.getpid()
    status = serve(service, server, start.listening)
    end(service, status)
    sys.exit(status)


def _end_with(parent: BaseProcess | None) -> None:
    """Stop this process in order when the one that started it is gone."""
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _reason(process: BaseProcess) -> str:
    """Why a process ended."""
    code = process.exitcode or 0
    return f"signal {-code}" if code < 0 else f"status {code}"


@contextmanager
def _metrics_in(folder: Path) -> Iterator[None]:
    """Processes that are started in the block write their metrics into this folder."""
    name = "PROMETHEUS_MULTIPROC_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
