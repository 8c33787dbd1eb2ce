"""Ends of connections, and how new ones are taken; server and sockets are real."""

import asyncio
import socket
from contextlib import ExitStack

import pytest
import uvloop
from serving import client_of, head, serving
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from httpserver import ConnectionLimits
from httpserver.heads import HEAD_BYTES
from httpserver.server import ACCEPTED_AT_ONCE

REQUEST = head("/")
ok = PlainTextResponse("ok")


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_young_connection_is_kept() -> None:
    async with serving(ok) as served, client_of(served.port) as client:
        for _ in range(2):
            client.send(REQUEST)
            status, headers, _ = await client.answer()
            assert (status, "connection" in headers) == (200, False)


async def test_old_connection_ends_with_an_answer_that_says_so() -> None:
    async with serving(ok, ConnectionLimits(age=0)) as served, client_of(served.port) as client:
        client.send(REQUEST)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.is_closed()


async def test_draining_server_answers_and_sends_clients_away() -> None:
    async with serving(ok, drain_seconds=30) as served, client_of(served.port) as kept, client_of(served.port) as idle:
        for client in (kept, idle):
            client.send(REQUEST)
            assert (await client.answer())[0] == 200
        served.server.should_exit = True
        while not served.connections.draining:
            await asyncio.sleep(0)
        async with client_of(served.port) as new:
            for client in (kept, new, idle):
                client.send(REQUEST)
                status, headers, _ = await client.answer()
                assert (status, headers["connection"]) == (200, "close")


async def test_a_server_that_drains_before_its_first_connection_sends_it_away() -> None:
    async with serving(ok, drain_seconds=30) as served:
        served.connections.drain()
        async with client_of(served.port) as client:
            client.send(REQUEST)
            assert (await client.answer())[1]["connection"] == "close"


@pytest.mark.parametrize("drain_seconds", [0, 0.3])
async def test_server_ends_after_draining(drain_seconds: float) -> None:
    async with serving(ok, drain_seconds=drain_seconds) as served, client_of(served.port) as client:
        client.send(REQUEST)
        await client.answer()
        served.server.should_exit = True
        assert await client.is_closed()


async def test_one_server_drains_and_another_does_not() -> None:
    async with serving(ok, drain_seconds=30) as ending, serving(ok) as served, client_of(served.port) as client:
        ending.server.should_exit = True
        while not ending.connections.draining:
            await asyncio.sleep(0)
        client.send(REQUEST)
        assert "connection" not in (await client.answer())[1]


def test_a_crowd_is_accepted_in_a_few_turns() -> None:
    """The loop is uvloop, as in production: it accepts one connection a turn for each listening socket."""

    async def accepted(turns: int) -> int:
        async with serving(ok) as served:
            with ExitStack() as stack:
                for _ in range(2 * ACCEPTED_AT_ONCE):
                    stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                return served.connections.open

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(accepted(turns=4)) == 2 * ACCEPTED_AT_ONCE


async def test_a_host_of_several_addresses_is_served_on_each() -> None:
    async with serving(ok, host="") as served:
        sockets = served.server.servers[0].sockets
        for port in {each.getsockname()[1] for each in sockets if each.family == socket.AF_INET}:
            async with client_of(port) as client:
                client.send(REQUEST)
                assert (await client.answer())[0] == 200
        assert len(served.server.servers) == 1 + len(sockets) * (ACCEPTED_AT_ONCE - 1)


def test_what_a_client_sends_with_its_connection_is_taken_with_it() -> None:
    """A second request waits for the first, and reading pauses although uvloop was about to read."""

    async def taken() -> None:
        async with serving(never) as served:
            with socket.create_connection(("127.0.0.1", served.port)) as client:
                client.sendall(2 * REQUEST)
                while not served.connections.open:
                    await asyncio.sleep(0)
                assert served.connections.waiting_bytes == 2 * len(REQUEST), "in the turn that accepts it"
                client.sendall(REQUEST)
                for _ in range(10):
                    await asyncio.sleep(0)
                assert served.connections.waiting_bytes == 2 * len(REQUEST), "nothing more is read"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(taken())


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * (HEAD_BYTES + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (HEAD_BYTES // 6 + 10) + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * HEAD_BYTES,
    ],
    ids=["one header", "many headers", "no end"],
)
async def test_a_large_head_is_431(sent: bytes) -> None:
    async with serving(ok) as served, client_of(served.port) as client:
        client.send(sent)
        status, headers, problem = await client.answer()
        assert (status, headers["connection"], problem["kind"]) == (431, "close", "large-head")


async def test_what_is_no_request_is_refused_in_the_applications_words() -> None:
    async with serving(ok) as served, client_of(served.port) as client:
        client.send(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        status, headers, problem = await client.answer()
        assert (status, problem["kind"]) == (400, "malformed-request")
        assert "date" in headers
        assert served.hooks.reasons == {"head": 1}
