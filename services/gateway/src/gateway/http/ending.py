"""Ends of connections: time limits of each stage, eviction, refusals, and closing without losing an answer."""

import socket
import struct
from collections import OrderedDict
from enum import Enum

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway import problems
from gateway.http.access_log import new_request_id
from gateway.http.bodies import BODY_LATE
from gateway.http.framing import RequestStream
from gateway.http.limits import ConnectionLimits, Room
from gateway.http.paced_refusals import PacedRefusals
from gateway.metrics import ConnectionMetrics
from gateway.problems import Problem


class Stage(Enum):
    """Stages of a connection, by what it waits for."""

    NEW = "the first request"
    IDLE = "the next request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "our answer"
    END = "the client's end of the connection, after the last answer"


UNDER_WAY = (Stage.HEAD, Stage.BODY, Stage.ANSWER)
GRACE_SECONDS = 1.0
"""Seconds a new connection is safe from eviction; every honest client sends its first request within them."""
LINGER_SECONDS = 2.0
"""Seconds a client may go on sending after its last answer.

Closing at once would reset the connection and lose the answer (RFC 9112, section 9.6).
"""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER value with a timeout of zero, which makes close() reset the connection (socket(7))."""


class EndingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with this gateway's ways to end a connection."""

    limits: ConnectionLimits
    room: Room
    strangers: "OrderedDict[EndingProtocol, None]"
    """The server's connections without any request so far, oldest first."""
    idle: "OrderedDict[EndingProtocol, None]"
    """Connections whose requests are all answered, longest idle first."""
    metrics: ConnectionMetrics
    refusals: PacedRefusals
    """Refusals that wait to be written, over all connections of the server."""
    _stream: RequestStream

    def _open(self) -> None:
        """Begin as a connection without any request."""
        self._stage, self._since = Stage.NEW, self.loop.time()
        self._unread_since: float | None = None
        self._has_ended = False
        """Whether the client has closed its side."""
        self._counted = 0
        """Bytes of this connection counted in the shared room."""
        self.strangers[self] = None

    def _count(self, size: int) -> bool:
        """Count the bytes this connection holds; return whether the shared room has space for them."""
        more, self._counted = size - self._counted, size
        return self.room.change(more)

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
        if answered or BODY_LATE in self.scope["state"]:
            self._abort("body")
        else:
            self.scope["state"][BODY_LATE] = True
            self.cycle.message_event.set()

    def _make_room(self) -> None:
        """Evict a connection that had time to send a request and did not, or else the longest idle one.

        If most connections have sent nothing, evict one of those: an idle one may have a request on its way.
        """
        stranger, idle = next(iter(self.strangers)), next(iter(self.idle), None)
        has_had_time = self._since - stranger._since > GRACE_SECONDS or 2 * len(self.strangers) > len(self.connections)
        longest = stranger if idle is None or has_had_time else idle
        if longest is self:
            self.transport.write(closing_answer(problems.too_many_connections(self.limits.connections)))
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
        self.metrics.ended.labels(reason).inc()
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun:
            self.transport.write(closing_answer(problem))
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
        self.metrics.ended.labels(reason).inc()
        self._forget()
        self.transport.close()

    def _abort(self, reason: str) -> None:
        # Reset the connection: otherwise the kernel would keep the unread data for as long as the client likes.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.metrics.ended.labels(reason).inc()
        self._forget()
        self.transport.abort()


def closing_answer(problem: Problem) -> bytes:
    """Return an answer to a problem, after which the connection closes."""
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
