"""How many workers fit on a machine, and from which size on photos are done one at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from liftout.cores import usable_cores
from liftout.engines.choice import computes
from liftout.errors import LiftoutError
from liftout.models import packs
from liftout.models.resolve import locate
from liftout.options import RunOptions

_WORKER_BYTES = 200_000_000
"""A worker with its libraries while it works on a photo of a few megapixels, without the network."""
_WEIGHTS_FACTOR = 3
"""Peak memory of a run in bytes of the weights, where the pack does not state it."""
_BYTES_PER_PIXEL = 24
"""Memory for a large photo: pixels, alpha, RGBA, the picture that Pillow makes of it, and the encoded file."""
_BYTES_PER_CORE = 2_000_000_000
"""Memory that a node of a cluster is assumed to have for each of its cores."""
_SHARE = 0.6
"""Part of the free memory that a batch plans with."""
_UNKNOWN_MEMORY = 4_000_000_000


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Workers on one machine."""

    workers: int
    threads: int
    """Threads of each worker's network."""
    large_pixels: int
    """Photos of more pixels than this are done by one worker at a time."""


def capacity(
    run: RunOptions, *, workers: int | None = None, cores: int | None = None, memory: int | None = None
) -> Capacity:
    """Workers for a model on this machine: one for each core, fewer where memory is short or an accelerator is shared.

    workers: number chosen by the user. cores, memory (bytes): what the machine has; by default it is asked.
    """
    cores = cores or usable_cores()
    memory = free_memory() if memory is None else memory
    if workers is None:
        most_by_memory = int(memory * _SHARE / (_WORKER_BYTES + _network_bytes(run.model, run.precision)))
        most_by_cores = cores if run.device in ("auto", "cpu") else min(cores, 4)
        workers = max(1, min(most_by_cores, most_by_memory))
    return Capacity(
        workers=workers,
        threads=run.threads or max(1, cores // workers),
        large_pixels=max(1_000_000, int(memory * _SHARE / workers / _BYTES_PER_PIXEL)),
    )


def ray_resources(run: RunOptions) -> dict[str, float]:
    """What one Ray actor with this model reserves on its node: `num_cpus`, `num_gpus`, `memory` in bytes.

    A small model reserves one core, a large one a core for each `_BYTES_PER_CORE` of its memory, so that a node whose cores are
    all in use does not run out of memory.
    """
    needed = _WORKER_BYTES + _network_bytes(run.model, run.precision)
    if run.device not in ("auto", "cpu"):
        return {"num_cpus": 2, "num_gpus": 1, "memory": needed}
    return {"num_cpus": run.threads or max(1, -(-needed // _BYTES_PER_CORE)), "num_gpus": 0, "memory": needed}


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
        used = int((folder / "memory.current").read_text())
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
    return None if maximum == "max" else max(0, int(maximum) - used + cached)


def _network_bytes(model: str, precision: str) -> int:
    """Peak memory of one run: as the pack states it, else estimated from the size of the weights."""
    try:
        resolved = locate(model, precision, computes)
    except LiftoutError:
        return 0
    folder = resolved.file.path.parent
    if (folder / packs.MANIFEST).is_file() and (peak := packs.read(folder).manifest.peak_bytes):
        return peak
    return _WEIGHTS_FACTOR * sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
