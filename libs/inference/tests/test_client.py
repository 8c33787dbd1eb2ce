"""Requests of the client to a real server; its two replicas are loopback addresses that tell them apart."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from contract.headers import DEADLINE
from inference import (
    BrokenAnswer,
    Call,
    ConnectionFailed,
    ErrorAnswer,
    InferenceClient,
    Replica,
    Replicas,
    Unreachable,
    Unusable,
    open_session,
)
from inference.policy import BROKEN, RETRIES, RETRY_RESERVE

PAIR = ["127.0.0.1", "127.0.0.2"]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class Model:
    """Server of one model that answers each request with its body; `fault` may answer in its place."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.ready: dict[str, tuple[int, str]] = {}
        self.fault: Fault | None = None
        self.port = 0

    async def infer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.fault and (answer := await self.fault(request)):
            return answer
        return web.Response(body=await request.read())

    async def is_ready(self, request: web.Request) -> web.Response:
        status, text = self.ready.get(address_of(request), (200, ""))
        return web.Response(status=status, text=text)


def address_of(request: web.Request) -> str:
    assert request.transport is not None
    return str(request.transport.get_extra_info("sockname")[0])


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    found = Model()
    app = web.Application()
    app.router.add_post("/v2/models/m/infer", found.infer)
    app.router.add_get("/v2/models/m/ready", found.is_ready)
    async with TestServer(app, host="0.0.0.0") as server:
        assert server.port is not None
        found.port = server.port
        yield found


@pytest.fixture
async def client(model: Model) -> AsyncIterator[InferenceClient]:
    found = InferenceClient(Replicas(f"http://127.0.0.1:{model.port}"), "m")
    yield found
    await found.close()


@pytest.fixture
async def of_two(model: Model) -> AsyncIterator[InferenceClient]:
    found = InferenceClient(named(model.port, PAIR), "m")
    yield found
    await found.close()


def named(port: int, addresses: list[str]) -> Replicas:
    async def resolve(_: str) -> list[str]:
        return addresses

    return Replicas(f"http://model.test:{port}", resolve)


def read(body: bytes, _: Replica) -> bytes:
    if body == b"nonsense":
        raise KeyError("outputs")
    return body


def call(body: bytes = b"body", name: str = "id") -> Call[bytes]:
    return Call(body, name, 1, read)


def answering(status: int, body: bytes = b"why") -> Fault:
    async def fault(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    return fault


async def hang(_: web.Request) -> None:
    # The scenario: a replica that does not answer in time.
    await asyncio.sleep(30)


async def reset(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def close(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.close()


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half")
    await close(request)
    return response


def on_first(fault: Fault) -> Fault:
    async def of_the_first(request: web.Request) -> web.StreamResponse | None:
        return await fault(request) if address_of(request) == PAIR[0] else None

    return of_the_first


def once(fault: Fault) -> Fault:
    begun = False

    async def the_first_time(request: web.Request) -> web.StreamResponse | None:
        nonlocal begun
        first, begun = not begun, True
        return await fault(request) if first else None

    return the_first_time


@contextmanager
def unused_address(port: int) -> Iterator[int]:
    """Open a port of ::1 that neither refuses nor accepts connections, since its backlog is full."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", port))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket(socket.AF_INET6) for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield address[1]
        for each in waiting:
            each.close()


@pytest.mark.parametrize(
    "fault", [hang, reset, close, half, answering(200, b"nonsense"), *(answering(status) for status in BROKEN)]
)
async def test_a_broken_replica_is_left_for_another_one_within_the_deadline(
    model: Model, of_two: InferenceClient, fault: Fault
) -> None:
    model.fault = on_first(fault)
    began = monotonic()
    assert [await of_two.ask(call(), 2) for _ in range(20)] == [b"body"] * 20
    assert monotonic() - began < 10, "whoever hangs is not asked again and again"


@pytest.mark.parametrize("status", [400, 413, 501, 504])
async def test_what_another_replica_would_repeat_is_not_tried_there(
    model: Model, of_two: InferenceClient, status: int
) -> None:
    model.fault = answering(status)
    for asked in range(1, 4):
        with pytest.raises(ErrorAnswer) as raised:
            await of_two.ask(call(), 5)
        assert (raised.type, raised.value.status, raised.value.body) == (ErrorAnswer, status, b"why")
        assert len(model.headers) == asked
    first, second = await of_two.replicas.ranked()
    assert first.rank(monotonic())[0] == second.rank(monotonic())[0] is False, "it says nothing of the replica"


@pytest.mark.parametrize(
    ("fault", "error"),
    [(answering(500), BrokenAnswer), (answering(200, b"nonsense"), Unusable), (half, ConnectionFailed)],
)
async def test_the_only_replica_is_not_asked_again_once_an_answer_has_begun(
    model: Model, client: InferenceClient, fault: Fault, error: type[Exception]
) -> None:
    model.fault = fault
    with pytest.raises(error):
        await client.ask(call(), 5)
    assert len(model.headers) == 1


@pytest.mark.parametrize("fault", [reset, close])
async def test_the_only_replica_is_asked_again_while_no_answer_has_begun(
    model: Model, client: InferenceClient, fault: Fault
) -> None:
    model.fault = once(fault)
    assert await client.ask(call(), 5) == b"body"
    assert len(model.headers) == 2


async def test_connections_that_always_close_are_given_up(model: Model, client: InferenceClient) -> None:
    model.fault = close
    with pytest.raises(ConnectionFailed, match="ServerDisconnectedError") as raised:
        await client.ask(call(), 5)
    assert raised.value.kind == "ServerDisconnectedError"
    assert len(model.headers) == 1 + RETRIES


async def test_retries_are_reported(model: Model) -> None:
    retries: list[None] = []
    client = InferenceClient(Replicas(f"http://127.0.0.1:{model.port}"), "m", retried=lambda: retries.append(None))
    model.fault = once(close)
    await client.ask(call(), 5)
    await client.ask(call(), 5)
    await client.close()
    assert len(retries) == 1


async def test_a_replica_that_hangs_is_asked_by_one_request_at_a_time(model: Model, client: InferenceClient) -> None:
    model.fault = hang
    with pytest.raises(TimeoutError):
        await client.ask(call(), 0.1)
    with pytest.raises(Unreachable):
        await client.ask(call(), 0.1)
    assert len(model.headers) == 1


async def test_an_address_that_nobody_has_is_left_for_another_one(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address behaves like that of a removed pod: a connection to it hangs instead of being refused."""
    monkeypatch.setattr("inference.policy.CONNECT_SECONDS", 0.5)
    client = InferenceClient(named(model.port, ["127.0.0.1", "::1"]), "m")
    with unused_address(model.port):
        assert [await client.ask(call(), 5) for _ in range(20)] == [b"body"] * 20
    await client.close()


async def test_when_nobody_has_any_address_requests_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.CONNECT_SECONDS", 0.5)
    with unused_address(0) as port:
        client = InferenceClient(Replicas(f"http://[::1]:{port}"), "m")
        for _ in range(20):
            with pytest.raises(Unreachable):
                await client.ask(call(), 5)
        assert not (await client.ready_state(1)).ready
        await client.close()


async def test_a_connection_that_is_not_made_in_time_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.CONNECT_SECONDS", 0.1)
    with unused_address(0) as port:
        client = InferenceClient(Replicas(f"http://[::1]:{port}"), "m")
        client.replicas.budget.take(int(RETRY_RESERVE))
        with pytest.raises(ConnectionFailed, match=r"^no connection within 0\.1 s$"):
            await client.ask(call(), 5)
        await client.close()


async def test_an_answer_that_is_too_long_cannot_be_used(model: Model, client: InferenceClient) -> None:
    model.fault = answering(200, b"x" * 100_000)
    with pytest.raises(Unusable, match="it is longer than 65,804 bytes"):
        await client.ask(call(), 5)


async def test_other_servers_get_plain_json_and_no_deadline(model: Model, client: InferenceClient) -> None:
    await client.ask(call(name="mine"), 5)
    (headers,) = model.headers
    assert (headers["Content-Type"], headers["X-Request-ID"]) == ("application/json", "mine")
    assert not {DEADLINE, "Inference-Header-Content-Length", "traceparent"} & set(headers)


async def test_own_servers_are_told_how_long_they_have(model: Model) -> None:
    async with open_session() as session:
        alone = InferenceClient(Replicas(f"http://127.0.0.1:{model.port}"), "m", session, own_server=True)
        await alone.ask(call(), 4)
        await InferenceClient(named(model.port, PAIR), "m", session, own_server=True).ask(call(), 4)
    first, second = model.headers
    assert (first["Content-Type"], first["Inference-Header-Content-Length"]) == ("application/octet-stream", "4")
    assert 3000 < int(first[DEADLINE]) <= 4000
    assert 1000 < int(second[DEADLINE]) <= 2000, "half, while another could be asked"


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "\u4e2d", "x" * 257])
async def test_ids_that_no_header_may_hold_are_left_out(model: Model, client: InferenceClient, name: str) -> None:
    await client.ask(call(name=name), 5)
    assert not {"X-Request-ID", "X-Evil"} & set(model.headers[0])


async def test_one_ready_replica_is_enough(model: Model, of_two: InferenceClient) -> None:
    model.ready[PAIR[0]] = (503, '{"error": "asleep"}')
    for _ in range(10):
        assert (await of_two.ready_state(1)).ready


async def test_an_unready_replica_may_say_why(model: Model, of_two: InferenceClient) -> None:
    model.ready = {PAIR[0]: (503, '{"error": "asleep\\r\\n"}'), PAIR[1]: (503, "no JSON")}
    state = await of_two.ready_state(1)
    assert (state.ready, state.unready_reason, state.fault) == (False, "asleep??", "")


async def test_a_replica_with_a_fault_is_left_for_another_one(of_two: InferenceClient) -> None:
    async def only_the_first(_: aiohttp.ClientSession, replica: Replica) -> str:
        return "" if PAIR[0] in replica.url else "unfit"

    async def none(_: aiohttp.ClientSession, __: Replica) -> str:
        return "unfit"

    for _ in range(10):
        assert await of_two.ready_state(1, only_the_first) == await of_two.ready_state(1)
    state = await of_two.ready_state(1, none)
    assert (state.ready, state.fault) == (False, "unfit")


async def test_a_refused_connection_is_not_ready(unused_tcp_port: int) -> None:
    client = InferenceClient(Replicas(f"http://127.0.0.1:{unused_tcp_port}"), "m")
    assert not (await client.ready_state(1)).ready
    with pytest.raises(ConnectionFailed) as raised:
        await client.ask(call(), 5)
    assert raised.value.kind == "ClientConnectorError"
    await client.close()
