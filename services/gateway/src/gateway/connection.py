"""Clients' connections: what each may send, and how each ends.

Requests are cut out of a connection's bytes by `framing`, one at a time: the next one begins once the one before is
answered, and until then its bytes wait, within limits. A connection that is kept stays with one replica, so replicas
that autoscaling adds would get nothing to do. One that is used at the very moment at which the server closes it loses
its request. So an answer says `Connection: close` (RFC 9112, section 9.6) when its connection is old, or the server is
about to end.

A slow client is ended too: each stage of a request has a time, and one look a second at all connections finds those
that are over it, for less than a timer for each request would cost. Of too many connections, one that never asked
anything makes room, or the one that is idle for longest.
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
from gateway.access_log import new_request_id
from gateway.framing import RequestStream
from gateway.heads import Head, RequestRefused
from gateway.limits import ConnectionLimits, Room
from gateway.paced_refusals import PacedRefusals
from gateway.problems import Problem
from gateway.requests import BODY_LATE

JITTER = 0.5
"""The share of its age by which a connection may end earlier: those opened together do not end together."""
AWAITS = "gateway.awaits"
"""An extension of a request's scope: `Connection.awaits`."""
AtOnce = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]]], bytes | None]
"""Method, target and headers of a request -> header lines and body of a 503, or None: the application answers."""
Futures = Sequence[asyncio.Future[Any]]
GRACE_SECONDS = 1.0
"""In which every honest client sends the first request of its connection."""
LINGER_SECONDS = 2.0
"""How long a client may go on sending after its last answer. Closed at once, its connection would be reset, and the
answer with it (RFC 9112, section 9.6)."""
SEND_BUFFER_BYTES = 64 * 1024
"""Of the kernel, for each connection (it takes twice as much): by itself it would keep megabytes for a client that does
not read, and they count as memory of the pod."""
READ_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""A linger of no time, socket(7)."""
REASONS = ("head", "body", "idle", "write", "room")


ANSWERED: Any = SimpleNamespace(
    response_started=True, response_complete=True, scope={"extensions": {}}, message_event=asyncio.Event()
)
"""In the place of uvicorn's state of a request: it was answered without the application."""


class Stage(Enum):
    """What a connection waits for."""

    NEW = "the first request"
    IDLE = "the next request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "our answer"
    END = "the client's end of the connection, after the last answer"


UNDER_WAY = (Stage.HEAD, Stage.BODY, Stage.ANSWER)


class Flow(FlowControl):
    """uvicorn's flow control, which reads nothing more while a stream holds what it has read."""

    def __init__(self, transport: asyncio.Transport, stream: RequestStream) -> None:
        super().__init__(transport)
        self._stream = stream

    def resume_reading(self) -> None:
        """Read on, unless requests wait."""
        if not self._stream.held:
            super().resume_reading()


class HeadView:
    """The getters of a parser that uvicorn's protocol asks, answered from a head."""

    head: Head

    def get_http_version(self) -> str:
        """Return the version of HTTP."""
        return self.head.version

    def get_method(self) -> bytes:
        """Return the method."""
        return self.head.method

    def should_keep_alive(self) -> bool:
        """Return whether the client keeps the connection."""
        return self.head.keep_alive

    def should_upgrade(self) -> bool:
        """Return False: no other protocol is spoken."""
        return False


class CycleTransport:
    """What uvicorn's state of a request writes to; closing it ends the connection in order."""

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = finish


class Connection(HttpToolsProtocol):
    """A client's connection; uvicorn's, with its own framing and an end."""

    limits: ConnectionLimits
    room: Room
    at_once: AtOnce | None
    """Refuses a request before the application has seen it."""
    draining = False
    """Whether the next answer of every connection is its last."""
    strangers: "OrderedDict[Connection, None]"
    """Those of the server that have asked nothing yet, the oldest first."""
    idle: "OrderedDict[Connection, None]"
    """Those that have been answered and have no request under way, the longest idle first."""
    refusals: PacedRefusals
    """Those that all connections of the server give at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Draw how old this connection may become, and make room for it."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        now = self.loop.time()
        self._end = now + self.limits.age * (1 - JITTER * random.random())
        self._stage, self._since = Stage.NEW, now
        self._awaited: Futures = ()
        self._doubt: Callable[[Futures], None] | None = None
        self._unread_since: float | None = None
        self._has_ended = False
        """Whether the client has ended its side."""
        self._counted = 0
        """Bytes of this connection in the common room."""
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
        """Read what the client sent once it had connected; the event loop would ask for it a turn later."""
        if self.transport.is_closing():
            return
        data = b""
        # What is wrong with the socket, or its end, the transport finds by itself.
        with contextlib.suppress(OSError):
            data = os.read(self.transport.get_extra_info("socket").fileno(), READ_BYTES)
        if data:
            self.data_received(data)
        if self.flow.read_paused:
            # The transport begins to read once this has returned, whatever it was told before.
            self.loop.call_soon(self._pause_again)

    def _pause_again(self) -> None:
        if self.flow.read_paused:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it, and what its client waited for."""
        self._forget()
        for future in self._awaited:
            if not future.done():
                future.set_exception(ClientDisconnect())
        self._awaited, self._doubt = (), None
        self._stream.close()
        self._count(0)
        super().connection_lost(exc)
        # uvicorn's timer for idle connections would keep one that was reset for as long as it runs.
        self._unset_keepalive_if_required()
        if self.cycle is not None:
            self.cycle.scope["extensions"].clear()

    # Bytes of the client

    def data_received(self, data: bytes) -> None:
        """Take bytes; what waits for the answer before is held, and no more is read meanwhile."""
        self._unset_keepalive_if_required()
        self._advance(data)

    def _advance(self, data: bytes = b"") -> None:
        """Serve what has arrived, as far as it may be served now."""
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
        """Count what this connection keeps; return whether there is room for it."""
        more, self._counted = size - self._counted, size
        return self.room.change(more)

    def _end_for_room(self) -> None:
        """Take nothing more: the answer under way is the last, and a head that is on its way is refused."""
        if self._stage is Stage.HEAD:
            self._refuse(problems.too_much_waiting(self.room.limit), "room")
        elif self._stream.held and self.cycle is not None:
            metrics.CONNECTIONS_ENDED.labels("room").inc()
            self._stream.end()
            self._count(self._stream.head_bytes)
            self.cycle.keep_alive = False

    def eof_received(self) -> bool:  # type: ignore[override]
        """Go on with the request under way: its client may end its own side once it has asked."""
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
        """Return whether the request before is answered."""
        return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

    def request_begun(self) -> None:
        """Note that the head of a request begins."""
        self._unset_keepalive_if_required()
        self._stage, self._since = Stage.HEAD, self.loop.time()

    def request_headed(self, head: Head) -> None:
        """Take a request, and decide whether it is the last."""
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
        """Refuse this request here, for a fraction of what the application's answer costs, if nothing is before it."""
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
        """Note that the request is complete; it may have been answered already."""
        self.on_message_complete()
        self._stage = Stage.ANSWER
        self._rest_if_done()

    # Answers

    def awaits(self, futures: Futures, doubt: Callable[[Futures], None] | None = None) -> None:
        """Note what the request under way waits for; each fails with `ClientDisconnect` when its client goes.

        Args:
            futures: What it waits for.
            doubt: Is told of them when the client ends its side: it may have gone, or wait for its answer.
        """
        self._awaited, self._doubt = futures, doubt
        if self._has_ended and doubt:
            doubt(futures)

    def on_response_complete(self) -> None:
        """The answer is complete; the request may not be."""
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
            # It is we who do not read.
            self._since = self.loop.time()
        elif self._stage is Stage.BODY:
            self._end_body(answered)

    def _end_body(self, answered: bool) -> None:
        """Have the application answer; where it has, or has not since the last sweep, just end."""
        state = self.scope["state"]
        if answered or BODY_LATE in state:
            self._abort("body")
        else:
            state[BODY_LATE] = True
            self.cycle.message_event.set()

    def _make_room(self) -> None:
        """End a connection that had the time to ask and did not, or else the one that is idle for longest.

        Where most have asked nothing it is one of those: an idle one may have a request on its way.
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
        """Answer in the application's place and close; only close when another answer has begun, or they would mix."""
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
        """Tell the client that nothing follows, and read on for a moment what it still sends."""
        if self._stage is Stage.END or self.transport.is_closing():
            return
        self._stage, self._since = Stage.END, self.loop.time()
        self._stream.end()
        self._count(0)
        self.transport.write_eof()
        self.flow.resume_reading()
        # It makes room before others.
        self._forget()
        self.idle[self] = None
        self.idle.move_to_end(self, last=False)

    def shutdown(self) -> None:
        """The server ends; what the client is owed is written before."""
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
        # With a reset: otherwise the kernel would keep what is unread for as long as the client likes.
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
    """The connections of one server: a class of their own, which says whether it drains."""
    for reason in REASONS:
        metrics.CONNECTIONS_ENDED.labels(reason)
    own = {"limits": limits, "at_once": staticmethod(at_once) if at_once else None}
    room = Room(limits.waiting_bytes)
    metrics.WAITING_BYTES.set_function(lambda: room.used)
    shared = {"strangers": OrderedDict(), "idle": OrderedDict(), "refusals": PacedRefusals(), "room": room}
    return type("ServerConnection", (Connection,), own | shared)
