"""Client connections: what each may send, and how each ends.

`framing` cuts requests out of a connection's bytes, one at a time. The next request begins once the one before is
answered; until then its bytes wait, within limits.

A kept-alive connection stays with one replica, so replicas that autoscaling adds would get nothing to do. And a request
that arrives just as the server closes its connection is lost. So an answer says `Connection: close` (RFC 9112, section
9.6) if its connection is old or the server is about to end.

Slow clients are disconnected. Each stage of a request has a time limit, and one sweep a second over all connections
finds those that exceed it.

When there are too many connections, one that never sent a request makes room, or else the one that is idle longest.
"""

import asyncio
import contextlib
import os
import random
import socket
from typing import Any

import uvicorn

from httpserver import refusals, uvicorn_names
from httpserver.ending import UNDER_WAY, Ending, Stage
from httpserver.exchange import UNREAD_BYTES, Exchange, scope_of
from httpserver.flow import Flow
from httpserver.framing import RequestStream
from httpserver.heads import Head, RequestRefused
from httpserver.limits import ConnectionLimits
from httpserver.refusals import Hooks
from httpserver.shared import Shared

JITTER = 0.5
"""Largest share of its maximum age by which a connection ends earlier, so that not all opened together end together."""
SEND_BUFFER_BYTES = 64 * 1024
"""Bytes of the kernel's send buffer for each connection; the kernel takes twice as much.

By default it would keep megabytes for a client that does not read, and they count as memory of the pod.
"""
READ_BYTES = 64 * 1024


class Connection(Ending):
    """A client connection: takes requests, one at a time, and gives each to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Draw this connection's maximum age, and evict another if there are too many."""
        shared, self.transport = self._shared, transport
        connected: socket.socket = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._client, self._server = _address(transport, "peername"), _address(transport, "sockname")
        self._end = self._since + shared.limits.age * (1 - JITTER * random.random())
        self._stream = RequestStream(self, shared.limits.heads)
        self.flow = Flow(transport, self._stream)
        shared.state.connections.add(self)
        shared.strangers[self] = None
        shared.sweep.plan()
        if len(shared.state.connections) > shared.limits.connections:
            self._make_room()
        self._take_what_is_there(connected)

    def _take_what_is_there(self, connected: socket.socket) -> None:
        """Read what the client has sent already; the event loop would do so only a turn later."""
        if self.transport.is_closing():
            return
        data = b""
        # The transport itself notices errors and the end of the stream.
        with contextlib.suppress(OSError):
            data = os.read(connected.fileno(), READ_BYTES)
        if data:
            self.data_received(data)
        if self.flow.read_paused:
            # After this method returns, the transport starts reading even if it was paused before.
            self._loop.call_soon(self._pause_again)

    def _pause_again(self) -> None:
        if self.flow.read_paused:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove this connection and fail what its client waited for."""
        self._forget()
        self._shared.state.connections.discard(self)
        self._stream.close()
        self._count(0)
        self._release_body()
        self.flow.resume_writing()
        if self._exchange is not None:
            self._exchange.disconnect()
        self._stage = Stage.END
        # It refers back to this connection and would keep it, and all it holds, until a garbage collection.
        self._exchange = None

    def pause_writing(self) -> None:
        """Let answers wait: the client does not read."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Let answers go on."""
        self.flow.resume_writing()

    # Bytes of the client

    def data_received(self, data: bytes) -> None:
        """Take bytes; later requests are held until the current one is answered, and reading pauses meanwhile."""
        self._advance(data)

    def _advance(self, data: bytes = b"") -> None:
        """Parse and serve what has arrived, as far as it may be served now."""
        stream = self._stream
        try:
            stream.feed(data) if data else stream.go_on()
        except RequestRefused as refused:
            self._refuse(refused, "body" if self._stage is Stage.BODY else "head")
        held = stream.held
        if held:
            self.flow.pause_reading()
        size = held + (stream.head_bytes if self._stage in UNDER_WAY else 0)
        if size != self._counted and not self._count(size):
            self._end_for_room()

    def _end_for_room(self) -> None:
        """Take nothing more: the answer under way is the last, and an incomplete head is refused."""
        if self._stage is Stage.HEAD:
            self._refuse(refusals.too_much_waiting(self._shared.waiting.limit), "room")
        elif self._stream.held and self._exchange is not None:
            self._shared.hooks.ended("room")
            self._stream.end()
            self._count(self._stream.head_bytes)
            self._exchange.keep_alive = False

    def eof_received(self) -> bool:
        """Go on with the request under way: a client may close its side once it has sent its request."""
        self.has_ended = True
        answered = self._is_answered()
        if self._stage in (Stage.HEAD, Stage.BODY) and not (self._stage is Stage.BODY and answered):
            self._refuse(refusals.incomplete_request(), "head" if self._stage is Stage.HEAD else "body")
        if self._stage is not Stage.ANSWER or self._exchange is None or answered or self.transport.is_closing():
            return False
        if not self._stream.held:
            self._exchange.keep_alive = False
        self._exchange.half_closed()
        return True

    # Events of the stream

    def takes_next(self) -> bool:
        """Return whether the previous request is answered."""
        return (self._exchange is None or self._exchange.done) and not self.transport.is_closing()

    def request_begun(self) -> None:
        """Note that a request's head begins."""
        self._stage, self._since = Stage.HEAD, self._loop.time()

    def request_headed(self, head: Head) -> None:
        """Take a request, and decide whether it is this connection's last."""
        shared = self._shared
        self._stage, self._since = Stage.BODY, self._loop.time()
        self._forget()
        shared.refusals.flush(self.transport)
        is_last = shared.draining or self._since > self._end
        if not (is_last or self.flow.write_paused) and head.keep_alive and (answer := shared.at_once(head)):
            self._exchange = None
            shared.refusals.write(self.transport, shared.refusal_begin() + answer)
            return
        self._check_body(head.length)
        scope = scope_of(head, self._client, self._server, shared.app_state)
        self._exchange = Exchange(self, head, scope, head.keep_alive and not is_last)
        task = self._loop.create_task(self._exchange.run(shared.application))
        shared.state.tasks.add(task)
        task.add_done_callback(shared.state.tasks.discard)

    def _check_body(self, size: int) -> None:
        limit = self._shared.limits.body_bytes
        if limit is not None and size > limit:
            raise refusals.too_large_body(limit)

    def body_received(self, body: bytes) -> None:
        """Take a piece of a body; that of an answered request is dropped."""
        exchange = self._exchange
        if exchange is None or exchange.done:
            return
        self._check_body(self._body_bytes + len(body))
        self._body_bytes += len(body)
        if not self._shared.bodies.change(len(body)):
            raise refusals.too_many_bodies(self._shared.bodies.limit)
        if exchange.add(body) > UNREAD_BYTES:
            self.flow.pause_reading()

    def request_completed(self) -> None:
        """Note that the request is complete; it may be answered already."""
        if self._exchange is not None:
            self._exchange.complete()
        self._stage = Stage.ANSWER
        self._rest_if_done()

    # Answers

    def own_lines(self) -> bytes:
        """Return the lines of the server's own headers."""
        return self._shared.own_lines()

    def answered(self, keep_alive: bool) -> None:
        """Note that the answer is complete; the request itself may not be."""
        self._release_body()
        if not keep_alive:
            self._finish()
        self._rest_if_done()
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._advance()
            if self.takes_next():
                # Requests that waited may have been refused at once.
                self.flow.resume_reading()

    def _rest_if_done(self) -> None:
        if self._stage is Stage.ANSWER and (self._exchange is None or self._exchange.done):
            self._stage, self._since = Stage.IDLE, self._loop.time()
            self._shared.idle[self] = None


def _address(transport: asyncio.Transport, name: str) -> Any:
    """Return host and port of one end of a connection, or None if it has none, as a Unix socket."""
    try:
        found = transport.get_extra_info(name)
    except OSError:
        # The client has gone already.
        return None
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None


class Connections:
    """Maker of one server's connections: the value of `uvicorn.Config(http=…)`.

    Args:
        limits: Limits of the connections.
        hooks: The application's part in refusals.
    """

    def __init__(self, limits: ConnectionLimits, hooks: Hooks) -> None:
        self._limits, self._hooks = limits, hooks
        self._shared: Shared[Ending] | None = None
        self.draining = False
        """Whether each connection closes after its next answer, so that clients move to other servers."""

    def __call__(
        self,
        config: uvicorn.Config,
        server_state: uvicorn_names.ServerState,
        app_state: dict[str, Any],
        _loop: Any = None,
    ) -> Connection:
        """Return a new connection of the server to which this configuration and state belong."""
        if self._shared is None or self._shared.state is not server_state:
            self._shared = Shared(self._limits, self._hooks, config, server_state, app_state)
            self._shared.draining = self.draining
        return Connection(self._shared)

    def drain(self) -> None:
        """Close each connection after its next answer."""
        self.draining = True
        if self._shared is not None:
            self._shared.draining = True

    @property
    def open(self) -> int:
        """Return how many connections are open."""
        return 0 if self._shared is None else len(self._shared.state.connections)

    @property
    def waiting_refusals(self) -> int:
        """Return how many refusals wait for a later turn of the event loop."""
        return 0 if self._shared is None else self._shared.refusals.waiting

    @property
    def bodies_bytes(self) -> int:
        """Return how many bytes the bodies of all unanswered requests have."""
        return 0 if self._shared is None else self._shared.bodies.used

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes of heads and of requests wait behind another, over all connections."""
        return 0 if self._shared is None else self._shared.waiting.used
