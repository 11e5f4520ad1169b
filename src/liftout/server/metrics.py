"""What /metrics shows: the sums over all processes of the server."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from liftout.server.shared import Board, Shared

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_NUMBERS = {
    "running": ("liftout_running", "Photos on a worker."),
    "waiting": ("liftout_waiting", "Photos in the queue."),
    "body_bytes": ("liftout_body_bytes", "Bytes of requests in memory."),
    "models": ("liftout_models_loaded", "Models in memory."),
    "connections": ("liftout_connections", "Open connections."),
}


class Metrics:
    """Counters of one server, in a registry of its own.

    Of several processes each writes its counters into files of its own (the multiprocess mode of prometheus_client, which
    begins with PROMETHEUS_MULTIPROC_DIR in the environment), and the registry reads those of all.
    """

    def __init__(self, shared: Shared) -> None:
        self.registry = CollectorRegistry()
        own = self.registry if shared.metrics is None else None
        if shared.metrics is not None:
            from prometheus_client.multiprocess import MultiProcessCollector

            MultiProcessCollector(self.registry, path=str(shared.metrics))  # type: ignore[no-untyped-call]
        self.registry.register(_Board(shared.board))
        self.registry.register(_Processes(shared.board))
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "liftout_requests", "Requests by route, method and status.", ("route", "method", "status"), registry=own
        )
        self.key_requests = Counter(
            "liftout_key_requests", "Requests admitted, by name of the API key.", ("key",), registry=own
        )
        self.request_seconds = Histogram(
            "liftout_request_seconds", "From head to end of a request.", ("route",), buckets=_SECONDS, registry=own
        )
        self.wait_seconds = Histogram("liftout_wait_seconds", "Time in the queue.", buckets=_SECONDS, registry=own)
        self.run_seconds = Histogram(
            "liftout_run_seconds", "Time of a photo on a worker.", ("model",), buckets=_SECONDS, registry=own
        )
        self.cached = Counter(
            "liftout_cached_results",
            "Cutouts answered from the cache (hit) or not (miss).",
            ("outcome",),
            registry=own,
        )
        self.abandoned = Counter("liftout_abandoned", "Requests whose client left.", registry=own)


class _Board(Collector):
    """The numbers of the board."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        for number, (name, text) in _NUMBERS.items():
            yield GaugeMetricFamily(name, text, value=self._board.number(number).total)


class _Processes(Collector):
    """Memory, processor time and files of the processes together, and when the first of them started."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        sums: dict[str, Metric] = {}
        for pid in self._board.pids() or [os.getpid()]:
            for metric in ProcessCollector(pid=functools.partial(int, pid), registry=None).collect():
                if metric.name not in sums:
                    sums[metric.name] = metric
                    continue
                join = min if metric.name.endswith("start_time_seconds") else sum
                samples = zip(sums[metric.name].samples, metric.samples, strict=True)
                sums[metric.name].samples = [
                    one._replace(value=join((one.value, other.value))) for one, other in samples
                ]
        yield from sums.values()
