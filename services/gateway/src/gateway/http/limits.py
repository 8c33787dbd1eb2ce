"""Limits of client connections, from the settings."""

from gateway.settings import GatewaySettings
from httpserver import ConnectionLimits, HeadLimits, raise_file_limit


def connection_limits(settings: GatewaySettings, idle: float) -> ConnectionLimits:
    """Return the limits from the settings, with at most as many connections as open files allow.

    Args:
        settings: The gateway's settings.
        idle: Seconds that a connection may wait for its next request.
    """
    return ConnectionLimits(
        age=settings.max_connection_seconds,
        idle=idle,
        head=settings.max_head_seconds,
        body=settings.max_body_seconds,
        write=settings.max_write_seconds,
        connections=raise_file_limit(settings.max_connections),
        heads=HeadLimits(headers=settings.max_headers),
        waiting_bytes=settings.max_waiting_bytes,
    )
