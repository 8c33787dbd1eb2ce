"""Framing: cuts a connection's bytes into requests. Bytes go in, events come out.

The parser is httptools' (llhttp). It gets pieces that end where a message may end, for two reasons:

- Bytes behind a request can wait until it is answered. As parsed requests they would take many times as much memory.
- A parser that stops at `Upgrade` has read nothing of the body by then, so the body can still be read as one. No other
  protocol is supported here, and a server may ignore the offer (RFC 9110, section 7.8).
"""

from typing import Protocol

import httptools

from httpserver.heads import (
    Head,
    Headers,
    HeadLimits,
    RequestRefused,
    check,
    check_trailer,
    malformed,
    too_large_head,
    too_many_headers,
    unknown_version,
)

CHUNK_BYTES = 16
"""Bytes of a chunk's framing that do not count as extensions: its hexadecimal size and two line ends."""
VERSION_REASONS = ("Invalid HTTP version", "Pause on PRI/Upgrade")
"""Parser messages for an unknown HTTP version, and for the preface of HTTP/2."""
_END = b"\r\n\r\n"
"""Bytes that end every head and every chunked body."""


class Events(Protocol):
    """Receiver of a stream's requests. Its methods are called between two pieces, never within the parser."""

    def request_begun(self) -> None:
        """Note the first bytes of a request whose head is incomplete so far."""

    def request_headed(self, head: Head) -> None:
        """Take a complete head that passed all checks."""

    def body_received(self, body: bytes) -> None:
        """Take a piece of the body."""

    def request_completed(self) -> None:
        """Note the end of the request."""

    def takes_next(self) -> bool:
        """Return whether another request may begin because the previous one is answered."""


class RequestStream:
    """The requests of one connection, one at a time.

    Args:
        events: Receives the requests.
        limits: Limits of each head.
    """

    def __init__(self, events: Events, limits: HeadLimits) -> None:
        self._events: Events | None = events
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._data, self._at, self._tail = b"", 0, b""
        self._ended = False
        """Whether no more bytes are taken: the last request was complete or refused."""
        self._resumes = False
        """Whether a replacement parser is being told where in a request it starts."""
        self.head_bytes = 0
        """Bytes of the head under way, or of the last one."""
        self._reset()

    def _reset(self) -> None:
        """Forget the last request."""
        self._line = b""
        self._line_is_whole = False
        self._is_under_way = self._is_told = self._is_complete = False
        self._target = b""
        self._headers: Headers = []
        self._head: Head | None = None
        self._left = 0
        self._pieces: list[bytes] = []
        self._chunks = self._overhead = 0
        self._refused: RequestRefused | None = None

    @property
    def held(self) -> int:
        """Return how many bytes wait for the answer to the request before them."""
        return len(self._data) - self._at

    @property
    def is_within(self) -> bool:
        """Return whether a request has begun and is incomplete."""
        return self._is_under_way

    def feed(self, data: bytes) -> None:
        """Take bytes, and parse them as `go_on` does.

        Raises:
            RequestRefused: The bytes are not an acceptable request.
        """
        self._data = self._data[self._at :] + data if self._data else data
        self._at = 0
        self.go_on()

    def go_on(self) -> None:
        """Parse up to the end of the last request that may begin now.

        Raises:
            RequestRefused: The bytes are not an acceptable request.
        """
        events = self._events
        while events and self._at < len(self._data) and not self._ended:
            if not self._is_under_way and not events.takes_next():
                return
            try:
                self._step(events)
            except RequestRefused:
                self.end()
                raise
        self._data, self._at = b"", 0

    def end(self) -> None:
        """Stop taking bytes, and drop those that wait."""
        self._ended = True
        self._data, self._at = b"", 0

    def close(self) -> None:
        """Release the parser and the receiver, which form a reference cycle."""
        self.end()
        if self._events is not None:
            self._events = None
            del self._parser

    def _step(self, events: Events) -> None:
        head = self._head
        piece = self._cut()
        if head is None:
            self._take_head(piece, events)
        else:
            self._parse(piece)
            if head.chunked:
                self._check_overhead(len(piece))
        if self._pieces or self._is_complete:
            self._tell_body(events)

    def _take_head(self, piece: bytes, events: Events) -> None:
        """Parse a piece of a head, and report the beginning and the head if they were in it."""
        self._check_size(len(piece))
        if not self._line_is_whole:
            self._note_line(piece)
        self._parse(piece)
        if not self._is_under_way:
            return
        self.head_bytes += len(piece)
        head = self._head
        if head is None:
            if not self._is_told:
                self._is_told = True
                events.request_begun()
            return
        self._left = head.length
        events.request_headed(head)

    def _cut(self) -> bytes:
        """Return the next piece. It contains at most one message end, and then ends there."""
        data, at = self._data, self._at
        if self._left:
            end = min(at + self._left, len(data))
            self._left -= end - at
        elif self._tail or (end := data.find(_END, at) + len(_END)) < len(_END):
            end = self._boundary()
        self._at = end
        return data if end - at == len(data) else data[at:end]

    def _boundary(self) -> int:
        """Return where the next head or chunked body may end although its end arrives in two pieces, or not yet."""
        data, at, tail = self._data, self._at, self._tail
        self._tail = b""
        if tail and (found := (tail + data[at : at + len(_END) - 1]).find(_END)) >= 0:
            return at + found + len(_END) - len(tail)
        if (found := data.find(_END, at)) >= 0:
            return found + len(_END)
        keep = len(_END) - 1
        self._tail = (tail + data[max(at, len(data) - keep) :])[-keep:]
        return len(data)

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._ignore_upgrade()
        except httptools.HttpParserError as error:
            raise self._refusal(error) from None

    def _ignore_upgrade(self) -> None:
        """Replace the stopped parser with a new one that reads the body of the current request."""
        self._parser = httptools.HttpRequestParser(self)
        head = self._head
        if head is None or not head.has_body:
            return
        self._is_complete = False
        framing = b"Transfer-Encoding: chunked" if head.chunked else b"Content-Length: %d" % head.length
        self._resumes = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        self._resumes = False

    def _refusal(self, error: httptools.HttpParserError) -> RequestRefused:
        if self._refused is not None:
            return self._refused
        reason = str(error)
        return unknown_version() if reason in VERSION_REASONS else malformed(reason)

    def _check_size(self, more: int) -> None:
        if not self._is_under_way:
            self.head_bytes = 0
        if self.head_bytes + more > self._limits.bytes:
            raise too_large_head("request line and headers", self._limits.bytes)

    def _check_overhead(self, size: int) -> None:
        self._overhead += size - sum(map(len, self._pieces))
        if self._overhead - self._chunks * CHUNK_BYTES > self._limits.bytes:
            raise too_large_head("trailers and chunk extensions", self._limits.bytes)

    def _note_line(self, piece: bytes) -> None:
        """Keep the request line as received."""
        before = len(self._line)
        line = self._line + piece if before else (piece if piece[:1] > b"\r" else piece.lstrip(b"\r\n"))
        end = line.find(b"\r\n", max(before - 1, 0))
        self._line_is_whole = end >= 0
        self._line = line[:end] if self._line_is_whole else line

    def _tell_body(self, events: Events) -> None:
        """Report the body and the end of a request, as far as they were in the last piece."""
        if self._pieces:
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces = []
            events.body_received(body)
        if self._is_complete and self._head is not None:
            self._ended = self._ended or not self._head.keep_alive
            self._reset()
            events.request_completed()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        if not self._resumes:
            self._is_under_way = True

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._target = self._target + url if self._target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, or check a trailer."""
        if self._head is None:
            self._headers.append((name.lower(), value.strip(b" \t")))
            if len(self._headers) > self._limits.headers:
                self._refuse(too_many_headers(self._limits.headers))
        elif not self._resumes:
            try:
                check_trailer(name.lower())
            except RequestRefused as refused:
                self._refuse(refused)

    def on_headers_complete(self) -> None:
        """Check the complete head."""
        if self._resumes:
            return
        parser = self._parser
        version, keep_alive = parser.get_http_version(), parser.should_keep_alive()
        headers = self._headers
        keep_alive = keep_alive and version != "1.0"
        head = Head(parser.get_method(), self._target, version, headers, keep_alive, dict(headers))
        try:
            check(head, self._line)
        except RequestRefused as refused:
            self._refuse(refused)
        self._head = head

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        self._is_complete = True

    def _refuse(self, refused: RequestRefused) -> None:
        """Stop the parser, which hides what its callbacks raise."""
        self._refused = refused
        raise refused
