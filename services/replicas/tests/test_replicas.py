"""Against real servers on several loopback addresses; only the name server is ours, since a test cannot have one."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from replicas import Failures, Replica, Replicas, Unreachable, read_bounded
from replicas.budget import RESERVE, RETRY_SHARE

ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


class Names:
    """A name server with one name."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses: list[str] | None = addresses
        self.asked: list[str] = []
        self.hangs: asyncio.Event | None = None

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if self.hangs:
            await self.hangs.wait()
        if self.addresses is None:
            raise OSError("no such name")
        return self.addresses


class Servers:
    """A server on each address, all on one port."""

    def __init__(self) -> None:
        self.port = unused_port()
        self.served: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self.slow: set[str] = set()
        self._servers: dict[str, TestServer] = {}

    async def start(self, address: str) -> None:
        async def answer(request: web.Request) -> web.Response:
            self.served[address] += 1
            self.hosts.add(request.headers["Host"])
            await asyncio.sleep(0.2 if address in self.slow else 0.002)
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
    await load(session, named(servers, Names(ADDRESSES)), 300)
    assert servers.served["127.0.0.2"] < 30


async def test_paths_and_the_name_asked_for_are_kept(servers: Servers, session: aiohttp.ClientSession) -> None:
    assert await ask(session, named(servers, Names(ADDRESSES), "/base"), "/x") == "/base/x"
    assert servers.hosts == {f"spam.test:{servers.port}"}


async def test_new_ones_are_found_and_old_ones_left(servers: Servers, session: aiohttp.ClientSession) -> None:
    names = Names(ADDRESSES[:2])
    replicas = named(servers, names, refresh_seconds=0.01)
    await load(session, replicas, 60)
    assert servers.served.keys() == set(ADDRESSES[:2])
    names.addresses = ADDRESSES[1:]
    await asyncio.sleep(0.02)
    await ask(session, replicas)  # still whom it knows; finds out meanwhile
    await asyncio.sleep(0.02)
    servers.served.clear()
    await load(session, replicas, 60)
    assert servers.served.keys() == set(ADDRESSES[1:])


async def test_after_a_pause_the_first_request_goes_to_those_that_are_there_now(
    servers: Servers, session: aiohttp.ClientSession
) -> None:
    names = Names(ADDRESSES[:1])
    replicas = named(servers, names, refresh_seconds=0.01)
    await ask(session, replicas)
    names.addresses = ADDRESSES[1:]
    await asyncio.sleep(0.03)
    servers.served.clear()
    await ask(session, replicas)
    assert "127.0.0.1" not in servers.served


async def test_a_name_server_that_hangs_holds_nobody_up_for_long(
    servers: Servers, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicas.replicas.WAIT_SECONDS", 0.02)
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=0.01)
    await ask(session, replicas)
    names.hangs = asyncio.Event()
    await asyncio.sleep(0.03)
    async with asyncio.timeout(5):
        await load(session, replicas, 6)
    names.hangs.set()


async def test_a_failed_one_is_avoided_for_a_while(servers: Servers, session: aiohttp.ClientSession) -> None:
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


async def test_one_that_keeps_failing_is_avoided_ever_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.replicas.AVOID_SECONDS", (0.02, 0.08))
    replica = Replica("http://x", "x")
    for seconds in (0.02, 0.04, 0.08, 0.08):
        with pytest.raises(OSError, match="down"), replica:
            raise OSError("down")
        now = monotonic()
        assert replica.rank(now)[0] and replica.rank(now + 0.9 * seconds)[0]
        assert not replica.rank(now + seconds)[0]
    with replica:
        pass
    with pytest.raises(OSError, match="down"), replica:
        raise OSError("down")
    assert not replica.rank(monotonic() + 0.02)[0]


async def test_when_connections_hang_one_request_at_a_time_finds_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.replicas.AVOID_SECONDS", (0.05, 30.0))
    replicas = Replicas("http://127.0.0.1:1")
    replica = await replicas.pick()
    with pytest.raises(TimeoutError), replica:
        raise TimeoutError
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        await replicas.pick()
    await asyncio.sleep(0.06)
    with await replicas.pick(), pytest.raises(Unreachable):
        await replicas.pick()
    assert await replicas.pick() is replica


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


async def test_changes_are_said_once(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    replicas = named(servers, Names(ADDRESSES), refresh_seconds=0.0)
    for _ in range(5):
        await replicas.pick()
        await asyncio.sleep(0.005)
    assert [record.message for record in caplog.records] == ["replicas changed"]


async def test_a_name_without_addresses_is_no_news(servers: Servers, session: aiohttp.ClientSession) -> None:
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=0.0)
    await ask(session, replicas)
    names.addresses = []
    await load(session, replicas, 30)
    assert len(replicas) == 3


async def test_a_name_server_that_hangs_is_waited_for_by_one_request_alone(
    servers: Servers, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicas.replicas.WAIT_SECONDS", 0.3)
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=0.5)
    await ask(session, replicas)
    names.hangs = asyncio.Event()
    await asyncio.sleep(1.1)
    began = monotonic()
    await ask(session, replicas)
    waited = monotonic() - began
    began = monotonic()
    await ask(session, replicas)
    assert waited >= 0.3 > monotonic() - began
    names.hangs.set()


async def test_a_name_server_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.replicas.RESOLVE_SECONDS", 0.05)
    names = Names(ADDRESSES)
    names.hangs = asyncio.Event()
    replicas = Replicas("http://spam.test:1", names)
    await replicas.pick()
    names.hangs.set()
    monkeypatch.setattr(replicas, "_resolved_at", -1e9)
    assert (await replicas.pick()).url != "http://spam.test:1"
    assert len(names.asked) == 2


NO_RETRY = Failures((), ())


async def test_a_name_that_is_not_resolved_in_time_is_said_so() -> None:
    names = Names(ADDRESSES)
    names.hangs = asyncio.Event()
    with pytest.raises(Unreachable, match=r"spam\.test:1 could not be resolved in time"):
        await Replicas("http://spam.test:1", names).ask(hang, 0.05, NO_RETRY)
    names.hangs.set()


async def hang(_: Replica, __: float) -> str:
    await asyncio.sleep(30)
    return "never"


def of_two() -> Replicas:
    return Replicas("http://spam.test:1", Names(ADDRESSES[:2]))


async def test_a_hang_is_left_for_another_within_the_deadline() -> None:
    replicas = of_two()
    bad = await replicas.pick()
    asked: list[tuple[Replica, float]] = []

    async def send(replica: Replica, seconds: float) -> str:
        asked.append((replica, seconds))
        return await hang(replica, seconds) if replica is bad else "answer"

    for _ in range(20):
        assert await replicas.ask(send, 0.4, NO_RETRY) == "answer"
    to_bad = [seconds for replica, seconds in asked if replica is bad]
    assert len(to_bad) == 1 and to_bad[0] <= 0.2, "granted half, and not asked again"
    assert bad.hangs


async def test_a_request_that_came_late_makes_no_hang() -> None:
    replicas = Replicas("http://127.0.0.1:1")
    replica = await replicas.pick()
    with pytest.raises(TimeoutError):
        await replicas._attempt(replica, hang, 0.05, 1.0)
    assert await replicas.pick() is replica
    with pytest.raises(TimeoutError):
        await replicas._attempt(replica, hang, 0.25, 1.0)
    with pytest.raises(Unreachable):
        await replicas.pick()


async def test_one_that_answers_others_does_not_hang() -> None:
    replicas = Replicas("http://127.0.0.1:1")

    async def at_once(_: Replica, __: float) -> str:
        return "answer"

    slow = asyncio.create_task(replicas.ask(hang, 0.1, NO_RETRY))
    await asyncio.sleep(0.01)
    await replicas.ask(at_once, 0.1, NO_RETRY)
    with pytest.raises(TimeoutError):
        await slow
    assert await replicas.ask(at_once, 0.1, NO_RETRY) == "answer"


async def test_a_recovered_one_is_taken_back_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.replicas.AVOID_SECONDS", (0.05, 0.05))
    replicas = Replicas("http://127.0.0.1:1")
    with pytest.raises(TimeoutError):
        await replicas.ask(hang, 0.05, NO_RETRY)
    await asyncio.sleep(0.06)
    under_way = 0
    seen: list[int] = []

    async def send(_: Replica, __: float) -> str:
        nonlocal under_way
        under_way += 1
        seen.append(under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return "answer"

    assert await replicas.ask(send, 5, NO_RETRY) == "answer"
    answers = await asyncio.gather(*(replicas.ask(send, 5, NO_RETRY) for _ in range(40)))
    assert answers == ["answer"] * 40
    assert max(seen[:3]) == 2, "first one, then two"
    assert max(seen[:7]) <= 4 and max(seen) > 4, "then twice as many each round"


async def test_retries_are_bounded() -> None:
    replicas = of_two()
    asked = 0

    async def send(_: Replica, __: float) -> str:
        nonlocal asked
        asked += 1
        raise ConnectionResetError

    for _ in range(200):
        with pytest.raises(ConnectionResetError):
            await replicas.ask(send, 5, Failures((), (ConnectionResetError,)))
    assert 200 < asked <= 200 * (1 + RETRY_SHARE) + RESERVE


async def test_answers_are_read_up_to_their_limit() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"abcd"

    assert await read_bounded(chunks(), 12) == b"abcdabcdabcd"
    with pytest.raises(ValueError, match="longer than 11 bytes"):
        await read_bounded(chunks(), 11)


async def one_of_two_hung() -> tuple[Replicas, Replica]:
    replicas = of_two()
    hung = await replicas.pick()
    with pytest.raises(TimeoutError), hung:
        raise TimeoutError
    return replicas, hung


async def test_one_that_hung_is_taken_back_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.replicas.AVOID_SECONDS", (0.05, 0.05))
    replicas, hung = await one_of_two_hung()
    await asyncio.sleep(0.06)
    copies = 0

    async def send(replica: Replica, _: float) -> Replica:
        nonlocal copies
        copies += replica is hung
        await asyncio.sleep(0.01)
        return replica

    asked = await asyncio.gather(*(replicas.ask(send, 5, NO_RETRY) for _ in range(10)))
    assert hung not in asked and copies == 1, "a copy of one request found out"
    assert not hung.hangs
    assert hung in await asyncio.gather(*(replicas.ask(send, 5, NO_RETRY) for _ in range(10)))


async def test_nobody_waits_to_find_out_whether_one_still_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.replicas.AVOID_SECONDS", (0.01, 0.01))
    replicas, hung = await one_of_two_hung()
    copies = 0

    async def send(replica: Replica, seconds: float) -> str:
        nonlocal copies
        copies += replica is hung
        return await hang(replica, seconds) if replica is hung else "answer"

    for _ in range(20):
        await asyncio.sleep(0.01)
        async with asyncio.timeout(0.05):
            assert await replicas.ask(send, 0.1, NO_RETRY) == "answer"
    assert copies > 1, "it is asked again and again"
    assert hung.hangs


async def test_a_name_server_that_hangs_under_load_holds_nobody_up(
    servers: Servers, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replicas.replicas.WAIT_SECONDS", 0.4)
    names = Names(ADDRESSES)
    replicas = named(servers, names, refresh_seconds=0.5)
    await ask(session, replicas)
    names.hangs = asyncio.Event()
    longest = 0.0
    for _ in range(40):
        began = monotonic()
        await ask(session, replicas)
        longest = max(longest, monotonic() - began)
        await asyncio.sleep(0.05)
    assert longest < 0.4
    names.hangs.set()
