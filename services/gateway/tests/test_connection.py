"""Requests over real sockets to the real server: framing, ends and memory, on every path."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from clients import app_of
from conftest import FakeTransformer, sample
from serving import client_of, head, post, serving
from waiting import turns, until

from gateway.app import GatewayApp
from gateway.http.limits import connection_limits
from gateway.settings import MIB, GatewaySettings
from httpserver import ConnectionLimits
from httpserver.connection import Connection
from httpserver.heads import FRAMING, SINGLETONS

PREDICT, BATCH, EXPLAIN = "/api/v1/predict", "/api/v1/batch-predict", "/api/v1/explain"
BODIES: dict[str, Any] = {
    PREDICT: {"email_content": "0.5"},
    BATCH: {"emails": ["0.5", "0.25"]},
    EXPLAIN: {"email_content": "0.5"},
}
LIMITS = ConnectionLimits(60)
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
GET = b"GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n"


@pytest.fixture
async def port(transformer: FakeTransformer) -> AsyncIterator[int]:
    async with serving(gateway(transformer), LIMITS) as port:
        yield port


def gateway(transformer: FakeTransformer, **settings: object) -> GatewayApp:
    environments = {"staging": transformer.url, "production": transformer.url}
    return app_of(environments, **settings)


# Upgrades


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", BODIES)
async def test_a_client_that_offers_http_2_is_answered(port: int, path: str, chunked: bool) -> None:
    content = orjson.dumps(BODIES[path])
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if chunked else content
    lines = ["Transfer-Encoding: chunked"] if chunked else [f"Content-Length: {len(content)}"]
    async with client_of(port) as client:
        for _ in range(2):
            client.send(head(path, *H2C, "X-Request-ID: mine", *lines), framed, GET)
            status, headers, answer = await client.answer()
            assert (status, headers["x-request-id"], answer["request_id"]) == (200, "mine", "mine")
            assert "upgrade" not in headers and "connection" not in headers
            assert (await client.answer())[2] == {"status": "alive"}


@pytest.mark.parametrize("path", [*BODIES, "/nowhere"])
async def test_a_body_is_never_a_request(port: int, transformer: FakeTransformer, path: str) -> None:
    """Each request gets one answer, whatever protocol it offers and whenever its body arrives."""
    inner = post(PREDICT, {"email_content": "0.125"}, "X-Request-ID: smuggled")
    async with client_of(port) as client:
        client.send(head(path, *H2C, length=len(inner)))
        # The body comes in a packet of its own: another answer shows that the server has read the head.
        async with client_of(port) as other:
            other.send(GET)
            assert (await other.answer())[0] == 200
        client.send(inner, GET)
        assert (await client.answer())[0] in (422, 404)
        assert (await client.answer())[2] == {"status": "alive"}
    assert "0.125" not in [mail for batch in transformer.batches for mail in batch]


async def test_who_waits_to_be_told_to_go_on_is_told_so_whatever_it_offers(port: int) -> None:
    content = orjson.dumps(BODIES[PREDICT])
    async with client_of(port) as client:
        client.send(head(PREDICT, *H2C, "Expect: 100-continue", length=len(content)))
        async with asyncio.timeout(10):
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(content)
        assert (await client.answer())[0] == 200


async def test_a_refusal_at_once_leaves_no_body_behind(transformer: FakeTransformer) -> None:
    async with serving(gateway(transformer, max_queued_mails=1), LIMITS) as port, AsyncExitStack() as stack:
        transformer.gate.clear()
        filling, client = [await stack.enter_async_context(client_of(port)) for _ in range(2)]
        filling.send(post(PREDICT, BODIES[PREDICT]))
        await transformer.wait_for_batches(1)
        for _ in range(3):
            inner = post(PREDICT, {"email_content": "0.125"})
            client.send(head(PREDICT, *H2C, length=len(inner)), inner, GET)
            assert (await client.answer())[0] == 503
            assert (await client.answer())[0] == 200
        transformer.gate.set()
        assert (await filling.answer())[0] == 200
    assert transformer.batches == [["0.5"]]


# Refusals


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 400, "malformed-request"),
        (b"GET /health HTTP/3.7\r\nHost: x\r\n\r\n", 505, "unsupported-version"),
        (head(PREDICT, "Transfer-Encoding: gzip, chunked"), 501, "unknown-transfer-coding"),
        (head(PREDICT, *(f"X-{n}: a" for n in range(100))), 431, "too-many-headers"),
        (head(PREDICT, "Transfer-Encoding: chunked") + b"x\r\n", 400, "malformed-request"),
    ],
)
async def test_a_refused_request_is_told_why_and_its_connection_ends(
    port: int, request_: bytes, status: int, kind: str
) -> None:
    async with client_of(port) as client:
        client.send(request_, GET)
        found, headers, problem = await client.answer()
        assert (found, headers["connection"], problem["type"]) == (status, "close", f"urn:problem:{kind}")
        assert problem["request_id"] == headers["x-request-id"]
        assert await client.is_closed()


@pytest.mark.parametrize("path", [PREDICT, EXPLAIN, "/health"])
@pytest.mark.parametrize("name", sorted(SINGLETONS - FRAMING))
async def test_a_header_that_may_stand_once_is_refused_twice_on_every_way(port: int, path: str, name: bytes) -> None:
    lines = [f"{name.decode()}: {value}" for value in ("a", "a")]
    async with client_of(port) as client:
        client.send(post(path, BODIES[PREDICT], *lines), GET)
        status, headers, problem = await client.answer()
        assert (status, problem["type"]) == (400, "urn:problem:repeated-header")
        assert name.decode() in problem["detail"].lower()
        assert "connection" not in headers, "it is clear where the request ends"
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("suffix", ["%0A", "%0a", "%0D%0A", "%00", "%20", "%2F", "%C2%85", "%E2%80%A8", "%09"])
@pytest.mark.parametrize("path", [*BODIES, "/health", "/metrics", "/ready", "/openapi.json"])
async def test_an_escape_makes_another_path(port: int, path: str, suffix: str) -> None:
    async with client_of(port) as client:
        for method in (b"POST", b"GET"):
            client.send(post(path + suffix, BODIES[PREDICT]).replace(b"POST", method, 1))
            assert (await client.answer())[0] == 404


@pytest.mark.parametrize("path", ["/api/v1/%70redict", "/%61pi/v1/explain", "/api%2Fv1%2Fbatch-predict", "/healt%68"])
async def test_an_escape_that_nobody_needs_makes_another_path_too(port: int, path: str) -> None:
    async with client_of(port) as client:
        client.send(post(path, BODIES[PREDICT]))
        assert (await client.answer())[0] == 404


# Ends


async def test_who_sends_much_more_than_is_taken_still_reads_why(port: int) -> None:
    """Closing at once would reset the connection and lose the unread answer."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, head(PREDICT, length=20 * MIB))
        async with asyncio.timeout(10):
            for _ in range(20):
                await loop.sock_sendall(client, b"x" * MIB)
            said = b""
            while more := await loop.sock_recv(client, MIB):
                said += more
    assert said.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_only_goes_on_sending_is_cut_off(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpserver.sweep.SWEEP_SECONDS", 0.02)
    monkeypatch.setattr("httpserver.ending.LINGER_SECONDS", 0.1)
    async with serving(gateway(transformer), LIMITS) as port, client_of(port) as client:
        client.send(b"?\r\n\r\n")
        assert (await client.answer())[0] == 400
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(10):
                while True:
                    client.send(b"x")
                    await client.writer.drain()
                    # The scenario: a client that goes on sending.
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", [*BODIES, "/health", "/nowhere"])
async def test_a_client_that_ends_its_side_gets_its_answers(port: int, path: str) -> None:
    async with client_of(port) as client:
        client.send(post(path, BODIES.get(path, {})), post(path, BODIES.get(path, {})))
        client.writer.write_eof()
        statuses = [(await client.answer())[0] for _ in range(2)]
        assert statuses == [200 if path in BODIES else 405 if path == "/health" else 404] * 2
        assert await client.is_closed()


async def test_a_client_that_ends_its_side_while_it_waits_gets_its_answer(
    port: int, transformer: FakeTransformer
) -> None:
    transformer.gate.clear()
    async with client_of(port) as client:
        client.send(post(PREDICT, BODIES[PREDICT]))
        await transformer.wait_for_batches(1)
        client.writer.write_eof()
        async with client_of(port) as other:
            other.send(GET)
            assert (await other.answer())[0] == 200
        transformer.gate.set()
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.is_closed()


@pytest.mark.parametrize("sent", [b"GET /health HTTP/1.1\r\nHost", head(PREDICT, length=5) + b"{"])
async def test_a_client_that_ends_its_side_too_early_is_told_so(port: int, sent: bytes) -> None:
    async with client_of(port) as client:
        client.send(sent)
        client.writer.write_eof()
        status, _, problem = await client.answer()
        assert (status, problem["type"]) == (400, "urn:problem:incomplete-request")
        assert await client.is_closed()


async def test_mail_of_clients_that_may_have_gone_comes_last_and_gives_up_its_room(
    transformer: FakeTransformer,
) -> None:
    settings = {"max_queued_mails": 5, "max_batch_mails": 1, "max_batches_in_flight": 1}
    app = gateway(transformer, **settings)
    async with serving(app, LIMITS) as port, AsyncExitStack() as stack:
        transformer.gate.clear()
        clients = [await stack.enter_async_context(client_of(port)) for _ in range(6)]
        first, half, kept, *_ = clients
        first.send(post(PREDICT, {"email_content": "0.1"}))
        await transformer.wait_for_batches(1)
        half.send(post(PREDICT, {"email_content": "0.2"}))
        await queued(app, 1)
        half.writer.write_eof()
        kept.send(post(PREDICT, {"email_content": "0.3"}))
        await queued(app, 2)
        transformer.gate.set()
        assert [(await client.answer())[0] for client in (first, kept, half)] == [200, 200, 200]
        assert transformer.batches == [["0.1"], ["0.3"], ["0.2"]]
        transformer.gate.clear()
        clients = [await stack.enter_async_context(client_of(port)) for _ in range(5)]
        for n, client in enumerate(clients):
            client.send(post(PREDICT, {"email_content": f"0.{n}"}))
            await (transformer.wait_for_batches(4) if n == 0 else queued(app, n))
        for client in clients[1:3]:
            client.writer.write_eof()
        new = await stack.enter_async_context(client_of(port))
        new.send(post(PREDICT, {"email_content": "0.9"}))
        assert (await new.answer())[0] == 503
        assert [(await client.answer())[0] for client in clients[1:3]] == [503, 503]
        transformer.gate.set()
        assert [(await clients[n].answer())[0] for n in (0, 3, 4)] == [200, 200, 200]
        assert transformer.batches[3:] == [["0.0"], ["0.3"], ["0.4"]]


async def queued(app: GatewayApp, mails: int) -> None:
    await until(lambda: sample(app.metrics, "gateway_queued_mails", environment="staging") == mails)


# Memory


async def waiting(app: GatewayApp, size: int) -> None:
    """Wait until at least this many bytes wait, over all connections."""
    await until(lambda: sample(app.metrics, "gateway_waiting_bytes") >= size)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


TINY = b"GET /health HTTP/1.1\r\nHost:\r\n\r\n"


async def test_requests_behind_one_that_waits_take_no_more_memory_than_their_bytes(
    transformer: FakeTransformer,
) -> None:
    app = gateway(transformer)
    async with serving(app, LIMITS) as port, AsyncExitStack() as stack:
        transformer.gate.clear()
        clients = [await stack.enter_async_context(client_of(port)) for _ in range(10)]
        before = resident_bytes()
        for n, client in enumerate(clients):
            client.send(post(PREDICT, BODIES[PREDICT]), TINY * 8000)
            await transformer.wait_for_batches(min(n + 1, 2))
        await waiting(app, 1000 * len(clients) * len(TINY))
        # Reading goes on here if it is not paused.
        await turns(200)
        assert resident_bytes() - before < 30 * MIB, "as parsed requests they took 20 MiB a connection"
        transformer.gate.set()
        for client in clients:
            assert (await client.answer())[0] == 200
            for _ in range(20):
                assert (await client.answer())[2] == {"status": "alive"}


async def test_what_waits_has_a_limit_over_all_connections_and_gives_its_room_back(
    transformer: FakeTransformer,
) -> None:
    limits = replace(LIMITS, waiting_bytes=20_000)
    app = gateway(transformer)
    async with serving(app, limits) as port, AsyncExitStack() as stack:
        for batches in (1, 3):
            transformer.gate.clear()
            clients = [await stack.enter_async_context(client_of(port)) for _ in range(2)]
            for n, client in enumerate(clients):
                client.send(post(PREDICT, BODIES[PREDICT]))
                await transformer.wait_for_batches(batches + n)
                client.send(TINY * 400)
                await waiting(app, 12_400)
            # A head counts as well.
            late = await stack.enter_async_context(client_of(port))
            late.send(b"GET /health HTTP/1.1\r\nX: " + b"a" * 15_000)
            status, headers, problem = await late.answer()
            assert (status, problem["type"], headers["retry-after"]) == (503, "urn:problem:too-much-waiting", "1")
            assert await late.is_closed()
            transformer.gate.set()
            answers = [await client.answer() for client in clients]
            assert [status for status, _, _ in answers] == [200, 200]
            assert [headers.get("connection") for _, headers, _ in answers] == [None, "close"]
            assert await clients[1].is_closed()
            for _ in range(400):
                assert (await clients[0].answer())[0] == 200


async def test_many_requests_in_one_packet_are_answered_in_their_order(port: int) -> None:
    async with client_of(port) as client:
        client.send(*(post(PREDICT, {"email_content": f"0.{n}"}, f"X-Request-ID: {n}") for n in range(100, 600)))
        for n in range(100, 600):
            status, headers, answer = await client.answer()
            assert (status, headers["x-request-id"]) == (200, str(n))
            assert answer["spam_probability"] == float(f"0.{n}")


async def test_nothing_more_is_read_while_requests_wait(port: int, transformer: FakeTransformer) -> None:
    """The application asks for a body that has arrived already; this must not resume reading."""
    transformer.gate.clear()
    async with client_of(port) as client:
        client.writer.transport.set_write_buffer_limits(high=0)
        client.send(post(PREDICT, BODIES[PREDICT]))
        await transformer.wait_for_batches(1)
        client.send(TINY * 400_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.writer.drain()
        transformer.gate.set()
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("sent", [b"", GET, post(PREDICT, BODIES[PREDICT]), b"no request\r\n\r\n"])
async def test_a_connection_that_has_ended_is_freed_without_a_garbage_collection(port: int, sent: bytes) -> None:
    def open_connections() -> list[Connection]:
        return [each for each in gc.get_objects() if isinstance(each, Connection)]

    gc.collect()
    gc.disable()
    try:
        async with asyncio.timeout(10), client_of(port) as client:
            client.send(sent)
            if sent:
                await client.reader.readuntil(b"\r\n\r\n")
            await until(open_connections)
        await until(lambda: not open_connections())
    finally:
        gc.enable()


def test_settings_limit_heads_and_what_waits() -> None:
    settings = GatewaySettings(environments={"staging": "http://x"}, max_headers=7, max_waiting_bytes=8)  # type: ignore[dict-item]
    limits = connection_limits(settings, idle=75)
    assert (limits.heads.headers, limits.waiting_bytes) == (7, 8)


def test_every_header_that_the_gateway_reads_may_stand_once() -> None:
    read = {b"authorization", b"x-api-key", b"x-environment", b"x-request-id", b"x-canary-key", b"traceparent"}
    assert read | {b"content-type", b"content-encoding", b"content-length", b"host", b"expect"} <= SINGLETONS
