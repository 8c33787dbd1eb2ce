"""Refusals while a queue is full, over real sockets."""

import gc
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from clients import Lines, app_of, lines_until
from conftest import FakeTransformer, sample
from serving import Client, client_of, head, post, serving
from starlette.requests import ClientDisconnect
from waiting import Clock, until

from gateway.app import GatewayApp
from gateway.http.limits import ConnectionLimits

PREDICT, BATCH = "/api/v1/predict", "/api/v1/batch-predict"
ROOM = 2
"""Mails that the queue has room for."""
MAIL = post(PREDICT, {"email_content": "0.5"})


@dataclass
class Full:
    """Gateway whose staging environment has no room."""

    app: GatewayApp
    port: int
    transformer: FakeTransformer


@pytest.fixture
async def full(transformer: FakeTransformer) -> AsyncIterator[Full]:
    environments = {"staging": transformer.url, "production": transformer.url}
    app = app_of(environments, max_queued_mails=ROOM, max_body_bytes=100_000)
    async with serving(app, ConnectionLimits(60)) as port, filled(port, transformer):
        yield Full(app, port, transformer)


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
        await until(lambda: mails(full.app, "in_flight") == 0)
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
    app = app_of({"staging": transformer.url}, max_queued_mails=ROOM)
    # Each connection is too old from its beginning.
    async with serving(app, ConnectionLimits(age=-1)) as port, filled(port, transformer):
        for _ in range(2):
            async with client_of(port) as client:
                client.send(MAIL)
                assert (await client.answer())[1]["connection"] == "close"
                assert await client.is_closed()


async def test_every_refusal_is_counted_and_the_log_says_of_how_many_a_line_speaks(
    line_clock: Clock, full: Full, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client_of(full.port) as client:
        await refuse(client, 20)
        line_clock.now += 1
        await refuse(client, 1)
    labels = {"environment": "staging", "handler": PREDICT, "method": "POST", "status": "503"}
    assert sample(full.app.metrics, "http_request_duration_seconds_count", **labels) == 21
    assert sample(full.app.metrics, "gateway_refused_mails_total", environment="staging") == 21
    refused = refusals(await lines_until(capsys, lambda lines: len(refusals(lines)) == 2))
    assert [line.get("refused_before", 0) for line in refused] == [0, 19]
    assert {(line["status"], line["environment"]) for line in refused} == {(503, "staging")}


def refusals(lines: Lines) -> Lines:
    return [line for line in lines if line.get("problem") == "overloaded"]


async def test_of_refusals_in_one_turn_one_has_a_line(
    line_clock: Clock, full: Full, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await at_once(full.port, [MAIL] * 40) == [503] * 40
    line_clock.now += 1
    assert await at_once(full.port, [MAIL]) == [503]
    refused = refusals(await lines_until(capsys, lambda lines: len(refusals(lines)) > 1))
    assert (len(refused), sum(line.get("refused_before", 0) for line in refused)) == (2, 39)


async def test_of_requests_in_one_turn_those_without_room_are_not_even_parsed(transformer: FakeTransformer) -> None:
    app = app_of({"staging": transformer.url}, max_queued_mails=ROOM)
    async with serving(app, ConnectionLimits(60)) as port:
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


RESET = struct.pack("ii", 1, 0)


def reset_at_its_end(client: Client) -> None:
    """Make closing reset the connection: one that is half-closed may belong to a client that waits for its answer."""
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def test_a_failed_request_leaves_no_cycle_of_garbage(
    transformer: FakeTransformer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Collecting the cycles of thousands of disconnected clients would stop all other requests."""
    app = app_of({"staging": transformer.url})
    async with serving(app, ConnectionLimits(60)) as port, filled(port, transformer):
        async with AsyncExitStack() as stack:
            for _ in range(50):
                client = await stack.enter_async_context(client_of(port))
                client.send(MAIL)
                reset_at_its_end(client)
            await until(lambda: mails(app, "queued") == 50)
            gc.collect()
            gc.disable()
        try:
            await lines_until(capsys, lambda lines: len(lines) == 50)
            transformer.gate.set()
            await until(lambda: mails(app, "queued") == mails(app, "in_flight") == 0)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, ClientDisconnect)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not left


async def test_mail_of_clients_that_have_gone_is_not_sent_and_makes_room(
    transformer: FakeTransformer, capsys: pytest.CaptureFixture[str]
) -> None:
    app = app_of({"staging": transformer.url}, max_queued_mails=5, max_batch_mails=1)
    async with serving(app, ConnectionLimits(60)) as port, filled(port, transformer):
        async with AsyncExitStack() as stack:
            for path, body in ((PREDICT, {"email_content": "0.1"}), (BATCH, {"emails": ["0.2", "0.3"]})):
                client = await stack.enter_async_context(client_of(port))
                client.send(post(path, body))
                reset_at_its_end(client)
            await until(lambda: mails(app, "queued") == 3)
        await lines_until(capsys, lambda lines: len(lines) == 2)
        transformer.gate.set()
        async with client_of(port) as client:
            client.send(post(PREDICT, {"email_content": "0.4"}))
            assert (await client.answer())[0] == 200
        assert [mail for batch in transformer.batches for mail in batch] == ["0.5", "0.5", "0.4"]


def mails(app: GatewayApp, state: str) -> float:
    """Return how many mails are queued or in flight."""
    name = {"queued": "gateway_queued_mails", "in_flight": "gateway_mails_in_flight"}[state]
    return sample(app.metrics, name, environment="staging")


async def refuse(client: Client, n: int) -> None:
    for _ in range(n):
        client.send(MAIL)
        assert (await client.answer())[0] == 503
