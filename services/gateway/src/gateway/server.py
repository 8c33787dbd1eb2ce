"""How clients' connections end: by an answer that says so, and never while a request may be on its way.

A client that keeps a connection stays with one replica, so replicas that autoscaling adds would get nothing to do; and
one that uses a connection at the very moment at which the server closes it loses its request. So an answer says
`Connection: close` (RFC 9112, section 9.6) when its connection is old, or the server is about to end.

A client that is slow, by intent or not, is ended too: each stage of a request has a time, and one look a second at all
connections finds those that are over it, for less than a timer for each request would cost. Of too many connections,
one that never asked anything makes room, or the one that is idle for longest.
"""

import asyncio
import contextlib
import logging
import os
import random
import resource
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway import metrics, problems
from gateway.access_log import new_request_id
from gateway.paced_refusals import PacedRefusals
from gateway.problems import Problem
from gateway.requests import BODY_LATE
from gateway.settings import Settings

log = logging.getLogger("gateway")

JITTER = 0.5
"""The share of its age by which a connection may end earlier: those opened together do not end together."""
TICK_SECONDS = 0.1
SWEEP_SECONDS = 1.0
SWEPT_IN_A_TURN = 128
"""Connections: to look at all of a flood's takes longer than a turn of the event loop does by itself."""
AWAITS = "gateway.awaits"
"""An extension of a request's scope: `Connection.awaits`."""
AtOnce = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]]], bytes | None]
"""Method, target and headers of a request -> header lines and body of a 503, or None: the application answers."""
HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, or of trailers: the parser has no limit of its own and would hold them all."""
GRACE_SECONDS = 1.0
"""In which every honest client sends the first request of its connection."""
SPARE_FILES = 500
"""Files that are no clients' connections: those to transformers, above all."""
SEND_BUFFER_BYTES = 64 * 1024
"""Of the kernel, for each connection (it takes twice as much): by itself it would keep megabytes for a client that does
not read, and they count as memory of the pod."""
ACCEPTED_AT_ONCE = 16
"""New connections in one turn of the event loop. libuv takes one a turn for each listening socket that it knows,
since 1.45, and a turn is ten milliseconds in a flood: who connects would wait for seconds, behind its connections."""
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


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of the connections of one server; times in seconds."""

    age: float
    """After this, and up to `JITTER` less, the next answer is the last."""
    idle: float = 75
    head: float = 10
    body: float = 30
    write: float = 10
    connections: int = 10_000

    @classmethod
    def of(cls, settings: Settings, idle: float) -> "ConnectionLimits":
        """The settings' limits, with no more connections than files may be open."""
        return cls(
            age=settings.max_connection_seconds,
            idle=idle,
            head=settings.max_head_seconds,
            body=settings.max_body_seconds,
            write=settings.max_write_seconds,
            connections=min(settings.max_connections, _raise_file_limit(settings.max_connections + SPARE_FILES)),
        )


class Connection(HttpToolsProtocol):
    """A client's connection; uvicorn's, with an end."""

    limits: ConnectionLimits
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
        self._unread = 0
        self._refusal: Problem | None = None
        self._awaited: Sequence[asyncio.Future[Any]] = ()
        self._unread_since: float | None = None
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
        self._awaited = ()
        super().connection_lost(exc)
        # uvicorn's timer for idle connections would keep one that was reset for as long as it runs.
        self._unset_keepalive_if_required()
        if self.cycle is not None:
            self.cycle.scope["extensions"].clear()

    def on_message_begin(self) -> None:
        """The head of a request begins."""
        super().on_message_begin()
        self._stage, self._since = Stage.HEAD, self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take bytes; refuse a head or trailers without end (431)."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(problems.large_head(HEAD_BYTES), "head")

    def on_headers_complete(self) -> None:
        """Take a request, and decide whether it is the last; a head over its limit is refused."""
        if self._unread > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._refusal = problems.large_head(HEAD_BYTES)
            raise ValueError(self._refusal.detail)
        self._unread = 0
        self._stage, self._since = Stage.BODY, self.loop.time()
        self._forget()
        self.refusals.flush(self.transport)
        is_last = self.draining or self._since > self._end
        if is_last or not self._refused_at_once():
            self._begin(is_last)
        # The parser adds trailers to the headers of a request, which no proxy before us has seen as such.
        self.headers = []

    def _begin(self, is_last: bool) -> None:
        super().on_headers_complete()
        if is_last:
            self.cycle.keep_alive = False
        extensions: dict[Any, Any] = {AWAITS: self.awaits}
        self.scope["extensions"] = extensions

    def _refused_at_once(self) -> bool:
        """Refuse this request here, for a fraction of what the application's answer costs, if nothing is before it."""
        is_free = self.cycle is None or self.cycle.response_complete
        if self.at_once is None or not is_free or self.flow.write_paused or not self._is_kept():
            return False
        answer = self.at_once(self.parser.get_method(), self.url, self.headers)
        if answer is None:
            return False
        dated = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        self.refusals.write(self.transport, b"".join((STATUS_LINE[HTTPStatus.SERVICE_UNAVAILABLE], dated, answer)))
        self.cycle = ANSWERED
        self.server_state.total_requests += 1
        return True

    def _is_kept(self) -> bool:
        """Whether the client keeps the connection."""
        return self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"

    def awaits(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """What the request under way waits for; each fails with `ClientDisconnect` when its client goes."""
        self._awaited = futures

    def on_message_complete(self) -> None:
        """The request is complete; it may have been answered already."""
        self._unread = 0
        super().on_message_complete()
        self._stage = Stage.ANSWER
        self._rest_if_done()

    def on_response_complete(self) -> None:
        """The answer is complete; the request may not be."""
        super().on_response_complete()
        self._rest_if_done()

    def _rest_if_done(self) -> None:
        if self._stage is Stage.ANSWER and self.cycle.response_complete:
            self._stage, self._since = Stage.IDLE, self.loop.time()
            self.idle[self] = None

    def sweep(self, now: float) -> None:
        """End this connection if its client is too slow."""
        if self._is_unread(now):
            self._abort("write")
        elif not self.transport.is_closing() and now - self._since > self._allowed():
            self._end_stage()

    def _allowed(self) -> float:
        if self._stage is Stage.ANSWER:
            return float("inf")
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
        if self._stage in (Stage.NEW, Stage.IDLE):
            self._close("idle")
        elif self._stage is Stage.HEAD and answered:
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
            self._refuse(problems.too_many_connections(self.limits.connections), "room")
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
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun and not self.pipeline:
            self.transport.write(_answer(problem))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._close(reason)

    def shutdown(self) -> None:
        """The server ends; what the client is owed is written before."""
        self.refusals.flush(self.transport)
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

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request as every other error is answered."""
        self._refuse(self._refusal or problems.malformed_request(), "head")

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)


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
    shared = {"strangers": OrderedDict(), "idle": OrderedDict(), "refusals": PacedRefusals()}
    return type("ServerConnection", (Connection,), own | shared)


class Server(uvicorn.Server):
    """uvicorn's server, which after SIGTERM goes on for a while, and sends its clients elsewhere."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        metrics.CONNECTIONS.set_function(lambda: len(self.server_state.connections))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and look at the connections from then on."""
        await super().startup(sockets)
        await self._listen_again()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep")

    async def _listen_again(self) -> None:
        """Have the event loop know each listening socket several times: so many connections it accepts in a turn."""
        config, loop = self.config, asyncio.get_running_loop()
        protocol: Any = config.http_protocol_class
        made = partial(protocol, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        for listening in [each for server in self.servers for each in server.sockets]:
            for _ in range(ACCEPTED_AT_ONCE - 1):
                self.servers.append(await loop.create_server(made, sock=listening.dup(), backlog=config.backlog))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does; a second signal ends the draining."""
        protocol: Any = self.config.http_protocol_class
        protocol.draining = True
        for _ in range(round(self._drain_seconds / TICK_SECONDS)):
            if self.force_exit:
                break
            await asyncio.sleep(TICK_SECONDS)
        await super().shutdown(sockets)
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for n, connection in enumerate(list(self.server_state.connections), 1):
                self._look_at(connection, loop.time())
                if n % SWEPT_IN_A_TURN == 0:
                    await asyncio.sleep(0)

    def _look_at(self, connection: Any, now: float) -> None:
        try:
            connection.sweep(now)
        except Exception:
            # One connection must not end the sweep of all others.
            log.exception("connection not looked at")


def _raise_file_limit(wanted: int) -> int:
    """How many connections there is room for, once the process may open as many files as it wants or is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted - SPARE_FILES, 1)
