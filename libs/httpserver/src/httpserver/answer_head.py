"""Heads of answers: status line, headers, and how the body is framed (RFC 9112)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from httpserver.heads import Head

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def _status_line(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINE = {status: _status_line(status) for status in range(100, 600)}


class AnswerHead:
    """The head of an answer.

    Args:
        request: The request that is answered.
        status: HTTP status.
        headers: The application's headers.
        keep_alive: Whether the connection may stay open.

    Raises:
        ValueError: A header is not valid (RFC 9110, section 5).
    """

    __slots__ = ("_request", "is_chunked", "keep_alive", "left", "lines")

    def __init__(self, request: Head, status: int, headers: Iterable[tuple[bytes, bytes]], keep_alive: bool) -> None:
        self._request = request
        self.left: int | None = None
        """Bytes of the body that are still due; None if it has no announced length."""
        self.is_chunked = False
        self.keep_alive = keep_alive
        self.lines = self._lines(headers)
        if self.left is None and not self.is_chunked:
            self._frame(status)

    def _lines(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        lines, values, closes = [], [], False
        for name, value in headers:
            name = _checked_name(name)
            if name == b"content-length" and not self.is_chunked:
                self.left = int(value)
            elif name == b"transfer-encoding":
                self.left, self.is_chunked = None, value.lower() == b"chunked"
            elif name == b"connection":
                closes = closes or b"close" in [token.strip() for token in value.lower().split(b",")]
            values.append(value)
            lines.append(b"%b: %b\r\n" % (name, value))
        if _CONTROL.search(b"".join(values)):
            raise ValueError("a header's value has a control character")
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"".join(lines)

    def _frame(self, status: int) -> None:
        """Frame a body of unknown length: in chunks, or by the end of the connection for HTTP/1.0."""
        if self._request.method == b"HEAD" or status in _WITHOUT_BODY:
            self.left = 0
        elif self._request.version == "1.0":
            # HTTP/1.0 has no chunks; its connections end after each answer anyway.
            self.left = None
        else:
            self.is_chunked = True
            self.lines += b"transfer-encoding: chunked\r\n"

    def framed(self, body: bytes, is_last: bool) -> bytes:
        """Return a piece of the body as it is sent.

        Raises:
            ValueError: The body is longer or shorter than announced.
        """
        if self._request.method == b"HEAD":
            return b""
        if self.is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + b"0\r\n\r\n" if is_last else chunk
        if self.left is not None:
            self.left -= len(body)
            if self.left < 0 or (is_last and self.left):
                raise ValueError(f"the answer's body is {'longer' if self.left < 0 else 'shorter'} than Content-Length")
        return body


# An application sends the same few names with each answer.
@lru_cache(maxsize=1024)
def _checked_name(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError("a header's name is not a token")
    return name.lower()
