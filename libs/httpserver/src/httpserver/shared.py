"""State that the connections of one server share."""

import asyncio
import sys
from collections import OrderedDict
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import uvicorn

from httpserver import uvicorn_names
from httpserver.answer_head import STATUS_LINE
from httpserver.limits import ConnectionLimits, Room
from httpserver.paced_refusals import PacedRefusals
from httpserver.refusals import Hooks
from httpserver.sweep import Sweep

C = TypeVar("C")
"""Class of the connections."""


class Shared(Generic[C]):
    """State that the connections of one server share.

    Args:
        limits: Limits of the connections.
        hooks: The application's part in refusals.
        config: Configuration of the server, which names the application.
        state: What uvicorn shares with the connections of this server.
        app_state: State that the application's lifespan has set.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        hooks: Hooks,
        config: uvicorn.Config,
        state: uvicorn_names.ServerState,
        app_state: dict[str, Any],
    ) -> None:
        self.limits, self.hooks, self.app_state = limits, hooks, app_state
        self.at_once = hooks.at_once
        self.application = uvicorn_names.application(config)
        self.state = state
        self.draining = False
        """Whether each connection closes after its next answer."""
        self.strangers: OrderedDict[C, None] = OrderedDict()
        """Connections without any request so far, oldest first."""
        self.idle: OrderedDict[C, None] = OrderedDict()
        """Connections whose requests are all answered, longest idle first."""
        self.refusals = PacedRefusals()
        """Refusals that wait to be written."""
        self.waiting = Room(limits.waiting_bytes)
        self.bodies = Room(limits.bodies_bytes if limits.bodies_bytes is not None else sys.maxsize)
        self.sweep = Sweep(state.connections, asyncio.get_running_loop())
        self._own: tuple[uvicorn_names.Headers, bytes] = ((), b"")

    def own_lines(self) -> bytes:
        """Return the lines of the server's own headers, which change once a second."""
        headers = self.state.default_headers
        known, lines = self._own
        if known is not headers:
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._own = headers, lines
        return lines

    def refusal_begin(self) -> bytes:
        """Return the status line and the server's own headers of a refusal at once."""
        return STATUS_LINE[HTTPStatus.SERVICE_UNAVAILABLE] + self.own_lines()
