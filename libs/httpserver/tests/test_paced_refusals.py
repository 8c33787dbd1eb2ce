"""Refusals written by connections; sockets and server are real where order matters."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from serving import Client, Hooks, Served, client_of, head, serving
from starlette.responses import PlainTextResponse

from httpserver import ConnectionLimits, paced_refusals
from httpserver.paced_refusals import REFUSED_IN_A_TURN, PacedRefusals


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
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Serve two connections and refuse targets below /refused, but write refusals only when forced."""
    monkeypatch.setattr(paced_refusals, "REFUSED_IN_A_TURN", 0)
    limits = ConnectionLimits(60, connections=2)
    async with serving(PlainTextResponse("ok"), limits, Hooks(lambda head: refusal(head.target))) as served:
        yield served


@asynccontextmanager
async def refused(served: Served) -> AsyncIterator[Client]:
    """Open a client whose refusal waits."""
    before = served.connections.waiting_refusals
    async with client_of(served.port) as client:
        client.send(head("/refused/1"))
        async with asyncio.timeout(10):
            while served.connections.waiting_refusals == before:
                await asyncio.sleep(0)
        yield client


@pytest.mark.parametrize(("more", "status"), [(head("/"), 200), (b"?\r\n\r\n", 400)])
async def test_a_refusal_that_waits_comes_before_the_next_answer(served: Served, more: bytes, status: int) -> None:
    async with refused(served) as client:
        client.send(more)
        assert (await client.answer())[2] == b"/refused/1"
        assert (await client.answer())[0] == status


async def test_of_two_refusals_that_wait_the_first_leaves(served: Served) -> None:
    async with refused(served) as client:
        client.send(head("/refused/2"))
        assert (await client.answer())[2] == b"/refused/1"
        served.server.should_exit = True
        assert (await client.answer())[2] == b"/refused/2"


async def test_a_refusal_that_waits_comes_before_the_end(served: Served) -> None:
    async with refused(served) as client:
        served.server.should_exit = True
        assert (await client.answer())[2] == b"/refused/1"


async def test_who_makes_room_is_told_the_refusal_before(served: Served) -> None:
    async with refused(served) as client, refused(served), client_of(served.port):
        assert (await client.answer())[2] == b"/refused/1"
        assert await client.is_closed()


def refusal(target: bytes) -> bytes | None:
    """Return header lines and body of a refusal that names the refused target."""
    if not target.startswith(b"/refused/"):
        return None
    return b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(target), target)
