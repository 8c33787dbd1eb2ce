"""Command `gateway`: serve, or make an API key."""

import sys

import uvicorn
from prometheus_client import REGISTRY

from gateway.access import make_key
from gateway.access.api_keys import ApiKeysError
from gateway.app import create_app
from gateway.http.limits import connection_limits
from gateway.metrics import Metrics
from gateway.routing.server_hooks import connections
from gateway.settings import GatewaySettings
from httpserver import Server
from runtime import (
    configure_logging,
    end_at_sigterm,
    read_settings,
    refuse_settings,
    spare_loaded_objects,
    tracing,
)

BACKLOG = 65_535
"""Connections that may wait to be accepted: as many as the kernel allows (net.core.somaxconn).

A client beyond this limit would retry only after 1, 3 and 7 s.
"""
KEEP_ALIVE_SECONDS = 75
"""Seconds an idle connection stays open: load balancers close theirs after 60 s, so they close first."""


def main() -> None:
    """Serve until SIGTERM or SIGINT and finish requests under way; with arguments, make an API key."""
    if len(sys.argv) > 1:
        make_key.run(sys.argv[1:])
        return
    configure_logging()
    settings, traced = read_settings(GatewaySettings), read_settings(tracing.TracingSettings)
    try:
        app = create_app(settings, Metrics(REGISTRY), tracing.start(traced, "gateway"))
    except ApiKeysError as error:
        refuse_settings(f"API_KEYS_FILE: {error}")
    spare_loaded_objects()
    served = connections(connection_limits(settings, KEEP_ALIVE_SECONDS), app.metrics.connections, app.early_refusals)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        ws="none",
        http=served,  # type: ignore[arg-type]
        access_log=False,
        backlog=BACKLOG,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    end_at_sigterm()
    Server(config, served, settings.drain_seconds).run()


if __name__ == "__main__":
    main()
