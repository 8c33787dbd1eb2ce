"""Hostile HTTP requests to the gateway as raw bytes, each with the statuses that may answer it."""

import gzip

MARK = "injected-by-a-client"
"""Marker in injected text: no log line and no response header may begin with the text that carries it."""

_BODY = b'{"email_content": "hello"}'
_PREDICT = b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\n"
_GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"


def _post(*headers: bytes, body: bytes = _BODY) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return _PREDICT + b"".join(header + b"\r\n" for header in headers) + length + b"\r\n" + body


def _path(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"


_LINE = b'{"message": "' + MARK.encode() + b'"}'
_UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
_CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n"
_CHUNKED = b"1a\r\n" + _BODY + b"\r\n0\r\n"

REQUESTS: dict[str, tuple[bytes, frozenset[int]]] = {
    name: (raw, frozenset(statuses))
    for name, raw, *statuses in [
        # Request ids
        ("request id with CR LF", _post(b"X-Request-ID: a\r\n" + _LINE), 400),
        ("request id with CR", _post(b"X-Request-ID: a\r" + _LINE), 400),
        ("request id with LF", _post(b"X-Request-ID: a\n" + _LINE), 400),
        ("request id with NUL", _post(b"X-Request-ID: a\0" + _LINE), 400),
        ("request id with U+2028", _post(b"X-Request-ID: a\xe2\x80\xa8" + _LINE), 400),
        ("request id with U+0085", _post(b"X-Request-ID: a\x85" + _LINE), 400),
        ("request id with an escape", _post(b"X-Request-ID: \x1b[2J" + _LINE), 400),
        ("request id folded", _post(b"X-Request-ID: a\r\n " + _LINE), 400),
        ("request id of JSON", _post(b'X-Request-ID: a","message":"' + MARK.encode()), 200),
        ("request id too long", _post(b"X-Request-ID: " + b"a" * 129), 400),
        ("two request ids", _post(b"X-Request-ID: a", b"X-Request-ID: b"), 400),
        # Environments
        ("two environments", _post(b"X-Environment: staging", b"X-Environment: production"), 400),
        ("environment with U+2028", _post(b"X-Environment: \xe2\x80\xa8" + _LINE), 400),
        ("environment without end", _post(b"X-Environment: " + b"a" * 60_000), 400),
        # Heads
        ("header with a blank in its name", _post(b"X Y: a"), 400),
        ("header without a colon", _post(b"XY"), 400),
        ("header outside ASCII", _post(b"X-Y: \xff\xfe"), 200),
        ("head of 70 kB", _post(b"X: " + b"a" * 70_000), 431),
        ("head of many headers", _post(*(b"X-%d: a" % number for number in range(7_000))), 431),
        ("head without end", _PREDICT + b"X: " + b"a" * 70_000, 431),
        ("long path", _path(b"/" + b"a" * 60_000), 404),
        ("path without end", _path(b"/" + b"a" * 70_000), 431),
        ("path with CR LF", _path(b"/%0d%0a" + _LINE.replace(b" ", b"%20").replace(b'"', b"%22")), 404),
        ("path with NUL", _path(b"/%00" + MARK.encode()), 404),
        ("path with U+2028", _path(b"/%E2%80%A8" + MARK.encode()), 404),
        ("path with bytes that are no UTF-8", _path(b"/%ff%fe"), 404),
        ("path outside ASCII", _path(b"/\xff\xfe"), 400),
        ("unknown method", b"HACK / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("method that has no use here", b"DELETE /api/v1/predict HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("unknown version", b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        ("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n", 200),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("HTTP/0.9", b"GET /health\r\n\r\n", 505),
        ("HTTP/1.2", b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n", 505),
        ("HTTP/2.0", b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("another protocol", b"OPTIONS /health RTSP/1.0\r\nHost: x\r\n\r\n", 400),
        ("a tunnel", b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        # Hosts and targets
        ("no host", b"GET /health HTTP/1.1\r\n\r\n", 400),
        ("two hosts", _GET + b"Host: y\r\n\r\n", 400),
        ("a target of another host", _path(b"http://y/health"), 400),
        ("a target in absolute form", _path(b"http://x/health"), 200),
        ("a target with a fragment", _path(b"/health#a"), 400),
        ("path that ends in an escaped line feed", _path(b"/health%0A"), 404),
        ("predict with an escaped line feed", _post().replace(b"/predict ", b"/predict%0A ", 1), 404),
        ("explain with an escaped line feed", _post().replace(b"/predict ", b"/explain%0A ", 1), 404),
        # Headers
        ("two types", _post(b"Content-Type: application/json", b"Content-Type: text/plain"), 400),
        ("two encodings", _post(b"Content-Encoding: identity", b"Content-Encoding: identity"), 400),
        ("two traces", _post(b"traceparent: a", b"traceparent: b"), 400),
        ("101 headers", _post(*(b"X: a" for _ in range(99))), 431),
        ("blank before a colon", _post(b"X : a"), 400),
        # Other protocols
        ("upgrade to HTTP/2", _post(*_UPGRADE), 200),
        (
            "upgrade to HTTP/2 with chunks",
            _PREDICT + b"\r\n".join(_UPGRADE) + b"\r\n" + _CHUNKS + _CHUNKED + b"\r\n",
            200,
        ),
        ("upgrade with another request for a body", _post(*_UPGRADE, body=_GET + b"\r\n"), 422),
        ("upgrade to WebSocket", _GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
        # Lengths
        ("length and chunks", _PREDICT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKED, 400),
        ("chunks and length", _PREDICT + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + _CHUNKED, 400),
        ("two lengths", _post(b"Content-Length: 5"), 400),
        ("length below zero", _PREDICT + b"Content-Length: -1\r\n\r\n", 400),
        ("length of many digits", _PREDICT + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", 400),
        ("length with a sign", _PREDICT + b"Content-Length: +26\r\n\r\n" + _BODY, 400),
        ("chunks by another name", _PREDICT + b"Transfer-Encoding: xchunked\r\n\r\n" + _CHUNKED + b"\r\n", 400),
        ("chunks of another coding", _PREDICT + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNKED + b"\r\n", 501),
        ("chunked twice", _PREDICT + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + _CHUNKED + b"\r\n", 400),
        ("chunks of HTTP/1.0", b"POST /api/v1/predict HTTP/1.0\r\n" + _CHUNKS + _CHUNKED + b"\r\n", 400),
        ("chunk with a blank", _PREDICT + _CHUNKS + _CHUNKED.replace(b"1a", b"1a ", 1) + b"\r\n", 400),
        ("chunk with an extension", _PREDICT + _CHUNKS + _CHUNKED.replace(b"1a", b"1a;a=b", 1) + b"\r\n", 200),
        ("length in a trailer", _PREDICT + _CHUNKS + _CHUNKED + b"Content-Length: 5\r\n\r\n", 400),
        ("connection in a trailer", _PREDICT + _CHUNKS + _CHUNKED + b"Connection: close\r\n\r\n", 400),
        ("chunk of no size", _PREDICT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        # A trailer is ignored: the environment is the one that the request's head names.
        (
            "environment in a trailer",
            _PREDICT + b"Transfer-Encoding: chunked\r\n\r\n" + _CHUNKED + b"X-Environment: nowhere\r\n\r\n",
            200,
        ),
        # Bodies
        ("compressed body", _post(b"Content-Encoding: gzip", body=gzip.compress(_BODY, mtime=0)), 415),
        ("a million numbers", _post(body=b'{"email_content": [' + b"1," * 1_000_000 + b"1]}"), 422),
        ("field name of a mebibyte", _post(body=b'{"' + b"a" * (1 << 20) + b'": 1}'), 422),
        ("deep JSON", _post(body=b"[" * 1_000_000), 422),
    ]
}
"""Raw request and allowed statuses by name."""
