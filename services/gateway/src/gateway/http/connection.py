"""Client connections: what each may send, and how each ends.

`framing` cuts requests out of a connection's bytes, one at a time. The next request begins once the one before is
answered; until then its bytes wait, within limits.

A kept-alive connection stays with one replica, so replicas that autoscaling adds would get nothing to do. And a request
that arrives just as the server closes its connection is lost. So an answer says `Connection: close` (RFC 9112, section
9.6) if its connection is old or the server is about to end.

Slow clients are disconnected. Each stage of a request has a time limit, and one sweep a second over all connections
finds those that exceed it. That costs less than a timer for each request.

When there are too many connections, one that never sent a request makes room, or else the one that is idle longest.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import ClientDisconnect

from gateway import problems
from gateway.http.ending import UNDER_WAY, EndingProtocol, Stage
from gateway.http.framing import RequestStream
from gateway.http.heads import Head, RequestRefused
from gateway.http.limits import ConnectionLimits, Room
from gateway.http.paced_refusals import PacedRefusals
from gateway.http.uvicorn_parts import ANSWERED, CycleTransport, Flow, HeadView
from gateway.metrics import ConnectionMetrics
from gateway.problems import Problem

JITTER = 0.5
"""Largest share of its maximum age by which a connection ends earlier, so that not all opened together end together."""
AWAITS = "gateway.awaits"
"""Name of the scope extension that holds `Connection.awaits`."""
AtOnce = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]]], bytes | None]
"""Maps a request's method, target and headers to header lines and body of a 503; None: the application answers."""
Futures = Sequence[asyncio.Future[Any]]
SEND_BUFFER_BYTES = 64 * 1024
"""Bytes of the kernel's send buffer for each connection; the kernel takes twice as much.

By default it would keep megabytes for a client that does not read, and they count as memory of the pod.
"""
READ_BYTES = 64 * 1024
REASONS = ("head", "body", "idle", "write", "room")


class Connection(EndingProtocol):
    """A client connection: uvicorn's protocol with this gateway's framing, limits and end."""

    at_once: AtOnce | None
    """Refuses a request before the application sees it."""
    draining = False
    """Whether each connection closes after its next answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Draw this connection's maximum age, and evict another if there are too many."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._end = self.loop.time() + self.limits.age * (1 - JITTER * random.random())
        self._awaited: Futures = ()
        self._doubt: Callable[[Futures], None] | None = None
        self._stream = RequestStream(self, self.limits.heads)
        self.flow = Flow(transport, self._stream)
        self._view = HeadView()
        self.parser = self._view  # type: ignore[assignment]
        self._cycle_transport: Any = CycleTransport(transport, self._finish)
        self._open()
        if len(self.connections) > self.limits.connections:
            self._make_room()
        self._take_what_is_there()

    def _take_what_is_there(self) -> None:
        """Read what the client has sent already; the event loop would do so only a turn later."""
        if self.transport.is_closing():
            return
        data = b""
        # The transport itself notices errors and the end of the stream.
        with contextlib.suppress(OSError):
            data = os.read(self.transport.get_extra_info("socket").fileno(), READ_BYTES)
        if data:
            self.data_received(data)
        if self.flow.read_paused:
            # After this method returns, the transport starts reading even if it was paused before.
            self.loop.call_soon(self._pause_again)

    def _pause_again(self) -> None:
        if self.flow.read_paused:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove this connection and fail what its client waited for."""
        self._forget()
        for future in self._awaited:
            if not future.done():
                future.set_exception(ClientDisconnect())
        self._awaited, self._doubt = (), None
        self._stream.close()
        self._count(0)
        super().connection_lost(exc)
        # uvicorn's keep-alive timer would keep a reset connection in memory until it fires.
        self._unset_keepalive_if_required()
        if self.cycle is not None:
            self.cycle.scope["extensions"].clear()
        # What refers back to this connection would keep it, and all it holds, until a garbage collection.
        self._stage = Stage.END
        self.cycle = None  # type: ignore[assignment]
        del self._cycle_transport

    # Bytes of the client

    def data_received(self, data: bytes) -> None:
        """Take bytes; later requests are held until the current one is answered, and reading pauses meanwhile."""
        self._unset_keepalive_if_required()
        self._advance(data)

    def _advance(self, data: bytes = b"") -> None:
        """Parse and serve what has arrived, as far as it may be served now."""
        stream = self._stream
        try:
            stream.feed(data) if data else stream.go_on()
        except RequestRefused as refused:
            problem = Problem(refused.status, refused.kind, refused.detail, **refused.members)
            self._refuse(problem, "body" if self._stage is Stage.BODY else "head")
        held = stream.held
        if held:
            self.flow.pause_reading()
        size = held + (stream.head_bytes if self._stage in UNDER_WAY else 0)
        if size != self._counted and not self._count(size):
            self._end_for_room()

    def _end_for_room(self) -> None:
        """Take nothing more: the answer under way is the last, and an incomplete head is refused."""
        if self._stage is Stage.HEAD:
            self._refuse(problems.too_much_waiting(self.room.limit), "room")
        elif self._stream.held and self.cycle is not None:
            self.metrics.ended.labels("room").inc()
            self._stream.end()
            self._count(self._stream.head_bytes)
            self.cycle.keep_alive = False

    def eof_received(self) -> bool:  # type: ignore[override]
        """Go on with the request under way: a client may close its side once it has sent its request."""
        self._has_ended = True
        answered = self.cycle is None or self.cycle.response_complete
        if self._stage in (Stage.HEAD, Stage.BODY) and not (self._stage is Stage.BODY and answered):
            self._refuse(problems.incomplete_request(), "head" if self._stage is Stage.HEAD else "body")
        if self._stage is not Stage.ANSWER or answered or self.transport.is_closing():
            return False
        if not self._stream.held:
            self.cycle.keep_alive = False
        if self._doubt:
            self._doubt(self._awaited)
        return True

    # Events of the stream

    def takes_next(self) -> bool:
        """Return whether the previous request is answered."""
        return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

    def request_begun(self) -> None:
        """Note that a request's head begins."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._stage, self._since = Stage.HEAD, self.loop.time()

    def request_headed(self, head: Head) -> None:
        """Take a request, and decide whether it is this connection's last."""
        self._view.head = head
        self._stage, self._since = Stage.BODY, self.loop.time()
        self._forget()
        self.refusals.flush(self.transport)
        is_last = self.draining or self._since > self._end
        if is_last or not self._refused_at_once(head):
            self._begin(head, is_last)

    def _begin(self, head: Head, is_last: bool) -> None:
        self.on_message_begin()
        self.url, self.headers, self.expect_100_continue = head.target, head.headers, head.expects_continue
        self.scope["headers"] = head.headers
        self.on_headers_complete()
        self.cycle.transport = self._cycle_transport
        if is_last:
            self.cycle.keep_alive = False
        extensions: dict[Any, Any] = {AWAITS: self.awaits}
        self.scope["extensions"] = extensions

    def _refused_at_once(self, head: Head) -> bool:
        """Refuse this request without the application, at a fraction of the cost, if nothing is queued before it."""
        if self.at_once is None or self.flow.write_paused or not head.keep_alive:
            return False
        answer = self.at_once(head.method, head.target, head.headers)
        if answer is None:
            return False
        self.refusals.write(self.transport, self.refusals.begin(self.server_state.default_headers) + answer)
        self.cycle = ANSWERED
        self.server_state.total_requests += 1
        return True

    def body_received(self, body: bytes) -> None:
        """Take a piece of a body; that of a request refused at once is dropped."""
        if self.cycle is not ANSWERED:
            self.on_body(body)

    def request_completed(self) -> None:
        """Note that the request is complete; it may be answered already."""
        if self.cycle is not ANSWERED:
            self.on_message_complete()
        self._stage = Stage.ANSWER
        self._rest_if_done()

    # Answers

    def awaits(self, futures: Futures, doubt: Callable[[Futures], None] | None = None) -> None:
        """Note the futures that the request waits for; each fails with `ClientDisconnect` if the client disconnects.

        Args:
            futures: Futures that the request waits for.
            doubt: Called with them when the client closes its side: it may have gone, or may wait for its answer.
        """
        self._awaited, self._doubt = futures, doubt
        if self._has_ended and doubt:
            doubt(futures)

    def on_response_complete(self) -> None:
        """Note that the answer is complete; the request itself may not be."""
        super().on_response_complete()
        self._awaited, self._doubt = (), None
        self._rest_if_done()
        if not self.transport.is_closing():
            self._advance()

    def _rest_if_done(self) -> None:
        if self._stage is Stage.ANSWER and self.cycle.response_complete:
            self._stage, self._since = Stage.IDLE, self.loop.time()
            self.idle[self] = None


def connections(
    limits: ConnectionLimits, at_once: AtOnce | None = None, metrics: ConnectionMetrics | None = None
) -> type[Connection]:
    """Return the connection class of one server; its shared state belongs to that class."""
    metrics = metrics or ConnectionMetrics()
    for reason in REASONS:
        metrics.ended.labels(reason)
    own = {"limits": limits, "at_once": staticmethod(at_once) if at_once else None}
    room = Room(limits.waiting_bytes)
    metrics.waiting_bytes.set_function(lambda: room.used)
    shared = {
        "strangers": OrderedDict(),
        "idle": OrderedDict(),
        "refusals": PacedRefusals(),
        "room": room,
        "metrics": metrics,
    }
    return type("ServerConnection", (Connection,), own | shared)
