"""Request heads, checked so that every hop reads the same request (RFC 9110, RFC 9112).

A proxy in front and this server may read an ambiguous head in two ways. Then they disagree about where the request ends
or what it asks, and one client's bytes become part of another's request. So an ambiguous head is refused.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httptools

VERSIONS = ("1.1", "1.0")
HEAD_BYTES = 64 * 1024
"""Bytes of a request line with its headers, or of trailers and chunk extensions."""
FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding"})
"""Headers that say where a request ends and which host it is for; a repeated one ends the connection."""
SINGLETONS = FRAMING | {
    b"authorization",
    b"content-encoding",
    b"content-location",
    b"content-range",
    b"content-type",
    b"date",
    b"expect",
    b"from",
    b"if-modified-since",
    b"if-range",
    b"if-unmodified-since",
    b"max-forwards",
    b"origin",
    b"proxy-authorization",
    b"range",
    b"referer",
    b"traceparent",
    b"user-agent",
    b"x-api-key",
    b"x-canary-key",
    b"x-environment",
    b"x-request-id",
}
"""Headers that a request may have once.

Which of two values counts would be a guess, and a proxy may guess otherwise.
"""
NOT_IN_TRAILERS = FRAMING | {
    b"connection",
    b"expect",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
}
"""Fields that a parser could apply to the request although its body has ended; other trailers are dropped."""
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]{0,5})?")
USUAL_HOST_BYTES = 261
"""Bytes of a host name of the longest kind with its port; longer ones are not remembered."""
USUAL_LINE_BYTES = 128
"""Bytes of a request line of the usual kind; longer ones are not remembered."""
_CODING = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WEB = (b"http", b"https")

Headers = list[tuple[bytes, bytes]]


class RequestRefused(Exception):
    """A request that is refused; nothing more is read from its connection.

    Args:
        status: HTTP status of the answer.
        kind: What is wrong, as a slug.
        detail: What to do about it, for a person.
        members: Further members of the problem object.
    """

    def __init__(self, status: HTTPStatus, kind: str, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.members = status, kind, detail, members


@dataclass(slots=True)
class Head:
    """The head of a request. Header names are in lower case, values without surrounding whitespace."""

    method: bytes
    target: bytes
    version: str
    headers: Headers
    keep_alive: bool
    fields: dict[bytes, bytes]
    """Headers by name; of a repeated one the last value."""
    length: int = 0
    chunked: bool = False
    expects_continue: bool = False

    @property
    def has_body(self) -> bool:
        """Return whether a body follows."""
        return self.chunked or self.length > 0


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Limits of a request's head."""

    bytes: int = HEAD_BYTES
    headers: int = 100


def malformed(reason: str) -> RequestRefused:
    """Return the refusal of bytes that are not an HTTP request (400)."""
    detail = f"not a well-formed HTTP/1.1 request (RFC 9112): {reason}"
    return RequestRefused(HTTPStatus.BAD_REQUEST, "malformed-request", detail)


def unknown_version() -> RequestRefused:
    """Return the refusal of an unsupported HTTP version (505)."""
    detail = "the HTTP version is not supported; use HTTP/1.1 or HTTP/1.0"
    return RequestRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "unsupported-version", detail)


def too_large_head(what: str, limit: int) -> RequestRefused:
    """Return the refusal of a part of a request that is larger than `limit` bytes (431)."""
    detail = f"{what} are larger than {limit:,} bytes; send less"
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return RequestRefused(status, "large-head", detail, limit_bytes=limit)


def too_many_headers(limit: int) -> RequestRefused:
    """Return the refusal of a request with more than `limit` headers (431)."""
    detail = f"the request has more than {limit} headers; send fewer"
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return RequestRefused(status, "too-many-headers", detail, limit_headers=limit)


def check(head: Head, line: bytes) -> None:
    """Check a head; set its body framing, and its target in origin form.

    Args:
        head: The head as parsed.
        line: The request line as received, without line end.

    Raises:
        RequestRefused: The head is ambiguous (400), or needs an unsupported feature (501, 505).
    """
    is_usual = len(line) <= USUAL_LINE_BYTES and _is_usual(line, head.method, head.target, head.version)
    if not is_usual:
        _check_line(head, line)
    found = head.fields
    if len(found) != len(head.headers) and (name := repeated(head.headers, FRAMING)):
        raise malformed(f"{name} is given more than once; give it once")
    host = found.get(b"host")
    _check_host(host, head.version)
    if not is_usual:
        head.target = _origin_form(head.method, head.target, host)
    if b"transfer-encoding" in found:
        head.chunked = True
        _check_coding(found[b"transfer-encoding"], head.version)
    if b"content-length" in found:
        head.length = int(found[b"content-length"])
    if b"expect" in found:
        # HTTP/1.0 has no interim responses (RFC 9110, section 10.1.1).
        head.expects_continue = found[b"expect"].lower() == b"100-continue" and head.version != "1.0"


# A client sends the same line with each of its requests.
@lru_cache(maxsize=256)
def _is_usual(line: bytes, method: bytes, target: bytes, version: str) -> bool:
    """Return whether a request line is one that needs no further look; most are."""
    is_plain = target.startswith(b"/") and target.isascii() and b"#" not in target and method != b"CONNECT"
    return is_plain and line == b"%b %b HTTP/1.1" % (method, target) and version == "1.1"


def _check_line(head: Head, line: bytes) -> None:
    if head.version not in VERSIONS:
        raise unknown_version()
    # The parser accepts repeated spaces, and the protocols ICE and RTSP.
    if line != b"%b %b HTTP/%b" % (head.method, head.target, head.version.encode()):
        raise malformed("the request line must be METHOD SP TARGET SP HTTP/1.1")


def repeated(headers: Headers, singletons: frozenset[bytes] = SINGLETONS) -> str | None:
    """Return the first header that is repeated although it must not be, in its usual spelling."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in singletons:
            return _spelled(name)
        seen.add(name)
    return None


def _spelled(name: bytes) -> str:
    words = {"api": "API", "id": "ID", "traceparent": "traceparent"}
    return "-".join(words.get(word, word.capitalize()) for word in name.decode("ascii").split("-"))


def check_trailer(name: bytes) -> None:
    """Refuse a trailer about framing or the connection; others are ignored.

    Raises:
        RequestRefused: 400 if the field must not follow a body.
    """
    if name in NOT_IN_TRAILERS:
        raise malformed(f"{_spelled(name)} must not be a trailer; send it as a header")


def _check_host(host: bytes | None, version: str) -> None:
    if host is None and version != "1.0":
        raise malformed("Host is missing; HTTP/1.1 needs it once")
    if host is not None and not (_is_host(host) if len(host) <= USUAL_HOST_BYTES else _HOST.fullmatch(host)):
        raise malformed("Host must be a name or an address, with an optional port")


# A client sends the same host with each of its requests.
@lru_cache(maxsize=256)
def _is_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None


def _origin_form(method: bytes, target: bytes, host: bytes | None) -> bytes:
    """Return path and query of a target; only proxies get other forms."""
    if method == b"CONNECT":
        detail = "CONNECT is not implemented: this server is no proxy"
        raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "unknown-method", detail)
    if b"#" in target:
        raise malformed("the target must not have a fragment (#)")
    if not target.isascii():
        raise malformed("the target must be ASCII; percent-encode other characters")
    return target if target.startswith(b"/") else _of_absolute_form(target, host)


def _of_absolute_form(target: bytes, host: bytes | None) -> bytes:
    """Return the origin form of an absolute URL (RFC 9112, section 3.2.2).

    The URL must name the same host as the header.
    """
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise malformed("the target must begin with a slash") from None
    if (url.schema or b"").lower() not in _WEB or url.userinfo is not None:
        raise malformed("the target must begin with a slash")
    authority = re.split(rb"[/?]", target.partition(b"://")[2], maxsplit=1)[0]
    if host is not None and authority.lower() != host.lower():
        raise malformed("the target names another host than the header Host")
    path, query = url.path or b"/", url.query
    return path if query is None else b"%b?%b" % (path, query)


def _check_coding(value: bytes, version: str) -> None:
    if version == "1.0":
        raise malformed("Transfer-Encoding is not known to HTTP/1.0; send Content-Length")
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if codings == [b"chunked"]:
        return
    if codings.count(b"chunked") != 1 or codings[-1] != b"chunked" or not all(map(_CODING.fullmatch, codings)):
        raise malformed("Transfer-Encoding must be chunked")
    detail = "the only transfer coding that is implemented is chunked; send Transfer-Encoding: chunked"
    raise RequestRefused(HTTPStatus.NOT_IMPLEMENTED, "unknown-transfer-coding", detail)
