"""Ends of connections: time limits of each stage, eviction, refusals, and closing without losing an answer."""

import asyncio
import socket
import struct
from enum import Enum

from httpserver import refusals
from httpserver.answer_head import STATUS_LINE
from httpserver.exchange import Exchange
from httpserver.flow import Flow
from httpserver.framing import RequestStream
from httpserver.heads import RequestRefused
from httpserver.shared import Shared


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


class Ending(asyncio.Protocol):
    """The ways in which a connection ends.

    Args:
        shared: What all connections of the server share.
    """

    transport: asyncio.Transport
    flow: Flow
    _stream: RequestStream

    def __init__(self, shared: "Shared[Ending]") -> None:
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._exchange: Exchange | None = None
        self._stage, self._since = Stage.NEW, self._loop.time()
        self._unread_since: float | None = None
        self.has_ended = False
        """Whether the client has closed its side."""
        self._counted = 0
        """Bytes of this connection counted in the shared room."""
        self._body_bytes = 0
        """Bytes of the body of the request under way, counted in the shared room."""

    def _count(self, size: int) -> bool:
        """Count the bytes this connection holds; return whether the shared room has space for them."""
        more, self._counted = size - self._counted, size
        return self._shared.waiting.change(more)

    def _release_body(self) -> None:
        self._shared.bodies.change(-self._body_bytes)
        self._body_bytes = 0

    def _is_answered(self) -> bool:
        return self._exchange is None or self._exchange.done

    def sweep(self, now: float) -> None:
        """End this connection if its client is too slow; `now` is the event loop's time in seconds."""
        if self._is_unread(now):
            self._abort("write")
        elif not self.transport.is_closing() and now - self._since > self._allowed():
            self._end_stage()

    def _allowed(self) -> float:
        limits = self._shared.limits
        if self._stage is Stage.ANSWER:
            return float("inf")
        if self._stage is Stage.END:
            return LINGER_SECONDS
        if self._stage is Stage.BODY:
            return limits.body
        return limits.idle if self._stage is Stage.IDLE else limits.head

    def _is_unread(self, now: float) -> bool:
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
            return False
        if self._unread_since is None:
            self._unread_since = now
        return now - self._unread_since > self._shared.limits.write

    def _end_stage(self) -> None:
        if self._stage is Stage.END:
            self.transport.close()
        elif self._stage in (Stage.NEW, Stage.IDLE):
            self._close("idle")
        elif self._stage is Stage.HEAD:
            self._refuse(refusals.too_slow("the head of the request", self._shared.limits.head), "head")
        elif self._stage is Stage.BODY and self.flow.read_paused:
            # The server itself has paused reading, so the client is not slow.
            self._since = self._loop.time()
        elif self._stage is Stage.BODY:
            self._end_body()

    def _end_body(self) -> None:
        """Let the application refuse a late body; abort if it has answered, or has not by the next sweep."""
        exchange = self._exchange
        if exchange is None or exchange.done or exchange.body_is_late:
            self._abort("body")
        else:
            exchange.let_body_be_late()

    def _make_room(self) -> None:
        """Evict a connection that had time to send a request and did not, or else the longest idle one.

        If most connections have sent nothing, evict one of those: an idle one may have a request on its way.
        """
        shared = self._shared
        stranger, idle = next(iter(shared.strangers)), next(iter(shared.idle), None)
        most_are_strangers = 2 * len(shared.strangers) > len(shared.state.connections)
        has_had_time = self._since - stranger._since > GRACE_SECONDS or most_are_strangers
        longest = stranger if idle is None or has_had_time else idle
        if longest is self:
            self._answer_closing(refusals.too_many_connections(shared.limits.connections))
            self._close("room")
        elif longest.transport.get_write_buffer_size():
            longest._abort("room")
        else:
            longest._close("room")

    def _forget(self) -> None:
        self._shared.strangers.pop(self, None)
        self._shared.idle.pop(self, None)

    def _refuse(self, refused: RequestRefused, reason: str) -> None:
        """Answer in the application's place and close. If another answer has begun, only close: they would mix."""
        self._shared.refusals.flush(self.transport)
        self._stream.end()
        self._shared.hooks.ended(reason)
        exchange = self._exchange
        begun = exchange is not None and exchange.sent and not exchange.done
        if not begun:
            self._answer_closing(refused)
        if exchange is not None:
            exchange.disconnect()
        self._release_body()
        self._forget()
        if begun or self.has_ended:
            self.transport.close()
        else:
            self._linger()

    def _answer_closing(self, refused: RequestRefused) -> None:
        """Send an answer after which the connection closes."""
        headers, body = self._shared.hooks.refusal(refused)
        lines = b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers)
        own = b"%bcontent-length: %d\r\nconnection: close\r\n" % (self._shared.own_lines(), len(body))
        self.transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[refused.status], own, lines, body))

    def fail(self) -> None:
        """Answer 500 if nothing of the application's answer was sent; close."""
        exchange = self._exchange
        if exchange is None or exchange.done or exchange.disconnected:
            return
        if not exchange.sent:
            self._answer_closing(refusals.failed())
        exchange.disconnect()
        self._forget()
        self.transport.close()

    def _finish(self) -> None:
        """Close after the last answer."""
        may_send = self._stream.is_within or self._stream.held or self.flow.read_paused
        if may_send and not self.has_ended:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Tell the client that nothing follows, and read for a moment what it still sends."""
        if self._stage is Stage.END or self.transport.is_closing():
            return
        self._stage, self._since = Stage.END, self._loop.time()
        self._stream.end()
        self._count(0)
        self.transport.write_eof()
        self.flow.resume_reading()
        # Connections that linger are the first to be evicted.
        self._forget()
        self._shared.idle[self] = None
        self._shared.idle.move_to_end(self, last=False)

    def shutdown(self) -> None:
        """End after the answer under way, if any; refusals that wait are written."""
        self._shared.refusals.flush(self.transport)
        exchange = self._exchange
        if self._stage is Stage.END or exchange is None or exchange.done:
            self.transport.close()
        else:
            exchange.keep_alive = False

    def _close(self, reason: str) -> None:
        self._shared.refusals.flush(self.transport)
        self._shared.hooks.ended(reason)
        self._forget()
        self.transport.close()

    def _abort(self, reason: str) -> None:
        # Reset the connection: otherwise the kernel would keep the unread data for as long as the client likes.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._shared.hooks.ended(reason)
        self._forget()
        self.transport.abort()
