"""Export of spans to a collector; the only module that imports OpenTelemetry's SDK.

A separate thread exports from a bounded queue, so serving never waits for a collector. Spans that do not fit are
dropped, and a log line says so.
"""

import logging
import socket
import time
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from runtime.tracing.settings import TracingSettings
from runtime.tracing.spans import Tracer

QUIET_SECONDS = 60.0
"""Seconds between two log lines about an unreachable collector."""
LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class Seldom(logging.Filter):
    """Filter that passes one record every `QUIET_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep the record."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + QUIET_SECONDS
        return True


class ExportingTracer(Tracer):
    """A tracer that exports its spans to the settings' endpoint."""

    def __init__(self, settings: TracingSettings, service: str, environment: str) -> None:
        # Not shut down at exit: `close` does that, and does not wait for an unreachable collector.
        self._provider = TracerProvider(ALWAYS_ON, _resource(service, environment), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
        super().__init__(self._provider.get_tracer("model-serving"), settings)
        seldom = Seldom()
        for name in LOGGERS:
            logging.getLogger(name).addFilter(seldom)

    def close(self, seconds: float) -> None:
        """Send waiting spans; give up after this many seconds."""
        # Run in a thread that may be abandoned: the SDK's own limits do not apply while it connects.
        closing = Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(seconds)


def _resource(service: str, environment: str) -> Resource:
    defaults = {"service.name": service, "service.instance.id": socket.gethostname()}
    if environment:
        defaults["deployment.environment.name"] = environment
    # From OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; without them, the SDK invents a name.
    named = {
        key: value
        for key, value in Resource.create().attributes.items()
        if not str(value).startswith("unknown_service")
    }
    return Resource({**defaults, **named})
