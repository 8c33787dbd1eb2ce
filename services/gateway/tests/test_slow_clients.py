"""Slow clients, and too many of them; server and sockets are real."""

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from clients import app_of
from conftest import FakeTransformer, sample
from serving import Client, client_of, head, post, serving
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from waiting import until

from gateway.app import GatewayApp
from gateway.metrics import Metrics
from gateway.predictions.admission import Admission
from httpserver import ConnectionLimits
from httpserver.heads import HEAD_BYTES

PREDICT = "/api/v1/predict"
GET = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"
SHORT, LONG = 0.5, 60.0
"""Time limits in seconds."""
LIMITS = ConnectionLimits(LONG, idle=LONG, head=LONG, body=LONG, write=LONG)
HUGE = b"x" * 2**26
"""Bytes that exceed any socket's buffers."""


@pytest.fixture(autouse=True)
def _swept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpserver.sweep.SWEEP_SECONDS", 0.02)


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer "ok", or with a huge body; read no request body."""
    await PlainTextResponse(HUGE if scope["path"] == "/huge" else "ok")(scope, receive, send)


def gateway(transformer: FakeTransformer, **settings: object) -> GatewayApp:
    return app_of({"staging": transformer.url}, **settings)


class Ended:
    """Counts of the connections that a server has ended, by reason."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.counts = metrics.connections

    @property
    def waiting_bytes(self) -> float:
        """Return the bytes of heads that are incomplete."""
        return sample(self._metrics, "gateway_waiting_bytes")

    def __call__(self, reason: str) -> float:
        return sample(self._metrics, "gateway_connections_ended_total", reason=reason)


@pytest.fixture
def ended(metrics: Metrics) -> Ended:
    return Ended(metrics)


async def trickle(client: Client, byte: bytes) -> None:
    """Send a byte again and again: the scenario is a client that keeps the server waiting."""
    while True:
        client.send(byte)
        await asyncio.sleep(SHORT / 10)


async def test_a_head_that_never_ends_is_408_however_it_trickles(ended: Ended) -> None:
    async with serving(page, replace(LIMITS, head=SHORT), "off", ended.counts) as port, client_of(port) as client:
        client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
        task = asyncio.create_task(trickle(client, b"a"))
        status, headers, problem = await client.answer()
        assert (status, headers["connection"], problem["type"]) == (408, "close", "urn:problem:request-timeout")
        assert problem["request_id"] == headers["x-request-id"]
        assert await client.is_closed()
        task.cancel()
    assert ended("head") == 1


async def test_a_head_has_its_time_from_its_own_beginning() -> None:
    async with serving(page, replace(LIMITS, head=SHORT), "off") as port, client_of(port) as client:
        client.send(GET)
        assert (await client.answer())[0] == 200
        # The scenario: a client that asks nothing for longer than a head may take.
        await asyncio.sleep(3 * SHORT)
        client.send(GET)
        assert (await client.answer())[0] == 200
        client.send(GET[:10])
        assert (await client.answer())[0] == 408


async def test_a_connection_that_asks_nothing_is_closed_without_a_word(ended: Ended) -> None:
    async with serving(page, replace(LIMITS, head=SHORT), "off", ended.counts) as port, client_of(port) as client:
        assert await client.is_closed()
    assert ended("idle") == 1


@pytest.mark.parametrize("byte", [b"", b"\r\n"])
async def test_an_idle_connection_is_closed_whatever_it_sends_that_is_no_request(byte: bytes, ended: Ended) -> None:
    async with serving(page, replace(LIMITS, idle=SHORT), "off", ended.counts) as port, client_of(port) as client:
        client.send(GET)
        await client.answer()
        task = asyncio.create_task(trickle(client, byte))
        assert await client.is_closed()
        task.cancel()
    assert ended("idle") == 1


async def test_a_head_without_end_is_431(ended: Ended) -> None:
    async with serving(page, LIMITS, "off", ended.counts) as port, client_of(port) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: ended.waiting_bytes)
        # Just over the limit: what arrives after the answer would reset the connection.
        client.send((b"X-More: " + b"a" * 990 + b"\r\n") * (HEAD_BYTES // 1000 + 1))
        status, _, problem = await client.answer()
        assert (status, problem["limit_bytes"]) == (431, HEAD_BYTES)
        assert await client.is_closed()
    assert ended("head") == 1


@pytest.mark.parametrize("path", [PREDICT, "/api/v1/batch-predict"])
async def test_a_slow_body_is_408_and_counted(transformer: FakeTransformer, path: str) -> None:
    labels = {"environment": "staging", "handler": path, "method": "POST", "status": "408"}
    app = gateway(transformer, max_body_seconds=SHORT)
    async with serving(app, replace(LIMITS, body=SHORT)) as port, client_of(port) as client:
        client.send(head(path, "X-Request-ID: slow", length=1000))
        task = asyncio.create_task(trickle(client, b"{"))
        status, headers, problem = await client.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert (problem["request_id"], problem["detail"][:8]) == ("slow", "the body")
        task.cancel()
        assert await client.is_closed()
    assert sample(app.metrics, "http_request_duration_seconds_count", **labels) == 1


async def test_a_body_of_a_request_refused_at_once_has_its_time_too(transformer: FakeTransformer, ended: Ended) -> None:
    app = gateway(transformer, max_queued_mails=1)
    async with serving(app, replace(LIMITS, body=SHORT), counts=ended.counts) as port, AsyncExitStack() as stack:
        waiting, logged, refused = [await stack.enter_async_context(client_of(port)) for _ in range(3)]
        transformer.gate.clear()
        waiting.send(post(PREDICT, {"email_content": "0.5"}))
        await transformer.wait_for_batches(1)
        # The application answers the first refusal, to log it.
        logged.send(post(PREDICT, {"email_content": "0.5"}))
        assert (await logged.answer())[0] == 503
        refused.send(head(PREDICT, length=100))
        assert (await refused.answer())[0] == 503
        assert await refused.is_closed()
        assert ended("body") == 1
        transformer.gate.set()


async def test_a_body_that_nobody_reads_has_its_time_too(ended: Ended) -> None:
    async with serving(page, replace(LIMITS, body=SHORT), "off", ended.counts) as port, client_of(port) as client:
        client.send(head("/", length=1000))
        assert (await client.answer())[0] == 200
        assert await client.is_closed()
    assert ended("body") == 1


async def test_a_slow_answer_is_no_slow_client(transformer: FakeTransformer) -> None:
    limits = replace(LIMITS, head=SHORT, body=SHORT, idle=SHORT, write=SHORT)
    async with serving(gateway(transformer), limits) as port, client_of(port) as client:
        transformer.gate.clear()
        client.send(post(PREDICT, {"email_content": "0.5"}))
        # The scenario: an answer that takes longer than any client may.
        await asyncio.sleep(3 * SHORT)
        transformer.gate.set()
        assert (await client.answer())[0] == 200


async def test_who_does_not_read_is_cut_off(ended: Ended) -> None:
    async with serving(page, replace(LIMITS, write=SHORT), "off", ended.counts) as port:
        loop = asyncio.get_running_loop()
        with socket.socket() as unread:
            unread.setblocking(False)
            await loop.sock_connect(unread, ("127.0.0.1", port))
            await loop.sock_sendall(unread, GET.replace(b"/ ", b"/huge "))
            await until(lambda: ended("write"))
    assert ended("write") == 1


async def test_who_reads_gets_it_all() -> None:
    async with serving(page, LIMITS, "off") as port, client_of(port) as client:
        client.send(GET.replace(b"/ ", b"/huge "))
        assert len((await client.answer())[2]) == len(HUGE)


async def test_the_connection_that_waited_longest_makes_room(ended: Ended) -> None:
    async with serving(page, replace(LIMITS, connections=3), "off", ended.counts) as port, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(port)) for _ in range(3)]
        for client in [*clients, clients[0]]:
            client.send(GET)
            assert (await client.answer())[0] == 200
        new = await stack.enter_async_context(client_of(port))
        new.send(GET)
        assert (await new.answer())[0] == 200
        assert await clients[1].is_closed()
        for client in (clients[0], clients[2]):
            client.send(GET)
            assert (await client.answer())[0] == 200
    assert ended("room") == 1


async def test_who_never_asked_makes_room_before_who_is_only_idle(
    ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpserver.ending.GRACE_SECONDS", 0)
    async with serving(page, replace(LIMITS, connections=2), "off", ended.counts) as port, AsyncExitStack() as stack:
        known, stranger = [await stack.enter_async_context(client_of(port)) for _ in range(2)]
        known.send(GET)
        assert (await known.answer())[0] == 200
        new = await stack.enter_async_context(client_of(port))
        assert await stranger.is_closed()
        for client in (known, new):
            client.send(GET)
            assert (await client.answer())[0] == 200
    assert ended("room") == 1


async def test_of_a_crowd_that_asked_nothing_one_makes_room_before_who_is_only_idle(
    ended: Ended,
) -> None:
    async with serving(page, replace(LIMITS, connections=6), "off", ended.counts) as port, AsyncExitStack() as stack:
        known = [await stack.enter_async_context(client_of(port)) for _ in range(2)]
        for client in known:
            client.send(GET)
            assert (await client.answer())[0] == 200
        strangers = [await stack.enter_async_context(client_of(port)) for _ in range(5)]
        assert await strangers[0].is_closed()
        for client in (*known, strangers[-1]):
            client.send(GET)
            assert (await client.answer())[0] == 200
    assert ended("room") == 1


async def test_where_no_connection_waits_the_new_one_is_refused(transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    async with serving(gateway(transformer), replace(LIMITS, connections=2)) as port, AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(client_of(port)) for _ in range(2)]
        for n, client in enumerate(busy):
            client.send(post(PREDICT, {"email_content": "0.5"}))
            await transformer.wait_for_batches(n + 1)
        new = await stack.enter_async_context(client_of(port))
        status, headers, problem = await new.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert problem["type"] == "urn:problem:too-many-connections"
        transformer.gate.set()
        assert [(await client.answer())[0] for client in busy] == [200, 200]


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the sizes of what arrives of bodies that are incomplete."""
    sizes: list[int] = []
    arriving = Admission.arriving

    def counted(self: Admission, size: int) -> None:
        arriving(self, size)
        sizes.append(size)

    monkeypatch.setattr(Admission, "arriving", counted)
    return sizes


async def test_bodies_on_their_way_have_a_bound_together_and_give_it_back(
    transformer: FakeTransformer, arrived: list[int]
) -> None:
    app = gateway(transformer, max_arriving_bytes=10_000)
    async with serving(app, LIMITS) as port, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(client_of(port)) for _ in range(2)]
        content = b'{"email_content": "0.5"}'
        first.send(head(PREDICT, length=9_000), content)
        await until(lambda: sum(arrived) == len(content))
        first.send(b" " * 8_000)
        await until(lambda: sum(arrived) == len(content) + 8_000)
        second.send(head(PREDICT, length=9_000), content, b" " * 7_000)
        status, headers, problem = await second.answer()
        assert (status, headers["retry-after"], problem["type"]) == (503, "1", "urn:problem:overloaded")
        first.send(b" " * (1_000 - len(content)))
        assert (await first.answer())[0] == 200
        arrived.clear()
        again = await stack.enter_async_context(client_of(port))
        again.send(head(PREDICT, length=9_000), content, b" " * 7_000)
        await until(lambda: sum(arrived) == len(content) + 7_000)
        again.send(b" " * (2_000 - len(content)))
        assert (await again.answer())[0] == 200
