"""Framing of requests, however their bytes arrive; without sockets."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from httpserver.framing import RequestStream
from httpserver.heads import NOT_IN_TRAILERS, Head, HeadLimits, RequestRefused, repeated

HOST = b"Host: gateway\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
LIKE_A_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: inner\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(LIKE_A_REQUEST)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"5\r\nGET /\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(LIKE_A_REQUEST) - 5, LIKE_A_REQUEST[5:])

Request = tuple[bytes, bytes, bytes]
"""Method, target and body of a request."""


@dataclass
class Seen:
    """Events that a stream has reported."""

    requests: list[Request] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    begun: int = 0
    free: bool = True
    """Whether another request may begin."""
    one_at_a_time: bool = False

    def request_begun(self) -> None:
        self.begun += 1

    def request_headed(self, head: Head) -> None:
        self.heads.append(head)
        self.body = b""
        self.free = not self.one_at_a_time

    def body_received(self, body: bytes) -> None:
        self.body += body

    def request_completed(self) -> None:
        head = self.heads[-1]
        self.requests.append((head.method, head.target, self.body))

    def takes_next(self) -> bool:
        return self.free


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def by_bytes(data: bytes) -> Iterator[bytes]:
    for n in range(len(data)):
        yield data[n : n + 1]


def by_sevens(data: bytes) -> Iterator[bytes]:
    for n in range(0, len(data), 7):
        yield data[n : n + 7]


Cut = Callable[[bytes], Iterable[bytes]]
CUTS: list[Cut] = [whole, by_bytes, by_sevens]


def told(data: bytes, cut: Cut = whole, limits: HeadLimits = HeadLimits()) -> tuple[list[Request], int | None]:  # noqa: B008
    """Return the requests found in the bytes, and the status of a refusal."""
    seen = Seen()
    stream = RequestStream(seen, limits)
    try:
        for piece in cut(data):
            stream.feed(piece)
    except RequestRefused as refused:
        return seen.requests, refused.status.value
    return seen.requests, None


def post(*headers: bytes, body: bytes = b"", version: bytes = b"1.1", target: bytes = b"/first") -> bytes:
    return b"POST %b HTTP/%b\r\n" % (target, version) + HOST + b"".join(headers) + b"\r\n" + body


UPGRADES = {
    "none": b"",
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
    "anything": b"connection: uPGRADE\r\nupgrade: foo/7, bar\r\n",
    "twice": b"Connection: upgrade\r\nUpgrade: a\r\nConnection: upgrade\r\nUpgrade: b\r\n",
    "empty": b"Connection: upgrade\r\nUpgrade:\r\n",
    "not offered by the connection": b"Upgrade: h2c\r\n",
    "named but not there": b"Connection: upgrade\r\n",
    "by a proxy's header": b"Proxy-Connection: upgrade\r\nUpgrade: h2c\r\n",
}
BODIES = {
    "no body": (b"", b"", b""),
    "length zero": (b"Content-Length: 0\r\n", b"", b""),
    "length": (LENGTH, LIKE_A_REQUEST, LIKE_A_REQUEST),
    "length before the client may send": (b"Expect: 100-continue\r\n" + LENGTH, LIKE_A_REQUEST, LIKE_A_REQUEST),
    "chunks": (CHUNKED, IN_CHUNKS, LIKE_A_REQUEST),
    "no chunks": (CHUNKED, b"0\r\n\r\n", b""),
    "chunks with extensions": (CHUNKED, b'2;a;b=c;d="e"\r\nhi\r\n0;f\r\n\r\n', b"hi"),
    "chunks with trailers": (CHUNKED, b"2\r\nhi\r\n0\r\nX-Environment: a\r\nChecksum: b\r\n\r\n", b"hi"),
    "line ends": (CHUNKED, b"8\r\n\r\n\r\n\r\n\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n" * 6),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_a_body_is_a_body_whatever_protocol_is_offered(upgrade: str, body: str, cut: Cut) -> None:
    framing, sent, content = BODIES[body]
    for headers in (UPGRADES[upgrade] + framing, framing + UPGRADES[upgrade]):
        data = post(headers, body=sent)
        one, next_one = (b"POST", b"/first", content), (b"GET", b"/next", b"")
        assert told(data + NEXT + data, cut) == ([one, next_one, one], None)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "headers", [b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n", b"Connection: close\r\n"], ids=["upgrade", "plain"]
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_after_the_last_request_nothing_is_read(headers: bytes, version: bytes, cut: Cut) -> None:
    data = post(headers + LENGTH, body=LIKE_A_REQUEST, version=version)
    assert told(data + NEXT, cut) == ([(b"POST", b"/first", LIKE_A_REQUEST)], None)


def test_a_client_of_http_1_0_is_not_told_to_continue() -> None:
    seen = Seen()
    RequestStream(seen, HeadLimits()).feed(post(b"Expect: 100-continue\r\n", LENGTH, version=b"1.0"))
    assert not seen.heads[0].expects_continue


GET = b"GET / HTTP/1.1\r\n" + HOST
REFUSED = {
    # The request line
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/0.9 by name": (b"GET / HTTP/0.9\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3.7": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 505),
    "two digits": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "no dot": (b"GET / HTTP/11\r\n" + HOST + b"\r\n", 400),
    "small letters": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "RTSP": (b"OPTIONS / RTSP/1.0\r\n" + HOST + b"\r\n", 400),
    "ICE": (b"SOURCE / ICE/1.0\r\n" + HOST + b"\r\n", 400),
    "blanks before the target": (b"GET   / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "blanks after the target": (b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "blanks after the version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "a tab for a blank": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a blank first": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an unknown method": (b"HACK / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT gateway:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "line feeds alone": (b"GET / HTTP/1.1\nHost: gateway\n\n", 400),
    "returns alone": (b"GET / HTTP/1.1\rHost: gateway\r\r", 400),
    # Targets
    "a fragment": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another host": (b"GET http://other/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another port": (b"GET http://gateway:81/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another scheme": (b"GET ftp://gateway/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a user": (b"GET http://u@gateway/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an authority": (b"GET gateway:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no slash": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a query alone": (b"GET ?a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "letters outside ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "NUL": (b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an escape": (b"GET /\x1b[2J HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "DEL": (b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    # Hosts
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (GET + b"Host: other\r\n\r\n", 400),
    "the same host twice": (GET + HOST + b"\r\n", 400),
    "two hosts of HTTP/1.0": (b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
    "hosts in a list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host with a user": (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    "host with a blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host with a port of letters": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "host outside ASCII": (b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", 400),
    # Headers
    "a blank before the colon": (GET + b"A : b\r\n\r\n", 400),
    "a tab before the colon": (GET + b"A\t: b\r\n\r\n", 400),
    "no colon": (GET + b"A\r\n\r\n", 400),
    "no name": (GET + b": b\r\n\r\n", 400),
    "a folded line": (GET + b"A: b\r\n c\r\n\r\n", 400),
    "a line folded by a tab": (GET + b"A: b\r\n\tc\r\n\r\n", 400),
    "a blank first in a header": (b"GET / HTTP/1.1\r\n Host: gateway\r\n\r\n", 400),
    "a line feed alone": (GET + b"A: b\nC: d\r\n\r\n", 400),
    "a return alone": (GET + b"A: b\rC: d\r\n\r\n", 400),
    "NUL in a value": (GET + b"A: \0\r\n\r\n", 400),
    "NUL in a name": (GET + b"A\0: b\r\n\r\n", 400),
    "an escape in a value": (GET + b"A: \x1b\r\n\r\n", 400),
    "DEL in a value": (GET + b"A: \x7f\r\n\r\n", 400),
    "a name outside ASCII": (GET + b"\xe9: b\r\n\r\n", 400),
    # Lengths
    **{
        f"length {value!r}": (post(b"Content-Length: %b\r\n" % value, body=b"12345"), 400)
        for value in (b"", b"+5", b"-5", b"0x5", b"5, 5", b"5 5", b"5;a", b"5.0", b"five", b"9" * 25, b'"5"', b"5,")
    },
    "two lengths": (post(b"Content-Length: 5\r\nContent-Length: 6\r\n", body=b"12345"), 400),
    "a length twice": (post(b"Content-Length: 5\r\nContent-Length: 5\r\n", body=b"12345"), 400),
    "length and chunks": (post(b"Content-Length: 5\r\n", CHUNKED, body=IN_CHUNKS), 400),
    "chunks and length": (post(CHUNKED, b"Content-Length: 5\r\n", body=IN_CHUNKS), 400),
    "chunks of HTTP/1.0": (post(CHUNKED, body=IN_CHUNKS, version=b"1.0"), 400),
    # Codings
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", body=IN_CHUNKS), 501),
    "gzip and chunked in two lines": (post(b"Transfer-Encoding: gzip\r\n", CHUNKED, body=IN_CHUNKS), 400),
    **{
        f"coding {value!r}": (post(b"Transfer-Encoding: %b\r\n" % value, body=IN_CHUNKS), 400)
        for value in (
            *(b"chunked, gzip", b"chunked, chunked", b"gzip", b"identity", b"xchunked", b"chunkedx", b"chunk", b""),
            *(b",chunked", b"chunked,", b"chunked;a=b", b'"chunked"', b"chunked chunked", b"chunked, identity"),
        )
    },
    "chunked twice": (post(CHUNKED, CHUNKED, body=IN_CHUNKS), 400),
    "coding after a vertical tab": (post(b"Transfer-Encoding:\x0bchunked\r\n", body=IN_CHUNKS), 400),
    # Chunks
    **{
        f"chunk {chunk!r}": (post(CHUNKED, body=chunk + b"hello\r\n0\r\n\r\n"), 400)
        for chunk in (
            *(b"5 \r\n", b" 5\r\n", b"0x5\r\n", b"+5\r\n", b"-5\r\n", b"5\n", b"5\r", b"\r\n", b"5\r\r\n", b"g\r\n"),
            *(
                b"10000000000000005\r\n",
                b"5;\r\n",
                b"5; a\r\n",
                b"5;a b\r\n",
                b"5;a\n",
                b'5;a="b\r\n',
                b"5 ;a\r\n",
                b"5,\r\n",
            ),
        )
    },
    "a chunk that is longer": (post(CHUNKED, body=b"5\r\nhello!\r\n0\r\n\r\n"), 400),
    "a chunk that is shorter": (post(CHUNKED, body=b"5\r\nhell\r\n0\r\n\r\n"), 400),
    "a chunk that ends in a line feed": (post(CHUNKED, body=b"5\r\nhello\n0\r\n\r\n"), 400),
    "a last chunk that ends in line feeds": (post(CHUNKED, body=b"5\r\nhello\r\n0\n\n"), 400),
    **{
        f"{name.decode()} as a trailer": (post(CHUNKED, body=b"2\r\nhi\r\n0\r\n%b: close\r\n\r\n" % name), 400)
        for name in sorted(NOT_IN_TRAILERS)
    },
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_a_choice_is_refused_and_nothing_read_after_it(name: str, cut: Cut) -> None:
    data, status = REFUSED[name]
    assert told(data + NEXT + NEXT, cut) == ([], status)
    upgraded = data.replace(b"\r\nHost:", b"\r\n" + UPGRADES["h2c"] + b"Host:", 1)
    assert told(upgraded + NEXT, cut) == ([], status)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("target", "origin"),
    [
        (b"http://gateway/a?b=c", b"/a?b=c"),
        (b"HTTP://Gateway/a", b"/a"),
        (b"https://gateway", b"/"),
        (b"http://gateway?b", b"/?b"),
        (b"/http://other/", b"/http://other/"),
        (b"//other/a", b"//other/a"),
    ],
)
def test_a_target_in_absolute_form_is_the_path_that_it_names(target: bytes, origin: bytes, cut: Cut) -> None:
    assert told(post(target=target) + NEXT, cut)[0] == [(b"POST", origin, b""), (b"GET", b"/next", b"")]


@pytest.mark.parametrize("host", [b"a", b"a:80", b"A_b.c-d", b"127.0.0.1:8080", b"[::1]:80", b""])
def test_hosts_that_there_may_be(host: bytes) -> None:
    assert told(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)[1] is None


def test_a_client_of_http_1_0_needs_no_host() -> None:
    assert told(b"GET / HTTP/1.0\r\n\r\n") == ([(b"GET", b"/", b"")], None)


def test_values_have_no_blanks_around_them() -> None:
    seen = Seen()
    RequestStream(seen, HeadLimits()).feed(post(b"X-A: \t a b \t\r\n", b"Content-Length:\t0\t\r\n"))
    assert seen.heads[0].headers[1:] == [(b"x-a", b"a b"), (b"content-length", b"0")]


# Limits


@pytest.mark.parametrize("cut", CUTS)
def test_as_many_headers_as_may_be(cut: Cut) -> None:
    limits = HeadLimits(headers=10)
    assert told(post(*(b"X: a\r\n" for _ in range(9))) + NEXT, cut, limits)[1] is None
    assert told(post(*(b"X: a\r\n" for _ in range(10))) + NEXT, cut, limits) == ([], 431)


@pytest.mark.parametrize("cut", CUTS)
def test_a_head_has_a_size_of_its_own_and_not_with_those_before(cut: Cut) -> None:
    limits = HeadLimits(bytes=1000)
    data = post(b"X: %b\r\n" % (b"a" * 900))
    assert len(told(5 * data, cut, limits)[0]) == 5
    assert told(data + post(b"X: %b\r\n" % (b"a" * 1000)), cut, limits)[1] == 431
    assert told(data + b"GET / HTTP/1.1\r\nX: " + b"a" * 1000, cut, limits)[1] == 431


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "body",
    [
        b"2;a=%b\r\nhi\r\n0\r\n\r\n" % (b"b" * 1100),
        b"1;a=%b\r\nh\r\n" % (b"b" * 50) * 30 + b"0\r\n\r\n",
        b"0\r\n" + b"X: a\r\n" * 200 + b"\r\n",
        b"0" * 1100 + b"2\r\nhi\r\n0\r\n\r\n",
    ],
    ids=["one extension", "many extensions", "trailers", "zeros"],
)
def test_what_is_around_chunks_has_a_size_too(body: bytes, cut: Cut) -> None:
    assert told(post(CHUNKED, body=body), cut, HeadLimits(bytes=1000)) == ([], 431)


@pytest.mark.parametrize("cut", CUTS)
def test_small_chunks_are_no_extensions(cut: Cut) -> None:
    body = b"1\r\na\r\n" * 1000 + b"0\r\n\r\n"
    assert told(post(CHUNKED, body=body), cut, HeadLimits(bytes=1000)) == ([(b"POST", b"/first", b"a" * 1000)], None)


def test_what_follows_a_request_waits_as_bytes_until_it_is_answered() -> None:
    seen = Seen(one_at_a_time=True)
    stream = RequestStream(seen, HeadLimits())
    one = post(LENGTH, body=LIKE_A_REQUEST)
    stream.feed(one + one + NEXT[:10])
    for n in (1, 2):
        assert (len(seen.requests), seen.begun) == (n, 0)
        assert stream.held == (2 - n) * len(one) + 10
        seen.free = True
        stream.go_on()
    assert (len(seen.requests), seen.begun, stream.held) == (2, 1, 0)
    stream.feed(NEXT[10:])
    assert [target for _, target, _ in seen.requests] == [b"/first", b"/first", b"/next"]


@pytest.mark.parametrize("cut", CUTS)
def test_line_ends_between_requests_count_for_nothing(cut: Cut) -> None:
    assert told(b"\r\n\r\n\r\n" + NEXT + b"\r\n" + NEXT + b"\r\n\r\n", cut) == ([(b"GET", b"/next", b"")] * 2, None)


# Headers given twice


def test_names_in_their_usual_spelling() -> None:
    names = [repeated([(name, b""), (name, b"")]) for name in (b"x-api-key", b"traceparent", b"content-type")]
    assert names == ["X-API-Key", "traceparent", "Content-Type"]
    assert repeated([(b"accept", b""), (b"accept", b"")]) is None
