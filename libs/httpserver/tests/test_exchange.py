"""Requests and answers as an ASGI application sees them; server and sockets are real."""

import asyncio
import socket
import struct
from typing import Any

import pytest
from serving import Client, client_of, head, serving
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from httpserver import EXTENSION, ConnectionLimits

START = {"type": "http.response.start", "status": 200, "headers": []}


def reset(client: Client) -> None:
    """End a connection so that the server notices it at once."""
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
async def test_a_body_arrives_whole_however_large(size: int) -> None:
    async with serving(echo) as served, client_of(served.port) as client:
        for _ in range(2):
            client.send(head("/", f"Content-Length: {size}", method="POST"), b"x" * size)
            assert (await client.answer())[2] == b"x" * size


async def test_the_scope_is_as_asgi_says() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append({**scope, "extensions": dict(scope["extensions"])})
        await PlainTextResponse("ok")(scope, receive, send)

    async with serving(app) as served, client_of(served.port) as client:
        client.send(head("/a%20b?c=%20d", "X-One: two"))
        await client.answer()
        (scope,) = seen
        assert scope["client"] == client.writer.get_extra_info("sockname")
        assert scope["server"] == ("127.0.0.1", served.port)
    expected = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/a b", "raw_path": b"/a%20b",
        "query_string": b"c=%20d", "root_path": "", "headers": [(b"host", b"server"), (b"x-one", b"two")], "state": {},
    }  # fmt: skip
    assert {name: scope[name] for name in expected} == expected
    assert list(scope["extensions"]) == [EXTENSION]


async def test_an_answer_of_unknown_length_is_sent_in_chunks_or_until_the_end() -> None:
    async def pieces(*_: Any) -> Any:
        for piece in (b"one", b"", b"two"):
            yield piece

    app = StreamingResponse(pieces())
    async with serving(app) as served, client_of(served.port) as client:
        client.send(head("/"))
        _, headers, _ = await client.answer()
        assert headers["transfer-encoding"] == "chunked"
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    async with serving(StreamingResponse(pieces())) as served, client_of(served.port) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        _, headers, _ = await client.answer()
        assert headers["connection"] == "close" and "transfer-encoding" not in headers
        assert await client.rest() == b"onetwo"


async def test_a_head_request_gets_no_body() -> None:
    async with serving(PlainTextResponse("ok")) as served, client_of(served.port) as client:
        client.send(head("/", method="HEAD"), head("/"))
        answer = await client.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 2\r\n" in answer
        assert (await client.answer())[2] == b"ok"


@pytest.mark.parametrize("messages", [[], [START]])
async def test_an_application_that_does_not_answer_is_500(messages: list[dict[str, Any]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async with serving(app) as served, client_of(served.port) as client:
        client.send(head("/"))
        status, headers, problem = await client.answer()
        assert (status, headers["connection"], problem["kind"]) == (500, "close", "internal")
        assert await client.is_closed()


@pytest.mark.parametrize(
    "headers", [[(b"bad name", b"")], [(b"name", b"a\r\nb: c")], [(b"name", b"\0")], [(b"", b"")], [(b"a:b", b"")]]
)
async def test_a_header_that_would_break_the_answer_is_500(headers: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as served, client_of(served.port) as client:
        client.send(head("/"))
        assert (await client.answer())[0] == 500


async def test_a_failure_within_an_answer_ends_the_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        raise RuntimeError("now")

    async with serving(app) as served, client_of(served.port) as client:
        client.send(head("/"))
        assert (await client.rest()).endswith(b"\r\n\r\n12345")


async def test_what_an_application_awaits_fails_when_its_client_has_gone() -> None:
    failures: list[type[BaseException]] = []
    waiting, done = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        scope["extensions"][EXTENSION].awaits([future])
        waiting.set()
        try:
            await future
        except ClientDisconnect as error:
            failures.append(type(error))
            assert (await receive())["type"] == "http.disconnect"
            done.set()

    async with serving(app) as served, client_of(served.port) as client, asyncio.timeout(10):
        client.send(head("/"))
        await waiting.wait()
        reset(client)
        await done.wait()
    assert failures == [ClientDisconnect]


async def test_two_receivers_both_learn_that_the_client_has_gone() -> None:
    """Starlette's streaming answers listen for the end of the client beside the application."""
    waiting, found = asyncio.Event(), asyncio.Queue[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            found.put_nowait((await receive())["type"])

        assert (await receive())["type"] == "http.request"
        both = [asyncio.create_task(listen()) for _ in range(2)]
        waiting.set()
        await asyncio.gather(*both)

    async with serving(app) as served, client_of(served.port) as client, asyncio.timeout(10):
        client.send(head("/"))
        await waiting.wait()
        reset(client)
        assert [await found.get(), await found.get()] == ["http.disconnect"] * 2


async def test_a_client_that_asks_whether_to_go_on_is_told_so_once() -> None:
    async with serving(echo) as served, client_of(served.port) as client:
        client.send(head("/", "Expect: 100-continue", "Content-Length: 2", method="POST"))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert (await client.answer())[2] == b"ok"


async def test_bodies_have_limits_where_the_application_sets_none() -> None:
    limits = ConnectionLimits(body_bytes=1000, bodies_bytes=1500)
    go_on = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    async with serving(slow, limits) as served, client_of(served.port) as one, client_of(served.port) as two:
        async with client_of(served.port) as three:
            three.send(head("/", "Content-Length: 1001", method="POST"))
            status, _, problem = await three.answer()
            assert (status, problem["limit_bytes"]) == (413, 1000)
        async with client_of(served.port) as four:
            four.send(head("/", "Transfer-Encoding: chunked", method="POST"), (b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3)
            assert (await four.answer())[0] == 413
        one.send(head("/", "Content-Length: 1000", method="POST"), b"x" * 1000)
        async with asyncio.timeout(10):
            while served.connections.bodies_bytes < 1000:
                await asyncio.sleep(0)
        two.send(head("/", "Content-Length: 1000", method="POST"), b"x" * 1000)
        assert (await two.answer())[2]["kind"] == "too-many-bodies"
        go_on.set()
        assert (await one.answer())[0] == 200
        assert served.connections.bodies_bytes == 0
