"""Command `gateway`: serve, or make an API key."""

import gc
import logging
import sys

import uvicorn
from prometheus_client import REGISTRY
from pydantic import ValidationError
from pydantic_settings import SettingsError

import tracing
from gateway.access import make_key
from gateway.access.api_keys import ApiKeysError
from gateway.app import create_app
from gateway.http.connection import connections
from gateway.http.limits import ConnectionLimits
from gateway.http.server import Server
from gateway.metrics import Metrics
from gateway.settings import Settings
from runtime import configure_logging, end_at_sigterm

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
    try:
        settings, traced = Settings(), tracing.Settings()
        app = create_app(settings, Metrics(REGISTRY), tracing.start(traced, "gateway"))
    except (ValidationError, SettingsError, ApiKeysError) as error:
        logging.getLogger("gateway").error("settings refused", extra={"reason": _reason(error)})
        sys.exit(2)
    # Objects loaded so far stay for good. A full collection through them stops all requests, which shows in the tail
    # latency.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        ws="none",
        http=connections(
            ConnectionLimits.of(settings, KEEP_ALIVE_SECONDS), app.early_refusals.at_once, app.metrics.connections
        ),
        access_log=False,
        backlog=BACKLOG,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    end_at_sigterm()
    Server(config, settings.drain_seconds, app.metrics.connections).run()


def _reason(error: ValidationError | SettingsError | ApiKeysError) -> str:
    """Return which variables are wrong and why, in one line."""
    if isinstance(error, ApiKeysError):
        return f"API_KEYS_FILE: {error}"
    if isinstance(error, SettingsError):
        return f"{error}: {error.__cause__}"
    return "; ".join(": ".join([*map(_variable, each["loc"][:1]), each["msg"]]) for each in error.errors())


def _variable(field: int | str) -> str:
    return str(field).upper()


if __name__ == "__main__":
    main()
