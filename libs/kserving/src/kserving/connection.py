"""Connections of a model server: uvicorn's, with limits and without protocol upgrades.

uvicorn reads whatever a client sends: heads and bodies of any size, and any number of requests behind one that waits.
If a request offers another protocol (`Upgrade`), its parser stops before the body and would read the body's bytes as
further requests. This module ignores the offer (RFC 9110, section 7.8) and refuses what exceeds a limit.
"""

from asyncio import Transport
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""Bytes of a request line with its headers, or of trailers."""
HEADERS = 100
"""Headers of one request."""
PIPELINED = 8
"""Requests that may wait behind an unanswered one."""
BODIES = 8
"""Bodies of the largest size that all connections together may have under way."""
LINGER_SECONDS = 1.0
"""Seconds that a refused client may go on sending, so that it reads its answer instead of a reset."""


class Refused(ValueError):
    """A refusal of what the client sent; nothing more is read from its connection."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Room:
    """Bytes of bodies under way, over all connections of a server.

    Args:
        limit: Bytes that there may be.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0


class Connection(HttpToolsProtocol):
    """A client connection; `connections` sets its limits."""

    max_body_bytes: int
    room: Room

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin with empty counts."""
        super().connection_made(transport)
        self._unread = 0
        self._body = 0
        self._mine = 0
        """Bytes of this connection's bodies in the shared room."""
        self._refused: Refused | None = None
        self._resumes = False
        """Whether a replacement parser is being told where in a request it starts."""
        self._ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back the connection's room."""
        self._ended = True
        self._take(-self._mine)
        super().connection_lost(exc)
        # uvicorn's keep-alive timer would keep the connection in memory until it fires.
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Parse bytes; refuse malformed requests and those that exceed a limit."""
        self._unset_keepalive_if_required()
        if self._ended:
            return
        self._unread += len(data)
        try:
            self._feed(data)
            if self._unread > HEAD_BYTES:
                raise _large_head()
        except Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserError as error:
            reason = f"not a well-formed HTTP/1.1 request (RFC 9112): {error}"
            self._refuse(self._refused or Refused(HTTPStatus.BAD_REQUEST, reason))

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
                self._ignore_upgrade()
            else:
                return

    def _ignore_upgrade(self) -> None:
        """Replace the stopped parser with a new one that reads the body of the current request."""
        headers = dict(self.headers)
        chunked = b"transfer-encoding" in headers
        framing = (
            b"Transfer-Encoding: chunked" if chunked else b"Content-Length: " + headers.get(b"content-length", b"0")
        )
        self.parser = httptools.HttpRequestParser(self)
        self._resumes = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        self._resumes = False

    # Callbacks of the parser, which hides what they raise

    def on_message_begin(self) -> None:
        """Begin a request, unless too many wait."""
        if self._resumes:
            return
        if len(self.pipeline) >= PIPELINED:
            self._stop(
                Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"more than {PIPELINED} requests wait; send fewer at once")
            )
        super().on_message_begin()
        self._body = 0

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        if not self._resumes:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, up to the limit."""
        if self._resumes:
            return
        super().on_header(name, value)
        if len(self.headers) > HEADERS:
            detail = f"the request has more than {HEADERS} headers; send fewer"
            self._stop(Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail))

    def on_headers_complete(self) -> None:
        """Refuse a head that exceeds its limit, or a body that is announced to."""
        if self._resumes:
            return
        if self._unread > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._stop(_large_head())
        self._unread = 0
        found = dict(self.headers)
        if found.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked":
            self._stop(Refused(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding must be chunked, or not given"))
        if int(found.get(b"content-length", b"0")) > self.max_body_bytes:
            self._stop(self._large_body())
        super().on_headers_complete()
        # Copied, since the parser adds trailers to the headers of a request.
        self.headers = list(self.headers)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, up to the limits."""
        self._unread = 0
        self._body += len(body)
        if self._body > self.max_body_bytes:
            self._stop(self._large_body())
        if self.room.taken + len(body) > self.room.limit:
            detail = f"{self.room.limit:,} bytes of requests are under way already; try again later"
            self._stop(Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail))
        if not self.cycle.response_complete:
            self._take(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless the parser has only stopped at an offer of another protocol."""
        self._unread = 0
        if self._resumes or not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give back the room of an answered request. The few requests behind it may count a little longer."""
        if not self.pipeline:
            self._take(-self._mine)
        super().on_response_complete()

    # Ends

    def _stop(self, refused: Refused) -> None:
        self._refused = refused
        raise refused

    def _refuse(self, refused: Refused) -> None:
        """Answer in the application's place and close. If other answers are due, only close: they would mix."""
        self._ended = True
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body:
            # The refused body belongs to this request, so the application must not answer it.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self.cycle is not None and not self.cycle.response_complete:
            last = self.pipeline[0][0] if self.pipeline else self.cycle
            last.keep_alive = False
            return
        if not (self.pipeline or (self.cycle is not None and self.cycle.disconnected and self.cycle.response_started)):
            self.transport.write(_answer(refused))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _take(self, size: int) -> None:
        self._mine += size
        self.room.taken += size

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _large_body(self) -> Refused:
        detail = (
            f"the body is larger than {self.max_body_bytes:,} bytes; send fewer rows at once, or set MAX_BODY_BYTES"
        )
        return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _large_head() -> Refused:
    detail = f"request line and headers are larger than {HEAD_BYTES:,} bytes; send less"
    return Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)


def _answer(refused: Refused) -> bytes:
    body = orjson.dumps({"error": str(refused)})
    lines = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    return STATUS_LINE[refused.status.value] + lines + body


def connections(max_body_bytes: int) -> type[Connection]:
    """Return the connection class of one server, with its limits."""
    limits: dict[str, Any] = {"max_body_bytes": max_body_bytes, "room": Room(BODIES * max_body_bytes)}
    return type("ServerConnection", (Connection,), limits)
