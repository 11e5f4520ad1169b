"""Traces through OpenTelemetry's SDK, as the standard OTEL_* environment variables say.

A request is a span of kind server, under the span that its `traceparent` names; below it lie the stages of its photo: decode,
prepare, network, edges, encode. Spans have method, route, status and the id of the request: no address, URL, name of a file or key.

On where OTEL_TRACES_EXPORTER or an endpoint of OTEL_EXPORTER_OTLP_* is set. Needs the extra `telemetry`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from liftout import __version__
from liftout.server import logs
from liftout.stages import Observer, Stage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
EXPORTER = "OTEL_TRACES_EXPORTER"
EXTRA_MISSING = '%s is set, but traces need the extra `telemetry`; run pip install "liftout[telemetry]". The server runs without traces'
QUIET_PATHS = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds; they have no spans."""
CLOSE_SECONDS = 5.0
"""In which the last spans must be sent."""

_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_log = logging.getLogger(logs.NAME)


class RequestSpan:
    """The span of one request; here none."""

    trace = ""
    """Hexadecimal id of its trace."""

    def end(self, method: str, route: str, status: int, request_id: str) -> None:
        """Say what became of the request. route: empty where there is none."""


class Telemetry:
    """No traces."""

    @contextmanager
    def request(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Iterator[RequestSpan]:
        """A span around the block."""
        yield RequestSpan()

    @contextmanager
    def job(self) -> Iterator[None]:
        """A span around a photo of a job."""
        yield

    def observer(self) -> Observer | None:
        """Spans for the stages of a photo, under the span that is current now, on any thread."""
        return None

    def close(self) -> None:
        """Send the last spans."""


def open_telemetry(environment: Mapping[str, str] = os.environ) -> Telemetry:
    """Traces as the environment says. What keeps them from being sent is said in one line of the log; the server runs without."""
    named = environment.get(EXPORTER, "").strip().lower()
    asked = next((name for name in (EXPORTER, *ENDPOINTS) if environment.get(name)), None)
    if asked is None or named == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Telemetry()
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning(EXTRA_MISSING, asked)
        return Telemetry()
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "liftout"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in (named or "otlp").split(","):
        try:
            provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip(), environment)))
        except Exception as error:  # noqa: BLE001 - exporters of any package read the environment, each in its way
            _log.warning("traces cannot be exported with %s: %s; the server runs without", name.strip(), error)
            return Telemetry()
    return _Traces(provider)


def _exporter(name: str, environment: Mapping[str, str]) -> Any:
    """An exporter by the name of OTEL_TRACES_EXPORTER. Raises LookupError where no package has it."""
    if name == "otlp":
        names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((environment[name] for name in names if environment.get(name)), "http/protobuf").strip()
        name = _PROTOCOLS.get(protocol, protocol)
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        raise LookupError(f"no package has the exporter {name}; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    return found[0].load()()


class _Traces(Telemetry):
    """Traces of one provider."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("liftout", __version__)

    @contextmanager
    def request(self, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Iterator[RequestSpan]:
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        if path in QUIET_PATHS:
            yield RequestSpan()
            return
        parent = extract({name.decode("latin-1"): value.decode("latin-1") for name, value in headers})
        with self._tracer.start_as_current_span(
            method,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield _RequestSpan(span)

    @contextmanager
    def job(self) -> Iterator[None]:
        with self._span("job", None):
            yield

    def observer(self) -> Observer | None:
        from opentelemetry.context import get_current

        parent = get_current()

        def observe(name: Stage) -> Any:
            return self._span(name, parent)

        return observe

    def close(self) -> None:
        closing = threading.Thread(
            target=self._provider.shutdown, daemon=True
        )  # it may wait for a receiver that is gone
        closing.start()
        closing.join(CLOSE_SECONDS)

    @contextmanager
    def _span(self, name: str, parent: Context | None) -> Iterator[None]:
        """A span of which an error leaves its kind alone: messages name files and URLs."""
        from opentelemetry.trace import StatusCode

        with self._tracer.start_as_current_span(
            name, context=parent, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


class _RequestSpan(RequestSpan):
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace = f"{span.get_span_context().trace_id:032x}"

    def end(self, method: str, route: str, status: int, request_id: str) -> None:
        from opentelemetry.trace import StatusCode

        if route:
            self._span.update_name(f"{method} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("liftout.request_id", request_id)
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(StatusCode.ERROR)
