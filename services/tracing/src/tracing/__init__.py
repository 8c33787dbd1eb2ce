"""Traces of the requests that are sampled: OpenTelemetry spans, sent over OTLP/HTTP.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set; then OpenTelemetry's SDK is not even imported. Nothing here is
OpenTelemetry's global provider: FastAPI would take that for its own spans of every request.
"""

from tracing.settings import Settings
from tracing.spans import Span, Tracer, current, entered, part
from tracing.start import start

__all__ = ["Settings", "Span", "Tracer", "current", "entered", "part", "start"]
