"""Refusals written by connections; sockets and server are real where order matters."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import uvicorn
from serving import Client, client_of, head
from starlette.responses import PlainTextResponse

from gateway.http import paced_refusals
from gateway.http.connection import connections
from gateway.http.limits import ConnectionLimits
from gateway.http.paced_refusals import REFUSED_IN_A_TURN, PacedRefusals
from gateway.http.server import Server


class Transport(asyncio.Transport):
    """Transport that keeps what was written, and whether it is about to end."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ends = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.ends


def written(transports: Sequence[Transport]) -> list[int]:
    """Return the positions of the transports that were written to."""
    return [n for n, transport in enumerate(transports) if transport.written]


async def test_so_many_leave_in_each_turn_and_in_their_order() -> None:
    refusals, transports = PacedRefusals(), [Transport() for _ in range(2 * REFUSED_IN_A_TURN + 10)]
    for transport in transports:
        refusals.write(transport, b"no")
    seen = [len(written(transports))]
    while seen[-1] < len(transports):
        await asyncio.sleep(0)
        assert written(transports) == list(range(len(written(transports))))
        seen.append(len(written(transports)))
    assert seen == [REFUSED_IN_A_TURN, 2 * REFUSED_IN_A_TURN, len(transports)]
    late = Transport()
    await asyncio.sleep(0)
    for transport in [*(Transport() for _ in range(REFUSED_IN_A_TURN)), late]:
        refusals.write(transport, b"no")
    await asyncio.sleep(0)
    assert late.written == [b"no"], "and so on, in turns to come"


async def test_who_has_gone_meanwhile_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_refusals, "REFUSED_IN_A_TURN", 1)
    refusals, transports = PacedRefusals(), [Transport() for _ in range(3)]
    for transport in transports:
        refusals.write(transport, b"no")
    transports[1].ends = True
    await asyncio.sleep(0)
    assert written(transports) == [0, 2]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Serve two connections and refuse targets below /refused, but write refusals only when forced."""
    monkeypatch.setattr(paced_refusals, "REFUSED_IN_A_TURN", 0)
    protocol = connections(ConnectionLimits(60, connections=2), lambda method, target, headers: refusal(target))
    server = Server(uvicorn.Config(PlainTextResponse("ok"), port=0, http=protocol, lifespan="off", log_config=None), 0)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    yield server
    server.should_exit = server.force_exit = True
    await running


@asynccontextmanager
async def refused(server: Server) -> AsyncIterator[Client]:
    """Open a client whose refusal waits."""
    async with client_of(port(server)) as client:
        client.send(head("/refused/1", length=0))
        await asyncio.sleep(0.05)
        yield client


def port(server: Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


@pytest.mark.parametrize(("more", "status"), [(head("/", length=0), 200), (b"?\r\n\r\n", 400)])
async def test_a_refusal_that_waits_comes_before_the_next_answer(server: Server, more: bytes, status: int) -> None:
    async with refused(server) as client:
        client.send(more)
        assert (await client.answer())[2] == b"/refused/1"
        assert (await client.answer())[0] == status


async def test_of_two_refusals_that_wait_the_first_leaves(server: Server) -> None:
    async with refused(server) as client:
        client.send(head("/refused/2", length=0))
        assert (await client.answer())[2] == b"/refused/1"
        server.should_exit = True
        assert (await client.answer())[2] == b"/refused/2"


async def test_a_refusal_that_waits_comes_before_the_end(server: Server) -> None:
    async with refused(server) as client:
        server.should_exit = True
        assert (await client.answer())[2] == b"/refused/1"


async def test_who_makes_room_is_told_the_refusal_before(server: Server) -> None:
    async with refused(server) as client, refused(server), client_of(port(server)):
        assert (await client.answer())[2] == b"/refused/1"
        assert await client.is_closed()


def refusal(target: bytes) -> bytes | None:
    """Return header lines and body of a refusal that names the refused target."""
    if not target.startswith(b"/refused/"):
        return None
    return b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(target), target)
