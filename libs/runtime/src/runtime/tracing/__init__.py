"""Tracing of sampled requests: OpenTelemetry spans, sent over OTLP/HTTP.

Tracing is off unless OTEL_EXPORTER_OTLP_ENDPOINT is set; then OpenTelemetry's SDK is not even imported. No global
OpenTelemetry provider is set: FastAPI would use it for its own spans of every request.
"""

from runtime.tracing.settings import TracingSettings
from runtime.tracing.spans import Span, Tracer, current, entered, part
from runtime.tracing.start import start

__all__ = ["Span", "Tracer", "TracingSettings", "current", "entered", "part", "start"]
