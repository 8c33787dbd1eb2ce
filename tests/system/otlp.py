"""Trace collector that keeps spans in memory: OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SECONDS = 20


@dataclass(frozen=True)
class Span:
    """Span as it was received; ids are hex."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    status: int
    message: str
    links: tuple[tuple[str, str], ...]
    """Trace and span of each link."""
    attributes: dict[str, Any]
    nanoseconds: int


@dataclass
class Collector:
    """Collector of all spans received so far."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)

    def wait(self, found: Callable[[list[Span]], bool]) -> list[Span]:
        """Return all spans as soon as a condition holds, or after a while, so that the test can fail."""
        end = time.monotonic() + SECONDS
        while not found(self.spans) and time.monotonic() < end:
            time.sleep(0.05)
        return list(self.spans)

    def add(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans.extend(_span(str(about["service.name"]), span) for span in scope.spans)


@contextmanager
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            found.add(decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        status=span.status.code,
        message=span.status.message,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_values(span.attributes),
        nanoseconds=span.end_time_unix_nano - span.start_time_unix_nano,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
