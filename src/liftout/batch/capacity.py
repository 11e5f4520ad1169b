"""How many workers fit on a machine, and from which size on photos are done one at a time."""

from __future__ import annotations

from dataclasses import dataclass

from liftout.loading import network_bytes
from liftout.machine import free_memory, usable_cores
from liftout.options import RunOptions

_WORKER_BYTES = 200_000_000
"""A worker with its libraries while it works on a photo of a few megapixels, without the network."""
_BYTES_PER_PIXEL = 24
"""Memory for a large photo: pixels, alpha, RGBA, the picture that Pillow makes of it, and the encoded file."""
_BYTES_PER_CORE = 2_000_000_000
"""Memory that a node of a cluster is assumed to have for each of its cores."""
_SHARE = 0.6
"""Part of the free memory that a batch plans with."""


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
        most_by_memory = int(memory * _SHARE / (_WORKER_BYTES + network_bytes(run)))
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
    needed = _WORKER_BYTES + network_bytes(run)
    if run.device not in ("auto", "cpu"):
        return {"num_cpus": 2, "num_gpus": 1, "memory": needed}
    return {"num_cpus": run.threads or max(1, -(-needed // _BYTES_PER_CORE)), "num_gpus": 0, "memory": needed}
