"""Start of tracing, if it is on."""

from runtime.tracing.settings import TracingSettings
from runtime.tracing.spans import Tracer


def start(settings: TracingSettings, service: str, environment: str = "") -> Tracer | None:
    """Return the tracer for these settings, or None if tracing is off.

    Args:
        settings: Settings from the environment.
        service: `service.name`, unless OTEL_SERVICE_NAME sets another.
        environment: `deployment.environment.name`, unless OTEL_RESOURCE_ATTRIBUTES sets another.
    """
    if not settings.on:
        return None
    # Imported late: it is a hundred modules and 10 MB, which a process without tracing saves.
    from runtime.tracing.export import ExportingTracer

    return ExportingTracer(settings, service, environment)
