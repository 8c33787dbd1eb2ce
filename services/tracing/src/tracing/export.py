"""Spans on their way to a collector; the only module that imports OpenTelemetry's SDK.

Export happens in a thread of its own, from a bounded queue: serving never waits for a collector. What does not fit is
dropped, with a line in the log.
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

from tracing.settings import Settings
from tracing.spans import Tracer

QUIET_SECONDS = 60.0
"""Between two lines about the same collector that is away."""
LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class Seldom(logging.Filter):
    """Lets one record through in `QUIET_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the record."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + QUIET_SECONDS
        return True


class ExportingTracer(Tracer):
    """A tracer whose spans go to the settings' endpoint."""

    def __init__(self, settings: Settings, service: str, environment: str) -> None:
        # Not at exit by itself: `close` does it, and does not wait for a collector that is away.
        self._provider = TracerProvider(ALWAYS_ON, _resource(service, environment), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
        super().__init__(self._provider.get_tracer("model-serving"), settings)
        seldom = Seldom()
        for name in LOGGERS:
            logging.getLogger(name).addFilter(seldom)

    def close(self, seconds: float) -> None:
        """Send what waits; gives up after so long."""
        # In a thread that may be left behind: the SDK's own limits do not hold while a connection is being made.
        closing = Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(seconds)


def _resource(service: str, environment: str) -> Resource:
    defaults = {"service.name": service, "service.instance.id": socket.gethostname()}
    if environment:
        defaults["deployment.environment.name"] = environment
    # As OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say; where they say nothing, the SDK makes a name up.
    named = {
        key: value
        for key, value in Resource.create().attributes.items()
        if not str(value).startswith("unknown_service")
    }
    return Resource({**defaults, **named})
