"""How much memory a command takes, with all that it starts; needs Linux and psutil."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_SECONDS = 0.2


@contextmanager
def peak_of(pid: int) -> Iterator[list[int]]:
    """[bytes]: the most memory that a process and those it started take in the block; it may end there."""
    peak, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], _memory(pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
        peak[0] = max(peak[0], _memory(pid))
    finally:
        ended.set()
        sampler.join()


def _memory(pid: int) -> int:
    """The proportional share (PSS) of all of them together."""
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total
