"""Tracing put together, where it is on."""

from tracing.settings import Settings
from tracing.spans import Tracer


def start(settings: Settings, service: str, environment: str = "") -> Tracer | None:
    """The tracer that the settings ask for; None when tracing is off.

    Args:
        settings: From the environment of the process.
        service: `service.name`, where OTEL_SERVICE_NAME says nothing else.
        environment: `deployment.environment.name`, where OTEL_RESOURCE_ATTRIBUTES says nothing else.
    """
    if not settings.on:
        return None
    # Not before: it is a hundred modules and 10 MB, which a process without tracing does without.
    from tracing.export import ExportingTracer

    return ExportingTracer(settings, service, environment)
