"""Refusals while a queue is full, over real sockets."""

import asyncio
import gc
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from conftest import FakeTransformer
from serving import Client, client_of, head, post, serving
from starlette.requests import ClientDisconnect

from gateway.app import create_app
from gateway.http.limits import ConnectionLimits
from gateway.settings import GatewaySettings

PREDICT, BATCH = "/api/v1/predict", "/api/v1/batch-predict"
ROOM = 2
"""Mails that the queue has room for."""
MAIL = post(PREDICT, {"email_content": "0.5"})


@dataclass
class Full:
    """Gateway whose staging environment has no room."""

    port: int
    transformer: FakeTransformer

    async def metric(self, name: str) -> float:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            lines = (await client.get("/metrics")).text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


@pytest.fixture
async def full(transformer: FakeTransformer) -> AsyncIterator[Full]:
    environments = {"staging": transformer.url, "production": transformer.url}
    settings = GatewaySettings(environments=environments, max_queued_mails=ROOM, max_body_bytes=100_000)  # type: ignore[arg-type]
    async with serving(create_app(settings), ConnectionLimits(60)) as port, filled(port, transformer):
        yield Full(port, transformer)


@asynccontextmanager
async def filled(port: int, transformer: FakeTransformer) -> AsyncIterator[None]:
    transformer.gate.clear()
    async with AsyncExitStack() as stack:
        for n in range(ROOM):
            client = await stack.enter_async_context(client_of(port))
            client.send(MAIL)
            await transformer.wait_for_batches(n + 1)
        yield
        transformer.gate.set()


@pytest.mark.parametrize("path", [PREDICT, BATCH])
async def test_refused_before_the_body_is_there_and_the_connection_stays_usable(full: Full, path: str) -> None:
    async with client_of(full.port) as client:
        client.send(head(path, "X-Request-ID: mine", length=1000))
        status, headers, problem = await client.answer()
        assert (status, headers["retry-after"], headers["x-request-id"]) == (503, "1", "mine")
        assert "connection" not in headers
        assert (problem["type"], problem["request_id"]) == ("urn:problem:overloaded", "mine")
        client.send(b"x" * 1000, post(PREDICT, {"email_content": "0.5"}, "X-Environment: production"))
        await full.transformer.wait_for_batches(ROOM + 1)
        full.transformer.gate.set()
        assert (await client.answer())[0] == 200


async def test_short_and_ordinary_way_say_the_same(full: Full) -> None:
    """The first refusal is logged and so goes through the application; the connection answers the next ones."""
    answers = []
    for _ in range(3):
        async with client_of(full.port) as client:
            client.send(post(PREDICT, {"email_content": "0.5"}, 'X-Request-ID: a"b\\c'))
            answers.append(await client.answer())
    for _, headers, problem in answers:
        headers.pop("date")
        assert problem["request_id"] == headers["x-request-id"] == 'a"b\\c'
    assert answers[0] == answers[1] == answers[2]


async def test_it_is_served_again_when_there_is_room(full: Full) -> None:
    async with client_of(full.port) as client:
        client.send(MAIL)
        assert (await client.answer())[0] == 503
        full.transformer.gate.set()
        await asyncio.sleep(0.1)
        client.send(MAIL)
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    "lines",
    [["Transfer-Encoding: chunked"], ["Content-Length: 100001"], ["Expect: 100-continue", "Content-Length: 5"]],
)
async def test_connection_ends_where_the_body_may_never_come_or_never_end(full: Full, lines: list[str]) -> None:
    async with client_of(full.port) as client:
        client.send(head(PREDICT, *lines))
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (503, "close")
        assert await client.is_closed()


async def test_unknown_environments_are_told_so_as_ever(full: Full) -> None:
    async with client_of(full.port) as client:
        client.send(post(PREDICT, {"email_content": "0.5"}, "X-Environment: nowhere"))
        assert (await client.answer())[0] == 400


async def test_requests_in_one_packet_are_refused_each(full: Full) -> None:
    async with client_of(full.port) as client:
        client.send(*(post(PREDICT, {"email_content": "0.5"}, f"X-Request-ID: {n}") for n in range(5)))
        assert [(await client.answer())[1]["x-request-id"] for _ in range(5)] == ["0", "1", "2", "3", "4"]


async def test_old_connections_end_with_a_refusal(transformer: FakeTransformer) -> None:
    settings = GatewaySettings(environments={"staging": transformer.url}, max_queued_mails=ROOM)  # type: ignore[dict-item]
    async with serving(create_app(settings), ConnectionLimits(0.01)) as port, filled(port, transformer):
        for _ in range(2):
            async with client_of(port) as client:
                await asyncio.sleep(0.02)
                client.send(MAIL)
                assert (await client.answer())[1]["connection"] == "close"
                assert await client.is_closed()


async def test_every_refusal_is_counted_and_the_log_says_of_how_many_a_line_speaks(
    full: Full, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = 'http_request_duration_seconds_count{environment="staging",handler="/api/v1/predict",method="POST"'
    names = ['gateway_refused_mails_total{environment="staging"}', f'{requests},status="503"}}']
    before = [await full.metric(name) for name in names]
    async with client_of(full.port) as client:
        await refuse(client, 20)
        await asyncio.sleep(0.15)
        await refuse(client, 1)
    assert [await full.metric(name) - old for name, old in zip(names, before, strict=True)] == [21, 21]
    await asyncio.sleep(0.15)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    refused = [line for line in lines if line.get("problem") == "overloaded"]
    assert 2 <= len(refused) < 21
    assert sum(1 + line.get("refused_before", 0) for line in refused) == 21
    assert {(line["status"], line["environment"]) for line in refused} == {(503, "staging")}


async def test_of_refusals_in_one_turn_one_has_a_line(full: Full, capsys: pytest.CaptureFixture[str]) -> None:
    assert await at_once(full.port, [MAIL] * 40) == [503] * 40
    await asyncio.sleep(0.15)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    refused = [line for line in lines if line.get("problem") == "overloaded"]
    # Ten lines a second, however slow the machine.
    assert 1 <= len(refused) < 20


async def test_of_requests_in_one_turn_those_without_room_are_not_even_parsed(transformer: FakeTransformer) -> None:
    settings = GatewaySettings(environments={"staging": transformer.url}, max_queued_mails=ROOM)  # type: ignore[dict-item]
    async with serving(create_app(settings), ConnectionLimits(60)) as port:
        statuses = await at_once(port, [post(PREDICT, {"no": "mail"})] * 10)
    # The first request without room goes to the application to be logged, which may then find room.
    assert 10 - ROOM - 1 <= statuses.count(503) <= 10 - ROOM


async def at_once(port: int, requests: list[bytes]) -> list[int]:
    """Send each over its own connection, all in one turn of the event loop; return their statuses."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(port)) for _ in requests]
        for client, request in zip(clients, requests, strict=True):
            client.send(request)
        return [(await client.answer())[0] for client in clients]


async def test_a_failed_request_leaves_no_cycle_of_garbage(transformer: FakeTransformer) -> None:
    """Collecting the cycles of thousands of disconnected clients would stop all other requests."""
    settings = GatewaySettings(environments={"staging": transformer.url})  # type: ignore[dict-item]
    async with serving(create_app(settings), ConnectionLimits(60)) as port, filled(port, transformer):
        async with AsyncExitStack() as stack:
            for _ in range(50):
                client = await stack.enter_async_context(client_of(port))
                client.send(MAIL)
            await asyncio.sleep(0.1)
            gc.collect()
            gc.disable()
        try:
            await asyncio.sleep(0.1)
            transformer.gate.set()
            await asyncio.sleep(0.1)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, ClientDisconnect)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not left


RESET = struct.pack("ii", 1, 0)


async def test_mail_of_clients_that_have_gone_is_not_sent_and_makes_room(transformer: FakeTransformer) -> None:
    settings = GatewaySettings(environments={"staging": transformer.url}, max_queued_mails=5, max_batch_mails=1)  # type: ignore[dict-item]
    async with serving(create_app(settings), ConnectionLimits(60)) as port, filled(port, transformer):
        async with AsyncExitStack() as stack:
            for path, body in ((PREDICT, {"email_content": "0.1"}), (BATCH, {"emails": ["0.2", "0.3"]})):
                client = await stack.enter_async_context(client_of(port))
                client.send(post(path, body))
                # Reset it: a connection that is only half-closed may belong to a client that waits for its answer.
                client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)
        transformer.gate.set()
        async with client_of(port) as client:
            client.send(post(PREDICT, {"email_content": "0.4"}))
            assert (await client.answer())[0] == 200
        assert [mail for batch in transformer.batches for mail in batch] == ["0.5", "0.5", "0.4"]


async def refuse(client: Client, n: int) -> None:
    for _ in range(n):
        client.send(MAIL)
        assert (await client.answer())[0] == 503
