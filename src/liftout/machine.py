"""Cores and memory that this process may use, which can be fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

_UNKNOWN_MEMORY = 4_000_000_000


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that this process may still use: of the machine, or of its control group where that has less."""
    limits = [limit for limit in (_machine_memory(), _group_memory()) if limit is not None]
    return min(limits, default=_UNKNOWN_MEMORY)


def _machine_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return None


def _group_memory() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        maximum = (folder / "memory.max").read_text().strip()
        usage = int((folder / "memory.current").read_text())
        cached = next(
            (
                int(line.split()[1])
                for line in (folder / "memory.stat").read_text().splitlines()
                if line.startswith("inactive_file ")
            ),
            0,
        )
    except (OSError, ValueError):
        return None
    return None if maximum == "max" else max(0, int(maximum) - usage + cached)
