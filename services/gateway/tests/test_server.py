"""Ends of connections; the server is real, its application says "ok"."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.connection import Connection, connections
from gateway.http.framing import HEAD_BYTES
from gateway.http.limits import ConnectionLimits
from gateway.http.server import ACCEPTED_AT_ONCE, SWEPT_IN_A_TURN, Server

REQUEST = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"
OLD = 0.2
"""Age of a connection in seconds."""


async def ok(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Future()


class Client:
    """Client with one kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self) -> str:
        """Return the head of the answer to one request."""
        self._writer.write(REQUEST)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert await self._reader.readexactly(2) == b"ok"
        return head.decode().lower()

    async def is_closed(self) -> bool:
        """Return whether the server has closed."""
        return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def serving(
    max_seconds: float, drain_seconds: float = 0, host: str = "127.0.0.1", app: ASGIApp = ok
) -> AsyncIterator[tuple[Server, int]]:
    protocol = connections(ConnectionLimits(max_seconds))
    config = uvicorn.Config(app, host=host, port=0, http=protocol, lifespan="off", log_config=None)
    server = Server(config, drain_seconds)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await running


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    yield client
    client.close()


async def test_young_connection_is_kept() -> None:
    async with serving(60) as (_, port), client_of(port) as client:
        assert "connection: close" not in await client.ask()
        assert "200 ok" in await client.ask()


async def test_old_connection_ends_with_an_answer_that_says_so() -> None:
    async with serving(OLD) as (_, port), client_of(port) as client:
        await asyncio.sleep(OLD)
        head = await client.ask()
        assert "200 ok" in head and "connection: close" in head
        assert await client.is_closed()


async def test_old_connection_is_not_closed_before_its_next_answer() -> None:
    async with serving(OLD) as (_, port), client_of(port) as client:
        await asyncio.sleep(3 * OLD)
        assert "200 ok" in await client.ask()


async def test_draining_server_answers_and_sends_clients_away() -> None:
    async with serving(60, drain_seconds=30) as (server, port), client_of(port) as kept, client_of(port) as idle:
        await kept.ask()
        await idle.ask()
        server.should_exit = True
        while not server.config.http_protocol_class.draining:  # type: ignore[union-attr]
            await asyncio.sleep(0.001)
        head = await kept.ask()
        assert "200 ok" in head and "connection: close" in head
        async with client_of(port) as new:
            assert "connection: close" in await new.ask()
        assert "connection: close" in await idle.ask()


@pytest.mark.parametrize("drain_seconds", [0, 0.3])
async def test_server_ends_after_draining(drain_seconds: float) -> None:
    async with serving(60, drain_seconds) as (server, port), client_of(port) as client:
        await client.ask()
        server.should_exit = True
        assert await asyncio.wait_for(client.is_closed(), 10)


async def test_one_server_drains_and_another_does_not() -> None:
    async with serving(60, drain_seconds=30) as (ending, _), serving(60) as (_, port), client_of(port) as client:
        ending.should_exit = True
        while not ending.config.http_protocol_class.draining:  # type: ignore[union-attr]
            await asyncio.sleep(0.001)
        assert "connection: close" not in await client.ask()


def test_a_crowd_is_accepted_in_a_few_turns() -> None:
    """The loop is uvloop, as in production: it accepts one connection a turn for each listening socket."""

    async def accepted(turns: int) -> int:
        async with serving(60) as (server, port):
            with ExitStack() as stack:
                for _ in range(2 * ACCEPTED_AT_ONCE):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                return len(server.server_state.connections)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(accepted(turns=4)) == 2 * ACCEPTED_AT_ONCE


async def test_a_host_of_several_addresses_is_served_on_each() -> None:
    async with serving(60, host="") as (server, _):
        sockets = server.servers[0].sockets
        for port in {each.getsockname()[1] for each in sockets if each.family == socket.AF_INET}:
            async with client_of(port) as client:
                assert "200 ok" in await client.ask()
        assert len(server.servers) == 1 + len(sockets) * (ACCEPTED_AT_ONCE - 1)


def test_what_a_client_sends_with_its_connection_is_taken_with_it() -> None:
    """A second request waits for the first, and reading pauses although uvloop was about to read."""

    async def taken() -> None:
        async with serving(60, app=never) as (server, port):
            made = noted(server.config.http_protocol_class)
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(2 * REQUEST)
                while not made:
                    await asyncio.sleep(0)
                ((connection, waiting),) = made
                assert waiting == len(REQUEST)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert not connection.transport.is_reading()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(taken())


def noted(protocol: Any) -> list[tuple[Connection, int]]:
    """Collect each new connection with the bytes that it holds back at once."""
    made: list[tuple[Connection, int]] = []
    original = protocol.connection_made

    def connection_made(self: Connection, transport: asyncio.Transport) -> None:
        original(self, transport)
        made.append((self, self._stream.held))

    protocol.connection_made = connection_made
    return made


async def test_a_look_at_many_connections_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Looked:
        def sweep(self, now: float) -> None:
            nonlocal looks
            looks += 1

    looks, most = 0, 0
    monkeypatch.setattr("gateway.http.server.SWEEP_SECONDS", 0)
    server = Server(uvicorn.Config(ok), 0)
    server.server_state.connections = {Looked() for _ in range(3 * SWEPT_IN_A_TURN)}  # type: ignore[misc]
    sweeping = asyncio.create_task(server._sweep())
    while looks < len(server.server_state.connections):
        before = looks
        await asyncio.sleep(0)
        most = max(most, looks - before)
    sweeping.cancel()
    assert most == SWEPT_IN_A_TURN


async def test_a_server_that_stood_still_reads_before_it_ends_slow_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    class Looked:
        def sweep(self, now: float) -> None:
            nonlocal looks
            looks += 1

    looks, now = 0, 0.0
    monkeypatch.setattr("gateway.http.server.SWEEP_SECONDS", 0)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    server = Server(uvicorn.Config(ok), 0)
    server.server_state.connections = {Looked()}  # type: ignore[misc]
    sweeping = asyncio.create_task(server._sweep())
    seen = []
    for pause in (0, 0, 12, 12, 12, 0):
        now += pause
        await asyncio.sleep(0)
        seen.append(looks)
    sweeping.cancel()
    assert seen == [0, 1, 1, 2, 2, 3], "after a pause one look is left out, never two"


async def answer_to(port: int, *pieces: bytes) -> str:
    """Return everything that the server sends until it closes, in lower case."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
    async with asyncio.timeout(5):
        said = await reader.read()
    writer.close()
    return said.decode().lower()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nX: ", b"a" * (HEAD_BYTES + 1), b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n", b"X: a\r\n" * (HEAD_BYTES // 6 + 10), b"\r\n"],
        [b"GET / HTTP/1.1\r\nX: ", b"a" * HEAD_BYTES],
    ],
    ids=["one header", "many headers", "no end"],
)
async def test_a_large_head_is_431(pieces: list[bytes]) -> None:
    async with serving(60) as (_, port):
        said = await answer_to(port, *pieces)
    assert said.startswith("http/1.1 431 ")
    assert "content-type: application/problem+json\r\n" in said


async def test_what_is_no_request_is_a_problem_with_a_request_id() -> None:
    async with serving(60) as (_, port):
        said = await answer_to(port, b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
    assert said.startswith("http/1.1 400 ")
    assert "x-request-id: " in said
    assert "urn:problem:malformed-request" in said
