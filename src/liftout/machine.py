"""This machine: the cores and memory that this process may use, and what the processor is called."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_UNKNOWN_MEMORY = 4_000_000_000
_UNITS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),  # x86
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),  # ARM
)
"""Of the processor's units those that change how a network is computed, by the names that Linux gives them."""


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that this process may still use: of the machine, or of its control group where that has less."""
    limits = [limit for limit in (_machine_memory(), _group_memory()) if limit is not None]
    return min(limits, default=_UNKNOWN_MEMORY)


def processor() -> str:
    """`AMD EPYC (x86_64: avx2 avx512f avx512_vnni)`: its name, the machine and, on Linux, the units that networks use."""
    fields = _fields(Path("/proc/cpuinfo"))
    name = fields.get("model name") or platform.processor() or "processor of unknown name"
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    units = " ".join(unit for unit in _UNITS if unit in flags)
    return f"{name} ({platform.machine()}{': ' if units else ''}{units})"


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


def _fields(path: Path) -> dict[str, str]:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        first = path.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, colon, value in lines if colon}
