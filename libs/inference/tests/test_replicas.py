"""Requests to real servers on several loopback addresses; only the name server is fake."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from itertools import islice
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from names import ADDRESSES, Names
from waiting import Clock, until

from inference import Replicas, Unreachable


class Servers:
    """Servers on several addresses, all on one port."""

    def __init__(self) -> None:
        self.port = unused_port()
        self.served: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self.slow: set[str] = set()
        self.slow_may_answer = asyncio.Event()
        self._servers: dict[str, TestServer] = {}

    async def start(self, address: str) -> None:
        async def answer(request: web.Request) -> web.Response:
            self.served[address] += 1
            self.hosts.add(request.headers["Host"])
            if address in self.slow:
                await self.slow_may_answer.wait()
            # The scenario: answering takes time, so requests overlap.
            await asyncio.sleep(0.002)
            return web.Response(text=request.path)

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        self._servers[address] = TestServer(app, host=address, port=self.port)
        await self._servers[address].start_server()

    async def stop(self, address: str) -> None:
        await self._servers.pop(address).close()

    async def stop_all(self) -> None:
        for address in list(self._servers):
            await self.stop(address)


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    found = Servers()
    for address in ADDRESSES:
        await found.start(address)
    yield found
    await found.stop_all()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


async def ask(session: aiohttp.ClientSession, replicas: Replicas, path: str = "/x") -> str:
    replica = await replicas.pick()
    with replica:
        async with session.get(replica.url + path, headers=replica.headers) as response:
            return await response.text()


async def load(session: aiohttp.ClientSession, replicas: Replicas, requests: int, at_a_time: int = 6) -> None:
    async def client() -> None:
        for _ in range(requests // at_a_time):
            await ask(session, replicas)

    await asyncio.gather(*(client() for _ in range(at_a_time)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which addresses become old."""
    clock = Clock()
    monkeypatch.setattr("inference.addresses.monotonic", clock)
    return clock


def named(servers: Servers, names: Names, path: str = "", refresh_seconds: float = 60) -> Replicas:
    return Replicas(f"http://spam.test:{servers.port}{path}", names, refresh_seconds)


async def test_requests_are_spread_evenly(servers: Servers, session: aiohttp.ClientSession) -> None:
    names = Names(ADDRESSES)
    replicas = named(servers, names)
    await load(session, replicas, 300)
    assert len(replicas) == 3
    assert min(servers.served.values()) > 0.6 * 100
    assert names.asked == ["spam.test"]


async def test_a_lone_client_visits_all_of_them(servers: Servers, session: aiohttp.ClientSession) -> None:
    await load(session, named(servers, Names(ADDRESSES)), 90, at_a_time=1)
    assert min(servers.served.values()) > 10


async def test_a_slow_one_gets_less(servers: Servers, session: aiohttp.ClientSession) -> None:
    servers.slow = {"127.0.0.2"}
    replicas = named(servers, Names(ADDRESSES))
    # Four of six clients finish, and two wait for the slow server.
    clients = [asyncio.create_task(load(session, replicas, 50, at_a_time=1)) for _ in range(6)]
    for finished in islice(asyncio.as_completed(clients, timeout=60), 4):
        await finished
    assert servers.served["127.0.0.2"] == 2
    servers.slow_may_answer.set()
    await asyncio.gather(*clients)


async def test_paths_and_the_name_asked_for_are_kept(servers: Servers, session: aiohttp.ClientSession) -> None:
    assert await ask(session, named(servers, Names(ADDRESSES), "/base"), "/x") == "/base/x"
    assert servers.hosts == {f"spam.test:{servers.port}"}


async def test_new_ones_are_found_and_old_ones_left(
    servers: Servers, session: aiohttp.ClientSession, clock: Clock
) -> None:
    names = Names(ADDRESSES[:2])
    replicas = named(servers, names, refresh_seconds=10)
    await load(session, replicas, 60)
    assert servers.served.keys() == set(ADDRESSES[:2])
    names.addresses = ADDRESSES[1:]
    clock.now += 15
    names.hangs = asyncio.Event()
    await ask(session, replicas)
    assert servers.served.keys() == set(ADDRESSES[:2]), "it uses the known addresses and resolves in the background"
    names.hangs.set()

    async def new_are_known() -> bool:
        return {urlsplit(replica.url).hostname for replica in await replicas.ranked()} == set(ADDRESSES[1:])

    await until(new_are_known)
    servers.served.clear()
    await load(session, replicas, 60)
    assert servers.served.keys() == set(ADDRESSES[1:])


async def test_after_a_pause_the_first_request_goes_to_those_that_are_there_now(
    servers: Servers, session: aiohttp.ClientSession, clock: Clock
) -> None:
    names = Names(ADDRESSES[:1])
    replicas = named(servers, names, refresh_seconds=10)
    await ask(session, replicas)
    names.addresses = ADDRESSES[1:]
    clock.now += 21
    servers.served.clear()
    await ask(session, replicas)
    assert "127.0.0.1" not in servers.served


async def test_a_failed_one_is_avoided_for_a_while(
    servers: Servers, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (600.0, 600.0))
    replicas = named(servers, Names(ADDRESSES))
    await servers.stop("127.0.0.1")
    failures = 0
    for _ in range(60):
        try:
            await ask(session, replicas)
        except aiohttp.ClientError:
            failures += 1
    assert failures <= 1
    assert servers.served.total() >= 59


async def test_one_whose_connections_hang_is_not_asked_while_there_is_another(
    servers: Servers, session: aiohttp.ClientSession
) -> None:
    replicas = named(servers, Names(ADDRESSES[:2]))
    hanging = await replicas.pick()
    with pytest.raises(TimeoutError), hanging:
        raise TimeoutError
    await load(session, replicas, 60)
    assert len(servers.served) == 1
    assert next(iter(servers.served)) not in hanging.url


async def test_one_that_refuses_connections_is_asked_when_there_is_no_other() -> None:
    replicas = Replicas("http://127.0.0.1:1")
    with pytest.raises(ConnectionError), await replicas.pick():
        raise ConnectionError
    assert await replicas.pick()


async def test_when_all_have_failed_they_are_asked_all_the_same(
    servers: Servers, session: aiohttp.ClientSession
) -> None:
    replicas = named(servers, Names(["127.0.0.1"]))
    await servers.stop("127.0.0.1")
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(session, replicas)
    await servers.start("127.0.0.1")
    assert await ask(session, replicas) == "/x"


async def test_known_addresses_stay_when_the_name_server_fails(
    servers: Servers, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=0.0)
    await ask(session, replicas)
    names.addresses = None
    await load(session, replicas, 30)
    assert len(replicas) == 3
    assert "name could not be resolved" in caplog.text


async def test_a_name_that_never_resolves_is_left_to_the_client(session: aiohttp.ClientSession) -> None:
    names = Names([])
    names.addresses = None
    replicas = Replicas("http://nowhere.invalid:1", names)
    with pytest.raises(aiohttp.ClientConnectorDNSError):
        await ask(session, replicas)
    assert len(replicas) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1234", "https://name.test", "http://[::1]:80"])
async def test_addresses_and_https_are_asked_as_they_stand(url: str) -> None:
    names = Names(ADDRESSES)
    assert (await Replicas(url + "/", names).pick()).url == url
    assert names.asked == []


async def test_ipv6_addresses_stand_in_brackets() -> None:
    assert (await Replicas("http://spam.test:80", Names(["::1"])).pick()).url == "http://[::1]:80"


async def test_changes_are_said_once(servers: Servers, caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=10)
    for _ in range(5):
        await replicas.pick()
        clock.now += 21
    assert len(names.asked) == 5
    assert [record.message for record in caplog.records] == ["replicas changed"]


async def test_a_name_without_addresses_is_no_news(servers: Servers, session: aiohttp.ClientSession) -> None:
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=0.0)
    await ask(session, replicas)
    names.addresses = []
    await load(session, replicas, 30)
    assert len(replicas) == 3


async def test_a_probe_takes_no_place_of_a_request_and_waits_for_none() -> None:
    replicas = Replicas("http://127.0.0.1:1")
    hung = await replicas.pick()
    with pytest.raises(TimeoutError), hung:
        raise TimeoutError
    with pytest.raises(Unreachable):
        await replicas.pick()
    assert await replicas.ranked() == [hung]


async def test_probes_ask_first_who_answers(servers: Servers) -> None:
    replicas = named(servers, Names(ADDRESSES))
    first = await replicas.pick()
    with pytest.raises(TimeoutError), first:
        raise TimeoutError
    for _ in range(10):
        ranked = await replicas.ranked()
        assert (len(ranked), ranked[-1]) == (3, first)
