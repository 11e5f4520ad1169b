"""One batch at a time for a target.

Before a batch writes, it puts a claim into its target: `.liftout/running/<random>`, a small JSON file that names its process and
machine. It renews the claim every `RENEW_SECONDS` and removes it at the end. A batch is refused where it finds the claim of a
process that still runs. A claim whose process no longer exists on this machine, or that has not been renewed for
`STALE_SECONDS`, is left over from a batch that was killed, and is removed.

Renewal shows in the content of the file and not in its time, because the clocks of machines and stores may differ.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from liftout.batch.storage import OWN, Storage
from liftout.errors import OutputError
from liftout.files import is_alive

_RUNNING = f"{OWN}/running"
RENEW_SECONDS = 10.0
STALE_SECONDS = 35.0
_POLL_SECONDS = 1.0
_ATTEMPTS = 5


class Released(OutputError):
    """The claim was given up while it was being taken: the batch was stopped."""


class Claim:
    """The claim of one batch on its target, from `take` to `release`."""

    def __init__(
        self,
        target: Storage,
        *,
        notify: Callable[[str], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """notify: called with one line about why `take` waits. on_lost: called where another batch took the target over, because
        this process did not renew its claim in time."""
        self._target = target
        self._notify = notify or _unheard
        self._on_lost = on_lost
        self._path = f"{_RUNNING}/{secrets.token_hex(8)}"
        self._owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": _machine(),
            "process": _process(os.getpid()),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._renewals = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.lost = False

    def take(self) -> None:
        """Claim the target. Raises OutputError where another batch is writing to it, Released where `release` is called meanwhile."""
        for _ in range(_ATTEMPTS):
            self._refuse_beside_another()
            with self._lock:
                if self._ended.is_set():
                    raise Released("the batch was stopped before it began", subject=self._target.url)
                self._write()
                if not self._others():
                    self._thread = threading.Thread(target=self._renew, daemon=True)
                    self._thread.start()
                    return
                # Two batches start at the same moment: both withdraw, and the first one to try again goes on.
                self._target.remove(self._path)
            self._ended.wait(random.uniform(0.1, 1.5))  # noqa: S311 - no secret
        raise OutputError(
            "several batches are starting for this target at once", subject=self._target.url, remedy="start one of them"
        )

    def release(self) -> None:
        """Remove the claim. May be called while another thread is in `take`, and where the claim was never taken."""
        self._ended.set()
        with self._lock:
            if self._thread is None:
                return
            self._thread.join()
            self._thread = None
            if not self.lost:
                with suppress(Exception):  # a store that fails now; the claim is stale once this process has ended
                    self._target.remove(self._path)

    def _refuse_beside_another(self) -> None:
        for name in self._others():
            owner = self._read(name)
            if owner is None:
                continue
            if self._runs(name, owner):
                if self._ended.is_set():
                    return
                raise OutputError(
                    f"another batch is writing to this target (process {owner.get('pid')} on {owner.get('host')}, since "
                    f"{owner.get('started')})",
                    subject=self._target.url,
                    remedy="wait for it to end, or choose another target",
                )
            self._target.remove(f"{_RUNNING}/{name}")

    def _runs(self, name: str, owner: dict[str, Any]) -> bool:
        """Whether the batch that wrote a claim is still at work."""
        if owner.get("machine") == self._owner["machine"]:
            if owner.get("process") and self._owner["process"]:
                return bool(_process(int(owner["pid"])) == owner["process"])
            if not is_alive(int(owner["pid"])):
                return False
        self._notify(
            f"{self._target.url}: a batch on {owner.get('host')} has been writing here since {owner.get('started')}; "
            f"waiting up to {STALE_SECONDS:.0f} s to see whether it still runs"
        )
        until = time.monotonic() + STALE_SECONDS
        while time.monotonic() < until and not self._ended.wait(_POLL_SECONDS):
            current = self._read(name)
            if current != owner:
                return current is not None
        return self._ended.is_set()

    def _others(self) -> list[str]:
        own = self._path.rpartition("/")[2]
        return [name for name in self._target.listing(_RUNNING).files if name != own]

    def _read(self, name: str) -> dict[str, Any] | None:
        """The content of a claim; None where it is gone."""
        try:
            content = self._target.read(f"{_RUNNING}/{name}")
        except FileNotFoundError:
            return None
        try:
            owner = json.loads(content)
        except ValueError:
            owner = None
        return owner if isinstance(owner, dict) else {"unreadable": content.hex()}

    def _write(self) -> None:
        self._target.write(self._path, json.dumps({**self._owner, "renewals": self._renewals}).encode())

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                if self._target.size(self._path) is None:
                    self.lost = True
                    if self._on_lost is not None:
                        self._on_lost()
                    return
                self._renewals += 1
                self._write()
            except Exception:  # noqa: BLE001, S112 - each store's library has exceptions of its own; the next renewal may succeed
                continue


def _machine() -> str:
    """An id of the machine, or container, within which process ids mean the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _process(pid: int) -> str:
    """The id of a process with its start time, because ids are reused; empty where there is no such process."""
    try:
        # The name, in parentheses, may hold anything; the start time is the 20th field after it (proc_pid_stat(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{pid} {fields[19]}"


def _unheard(line: str) -> None:
    """Does nothing."""
