"""All names of uvicorn that this library uses although uvicorn does not document them; no other module names any.

1. `Config.http` takes any callable that returns a protocol, which uvicorn calls as
2. `(config, server_state, app_state, _loop)`, and which it stores as
3. `Config.http_protocol_class`.
4. `Config.loaded_app` is the application, inside uvicorn's middleware.
5. `ServerState.connections`: the open connections, whose method
6. `shutdown()` uvicorn calls when it ends. It waits until the set is empty.
7. `ServerState.tasks`: requests under way, which it awaits, and cancels after `timeout_graceful_shutdown`.
8. `ServerState.default_headers`: `Date` and others, a new list each second.
9. `Server.startup()`, `Server.shutdown()`, `Server.servers`: where a subclass adds work and listens again.
10. `Server.lifespan.state`: the state that the application's lifespan has set.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp

Headers = Sequence[tuple[bytes, bytes]]


class ServerState(Protocol):
    """State that the protocols of one server share with uvicorn."""

    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: list[tuple[bytes, bytes]]


def application(config: uvicorn.Config) -> ASGIApp:
    """Return the application that a server serves."""
    if not config.loaded:
        config.load()
    app: ASGIApp = config.loaded_app
    return app


def listening(server: uvicorn.Server) -> list[asyncio.Server]:
    """Return what a started server listens with; it closes all of them when it ends."""
    found: list[Any] = server.servers
    return found


def protocol_factory(server: uvicorn.Server, make: Callable[..., asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
    """Return a function that makes protocols as a started server does."""
    config, state, app_state = server.config, server.server_state, server.lifespan.state
    return lambda: make(config=config, server_state=state, app_state=app_state)
