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
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway import metrics, problems
from gateway.http.access_log import new_request_id
from gateway.http.bodies import BODY_LATE
from gateway.http.framing import RequestStream
from gateway.http.heads import Head, RequestRefused
from gateway.http.limits import ConnectionLimits, Room
from gateway.http.paced_refusals import PacedRefusals
from gateway.problems import Problem

JITTER = 0.5
"""Largest share of its maximum age by which a connection ends earlier, so that not all opened together end together."""
AWAITS = "gateway.awaits"
"""Name of the scope extension that holds `Connection.awaits`."""
AtOnce = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]]], bytes | None]
"""Maps a request's method, target and headers to header lines and body of a 503; None: the application answers."""
Futures = Sequence[asyncio.Future[Any]]
GRACE_SECONDS = 1.0
"""Seconds a new connection is safe from eviction; every honest client sends its first request within them."""
LINGER_SECONDS = 2.0
"""Seconds a client may go on sending after its last answer.

Closing at once would reset the connection and lose the answer (RFC 9112, section 9.6).
"""
SEND_BUFFER_BYTES = 64 * 1024
"""Bytes of the kernel's send buffer for each connection; the kernel takes twice as much.

By default it would keep megabytes for a client that does not read, and they count as memory of the pod.
"""
READ_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER value with a timeout of zero, which makes close() reset the connection (socket(7))."""
REASONS = ("head", "body", "idle", "write", "room")


ANSWERED: Any = SimpleNamespace(
    response_started=True, response_complete=True, scope={"extensions": {}}, message_event=asyncio.Event()
)
"""Stands for uvicorn's request state if a request was answered without the application."""


class Stage(Enum):
    """Stages of a connection, by what it waits for."""

    NEW = "the first request"
    IDLE = "the next request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "our answer"
    END = "the client's end of the connection, after the last answer"


UNDER_WAY = (Stage.HEAD, Stage.BODY, Stage.ANSWER)


class Flow(FlowControl):
    """uvicorn's flow control, which also stops reading while a stream holds unparsed requests."""

    def __init__(self, transport: asyncio.Transport, stream: RequestStream) -> None:
        super().__init__(transport)
        self._stream = stream

    def resume_reading(self) -> None:
        """Resume reading, unless requests wait."""
        if not self._stream.held:
            super().resume_reading()


class HeadView:
    """View of a head with the parser methods that uvicorn's protocol calls."""

    head: Head

    def get_http_version(self) -> str:
        """Return the HTTP version."""
        return self.head.version

    def get_method(self) -> bytes:
        """Return the method."""
        return self.head.method

    def should_keep_alive(self) -> bool:
        """Return whether the connection stays open after the answer."""
        return self.head.keep_alive

    def should_upgrade(self) -> bool:
        """Return False: no other protocol is supported."""
        return False


class CycleTransport:
    """Transport for uvicorn's request state; closing it ends the connection in order."""

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = finish


class Connection(HttpToolsProtocol):
    """A client connection: uvicorn's protocol with this gateway's framing, limits and end."""

    limits: ConnectionLimits
    room: Room
    at_once: AtOnce | None
    """Refuses a request before the application sees it."""
    draining = False
    """Whether each connection closes after its next answer."""
    strangers: "OrderedDict[Connection, None]"
    """The server's connections without any request so far, oldest first."""
    idle: "OrderedDict[Connection, None]"
    """Connections whose requests are all answered, longest idle first."""
    refusals: PacedRefusals
    """Refusals that wait to be written, over all connections of the server."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Draw this connection's maximum age, and evict another if there are too many."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        now = self.loop.time()
        self._end = now + self.limits.age * (1 - JITTER * random.random())
        self._stage, self._since = Stage.NEW, now
        self._awaited: Futures = ()
        self._doubt: Callable[[Futures], None] | None = None
        self._unread_since: float | None = None
        self._has_ended = False
        """Whether the client has closed its side."""
        self._counted = 0
        """Bytes of this connection counted in the shared room."""
        self._stream = RequestStream(self, self.limits.heads)
        self.flow = Flow(transport, self._stream)
        self._view = HeadView()
        self.parser = self._view  # type: ignore[assignment]
        self._cycle_transport: Any = CycleTransport(transport, self._finish)
        self.strangers[self] = None
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
        if stream.held:
            self.flow.pause_reading()
        if not self._count(stream.held + (stream.head_bytes if self._stage in UNDER_WAY else 0)):
            self._end_for_room()

    def _count(self, size: int) -> bool:
        """Count the bytes this connection holds; return whether the shared room has space for them."""
        more, self._counted = size - self._counted, size
        return self.room.change(more)

    def _end_for_room(self) -> None:
        """Take nothing more: the answer under way is the last, and an incomplete head is refused."""
        if self._stage is Stage.HEAD:
            self._refuse(problems.too_much_waiting(self.room.limit), "room")
        elif self._stream.held and self.cycle is not None:
            metrics.CONNECTIONS_ENDED.labels("room").inc()
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
        self._unset_keepalive_if_required()
        self._stage, self._since = Stage.HEAD, self.loop.time()

    def request_headed(self, head: Head) -> None:
        """Take a request, and decide whether it is this connection's last."""
        self._view.head = head
        self.on_message_begin()
        self.url, self.headers, self.expect_100_continue = head.target, head.headers, head.expects_continue
        self.scope["headers"] = head.headers
        self._stage, self._since = Stage.BODY, self.loop.time()
        self._forget()
        self.refusals.flush(self.transport)
        is_last = self.draining or self._since > self._end
        if is_last or not self._refused_at_once():
            self._begin(is_last)

    def _begin(self, is_last: bool) -> None:
        self.on_headers_complete()
        self.cycle.transport = self._cycle_transport
        if is_last:
            self.cycle.keep_alive = False
        extensions: dict[Any, Any] = {AWAITS: self.awaits}
        self.scope["extensions"] = extensions

    def _refused_at_once(self) -> bool:
        """Refuse this request without the application, at a fraction of the cost, if nothing is queued before it."""
        head = self._view.head
        if self.at_once is None or self.flow.write_paused or not head.keep_alive:
            return False
        answer = self.at_once(head.method, head.target, head.headers)
        if answer is None:
            return False
        dated = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        self.refusals.write(self.transport, b"".join((STATUS_LINE[HTTPStatus.SERVICE_UNAVAILABLE], dated, answer)))
        self.cycle = ANSWERED
        self.server_state.total_requests += 1
        return True

    def body_received(self, body: bytes) -> None:
        """Take a piece of a body."""
        self.on_body(body)

    def request_completed(self) -> None:
        """Note that the request is complete; it may be answered already."""
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

    # Ends

    def sweep(self, now: float) -> None:
        """End this connection if its client is too slow."""
        if self._is_unread(now):
            self._abort("write")
        elif not self.transport.is_closing() and now - self._since > self._allowed():
            self._end_stage()

    def _allowed(self) -> float:
        if self._stage is Stage.ANSWER:
            return float("inf")
        if self._stage is Stage.END:
            return LINGER_SECONDS
        if self._stage is Stage.BODY:
            return self.limits.body
        return self.limits.idle if self._stage is Stage.IDLE else self.limits.head

    def _is_unread(self, now: float) -> bool:
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
            return False
        if self._unread_since is None:
            self._unread_since = now
        return now - self._unread_since > self.limits.write

    def _end_stage(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if self._stage is Stage.END:
            self.transport.close()
        elif self._stage in (Stage.NEW, Stage.IDLE):
            self._close("idle")
        elif self._stage is Stage.HEAD:
            self._refuse(problems.too_slow("the head of the request", self.limits.head), "head")
        elif self._stage is Stage.BODY and self.flow.read_paused:
            # The gateway itself has paused reading, so the client is not slow.
            self._since = self.loop.time()
        elif self._stage is Stage.BODY:
            self._end_body(answered)

    def _end_body(self, answered: bool) -> None:
        """Let the application refuse a late body; abort if it has answered, or has not by the next sweep."""
        state = self.scope["state"]
        if answered or BODY_LATE in state:
            self._abort("body")
        else:
            state[BODY_LATE] = True
            self.cycle.message_event.set()

    def _make_room(self) -> None:
        """Evict a connection that had time to send a request and did not, or else the longest idle one.

        If most connections have sent nothing, evict one of those: an idle one may have a request on its way.
        """
        stranger, idle = next(iter(self.strangers)), next(iter(self.idle), None)
        has_had_time = self._since - stranger._since > GRACE_SECONDS or 2 * len(self.strangers) > len(self.connections)
        longest = stranger if idle is None or has_had_time else idle
        if longest is self:
            self.transport.write(_answer(problems.too_many_connections(self.limits.connections)))
            self._close("room")
        elif longest.transport.get_write_buffer_size():
            longest._abort("room")
        else:
            longest._close("room")

    def _forget(self) -> None:
        self.strangers.pop(self, None)
        self.idle.pop(self, None)

    def _refuse(self, problem: Problem, reason: str) -> None:
        """Answer in the application's place and close. If another answer has begun, only close: they would mix."""
        self.refusals.flush(self.transport)
        self._stream.end()
        metrics.CONNECTIONS_ENDED.labels(reason).inc()
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun:
            self.transport.write(_answer(problem))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._forget()
        if begun or self._has_ended:
            self.transport.close()
        else:
            self._linger()

    def _finish(self) -> None:
        """Close after the last answer."""
        may_send = self._stream.is_within or self._stream.held or self.flow.read_paused
        if may_send and not self._has_ended:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Tell the client that nothing follows, and read for a moment what it still sends."""
        if self._stage is Stage.END or self.transport.is_closing():
            return
        self._stage, self._since = Stage.END, self.loop.time()
        self._stream.end()
        self._count(0)
        self.transport.write_eof()
        self.flow.resume_reading()
        # Connections that linger are the first to be evicted.
        self._forget()
        self.idle[self] = None
        self.idle.move_to_end(self, last=False)

    def shutdown(self) -> None:
        """Shut down: write the refusals that still wait, then end as uvicorn does."""
        self.refusals.flush(self.transport)
        if self._stage is Stage.END:
            self.transport.close()
        super().shutdown()

    def _close(self, reason: str) -> None:
        self.refusals.flush(self.transport)
        metrics.CONNECTIONS_ENDED.labels(reason).inc()
        self._forget()
        self.transport.close()

    def _abort(self, reason: str) -> None:
        # Reset the connection: otherwise the kernel would keep the unread data for as long as the client likes.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        metrics.CONNECTIONS_ENDED.labels(reason).inc()
        self._forget()
        self.transport.abort()


def _answer(problem: Problem) -> bytes:
    request_id = new_request_id()
    body = problem.body(request_id)
    headers = {
        "content-type": problems.MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        **problem.headers(),
        "connection": "close",
    }
    headers = {name.lower(): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[problem.status.value] + f"{lines}\r\n".encode() + body


def connections(limits: ConnectionLimits, at_once: AtOnce | None = None) -> type[Connection]:
    """Return the connection class of one server; its shared state belongs to that class."""
    for reason in REASONS:
        metrics.CONNECTIONS_ENDED.labels(reason)
    own = {"limits": limits, "at_once": staticmethod(at_once) if at_once else None}
    room = Room(limits.waiting_bytes)
    metrics.WAITING_BYTES.set_function(lambda: room.used)
    shared = {"strangers": OrderedDict(), "idle": OrderedDict(), "refusals": PacedRefusals(), "room": room}
    return type("ServerConnection", (Connection,), own | shared)
