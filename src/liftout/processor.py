"""The processor of this machine, in words: reports say what they were measured on."""

from __future__ import annotations

import platform
from pathlib import Path

_UNITS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),  # x86
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),  # ARM
)
"""Of the processor's units those that change how a network is computed, by the names that Linux gives them."""


def processor() -> str:
    """`AMD EPYC (x86_64: avx2 avx512f avx512_vnni)`: its name, the machine and, on Linux, the units that networks use."""
    fields = _fields(Path("/proc/cpuinfo"))
    name = fields.get("model name") or platform.processor() or "processor of unknown name"
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    units = " ".join(unit for unit in _UNITS if unit in flags)
    return f"{name} ({platform.machine()}{': ' if units else ''}{units})"


def _fields(path: Path) -> dict[str, str]:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        first = path.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, colon, value in lines if colon}
