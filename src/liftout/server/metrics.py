"""What /metrics shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "liftout_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.key_requests = Counter(
            "liftout_key_requests", "Requests admitted, by name of the API key.", ("key",), registry=self.registry
        )
        self.request_seconds = Histogram(
            "liftout_request_seconds",
            "From head to end of a request.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.wait_seconds = Histogram(
            "liftout_wait_seconds", "Time in the queue.", buckets=_SECONDS, registry=self.registry
        )
        self.run_seconds = Histogram(
            "liftout_run_seconds", "Time of a photo on a worker.", ("model",), buckets=_SECONDS, registry=self.registry
        )
        self.running = Gauge("liftout_running", "Photos on a worker.", registry=self.registry)
        self.waiting = Gauge("liftout_waiting", "Photos in the queue.", registry=self.registry)
        self.body_bytes = Gauge("liftout_body_bytes", "Bytes of requests in memory.", registry=self.registry)
        self.cached = Counter(
            "liftout_cached_results",
            "Cutouts answered from the cache (hit) or not (miss).",
            ("outcome",),
            registry=self.registry,
        )
        self.models = Gauge("liftout_models_loaded", "Models in memory.", registry=self.registry)
        self.abandoned = Counter("liftout_abandoned", "Requests whose client left.", registry=self.registry)
