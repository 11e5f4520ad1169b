"""How many workers fit on this machine, and how large a photo may be before it has to be alone."""

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
"""A worker with its libraries, and a photo of a few megapixels in work; measured 130 to 250 MB with a small network."""
_WEIGHTS_FACTOR = 3
"""Peak of a run over the bytes of the weights, where the pack does not say it."""
_BYTES_PER_PIXEL = 24
"""Of a large photo in work: pixels, alpha, RGBA, the picture that Pillow makes of it, and the encoded file."""
_BYTES_PER_CORE = 2_000_000_000
"""Memory of a node for each of its cores; machines to rent have 2 to 8 GB."""
_SHARE = 0.6
"""Of the free memory that a batch may plan with."""
_UNKNOWN_MEMORY = 4_000_000_000


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Workers on one machine."""

    workers: int
    threads: int
    """Of each worker's network."""
    large_pixels: int
    """A photo above this is in work on one worker at a time."""


def capacity(
    run: RunOptions, *, workers: int | None = None, cores: int | None = None, memory: int | None = None
) -> Capacity:
    """Workers for a model on this machine: one for each core, fewer where memory or an accelerator asks for it.

    workers: chosen by the user. cores, memory (bytes): of the machine, where they are not to be asked.
    """
    cores = cores or usable_cores()
    memory = free_memory() if memory is None else memory
    if workers is None:
        fitting = int(memory * _SHARE / (_WORKER_BYTES + _network_bytes(run.model, run.precision)))
        most = cores if run.device in ("auto", "cpu") else min(cores, 4)
        workers = max(1, min(most, fitting))
    return Capacity(
        workers=workers,
        threads=run.threads or max(1, cores // workers),
        large_pixels=max(1_000_000, int(memory * _SHARE / workers / _BYTES_PER_PIXEL)),
    )


def ray_resources(run: RunOptions) -> dict[str, float]:
    """What one Ray actor with this model asks its node for: `num_cpus`, `num_gpus`, `memory` in bytes.

    One core for a small model; a large one gets as many as its memory is worth at `_BYTES_PER_CORE`, so that actors that
    fill a node's cores do not overfill its memory.
    """
    needed = _WORKER_BYTES + _network_bytes(run.model, run.precision)
    if run.device not in ("auto", "cpu"):
        return {"num_cpus": 2, "num_gpus": 1, "memory": needed}
    return {"num_cpus": run.threads or max(1, -(-needed // _BYTES_PER_CORE)), "num_gpus": 0, "memory": needed}


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, or of its control group where that is less."""
    found = [_machine_memory(), _group_memory()]
    known = [value for value in found if value is not None]
    return min(known) if known else _UNKNOWN_MEMORY


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
        most = (folder / "memory.max").read_text().strip()
        held = int((folder / "memory.current").read_text())
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
    return None if most == "max" else max(0, int(most) - held + cached)


def _network_bytes(model: str, precision: str) -> int:
    """Peak memory of one run, as the pack says it or by the size of the weights."""
    try:
        resolved = locate(model, precision, computes)
    except LiftoutError:
        return 0
    folder = resolved.file.path.parent
    if (folder / packs.MANIFEST).is_file() and (peak := packs.read(folder).manifest.peak_bytes):
        return peak
    return _WEIGHTS_FACTOR * sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
