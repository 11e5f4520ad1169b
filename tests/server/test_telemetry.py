"""Traces, received as a collector would: OTLP over HTTP on loopback."""

from __future__ import annotations

import gzip
import http.server
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from liftout.server.telemetry import Telemetry, open_telemetry
from tests.server.clients.shop import photo_url
from tests.server.test_processes import servers_of

__all__ = ["photo_url"]

STAGES = ["decode", "prepare", "network", "edges", "encode"]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """What arrived."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Named by the standard variables for servers that start in the test."""
    received = Collector()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            assert self.path == "/v1/traces"
            received.requests.append(ExportTraceServiceRequest.FromString(content))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield received
        server.shutdown()


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_a_request_and_the_stages_of_its_photo_are_one_trace(
    launch_process: Callable[..., Any], collector: Collector, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "photos")
    server = launch_process("--log-format", "json")
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Api-Key": "a-secret-key-0123456789"}
    query = {"crop": "true", "model": "tiny"}
    files = {"image": ("holiday.jpg", cat, "image/jpeg")}
    answer = httpx.post(
        f"{server.url}/v1/cutouts", params=query, files=files, headers=headers, timeout=60, trust_env=False
    )
    assert answer.status_code == 200
    httpx.get(f"{server.url}/healthz", timeout=60, trust_env=False)
    server.wait_until(lambda: len(collector.spans) >= 6)
    (request,) = collector.named("POST /v1/cutouts")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/cutouts",
        "http.response.status_code": 200,
        "liftout.request_id": answer.headers["x-request-id"],
    }
    stages = sorted((span for span in collector.spans if span is not request and span.name != request.name), key=start)
    assert [span.name for span in stages] == STAGES
    for before, after in itertools.pairwise(stages):
        assert before.end_time_unix_nano <= after.start_time_unix_nano
    for span in stages:
        assert (span.trace_id, span.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= span.start_time_unix_nano
        assert attributes(span) == {}
    resource = {one.key: one.value.string_value for one in collector.requests[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "photos"
    sent = b"".join(one.SerializeToString() for one in collector.requests)
    for secret in (b"holiday", b"a-secret-key", b"127.0.0.1", b"crop"):
        assert secret not in sent
    assert f'"trace": "{TRACE}"' in server.log.read_text(encoding="utf-8")


def start(span: Span) -> int:
    return span.start_time_unix_nano


def test_a_failed_stage_is_named_by_the_kind_of_its_error_alone(
    launch: Callable[..., Any], collector: Collector, photo_url: str
) -> None:
    server = launch("--fetch-network", "127.0.0.1/32")
    url = f"{photo_url}?name=somebody"
    wrong = photo_url.replace("cat.jpg", "README.md?name=somebody")
    for target in (url, wrong):
        httpx.get(f"{server.url}/v1/cutouts", params={"url": target}, timeout=60, trust_env=False)
    server.wait_until(lambda: len(collector.named("GET /v1/cutouts")) == 2 and len(collector.named("decode")) == 2)
    (failed,) = (span for span in collector.named("decode") if span.status.code == Status.STATUS_CODE_ERROR)
    assert attributes(failed) == {"error.type": "ImageUnreadable"}
    assert not failed.events
    assert not failed.status.message
    assert b"somebody" not in b"".join(one.SerializeToString() for one in collector.requests)


def test_the_caller_decides_whether_a_trace_is_kept(launch: Callable[..., Any], collector: Collector) -> None:
    server = launch()
    for flags in ("00", "01"):
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
        httpx.get(f"{server.url}/v1/models", headers=headers, timeout=60, trust_env=False)
    server.wait_until(lambda: bool(collector.spans))
    assert [span.name for span in collector.spans] == ["GET /v1/models"]


@pytest.mark.long
def test_every_process_sends_its_spans_before_it_ends(launch_process: Callable[..., Any], collector: Collector) -> None:
    server = launch_process("--processes", "2")
    assert len(servers_of(server)) == 2
    for _ in range(20):
        httpx.get(f"{server.url}/v1/models", timeout=60, trust_env=False)
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert len(collector.named("GET /v1/models")) == 20


def test_without_the_extra_the_log_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert type(open_telemetry(environment)) is Telemetry
    (line,) = caplog.messages
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, but traces need the extra `telemetry`")
    assert 'pip install "liftout[telemetry]"' in line


def test_an_exporter_that_is_not_there_is_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert type(open_telemetry({"OTEL_TRACES_EXPORTER": "zipkin"})) is Telemetry
    (line,) = caplog.messages
    assert "no package has the exporter zipkin" in line


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "photos"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_sent_unless_the_environment_asks(environment: dict[str, str]) -> None:
    assert type(open_telemetry(environment)) is Telemetry
    assert open_telemetry(environment).observer() is None
