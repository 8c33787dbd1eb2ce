"""Deadlines, hangs and retries on a clock that only the event loop moves.

So no test depends on the machine's speed, and no sleep takes time.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from names import ADDRESSES, Names, SkippingLoop

from inference import BrokenAnswer, Replica, Replicas, Unreachable
from inference.policy import RETRY_RESERVE, RETRY_SHARE


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("addresses", "replica", "replicas"):
        monkeypatch.setattr(f"inference.{module}.monotonic", now)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_name_server_that_hangs_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inference.policy.WAIT_SECONDS", 0.02)
    names = Names(ADDRESSES)
    replicas = Replicas("http://spam.test:1", names, 0.01)
    await replicas.pick()
    names.hangs = asyncio.Event()
    await asyncio.sleep(0.03)
    began = now()
    for _ in range(6):
        await replicas.pick()
    assert now() - began == pytest.approx(0.02)
    names.hangs.set()


async def test_one_that_keeps_failing_is_avoided_ever_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (0.02, 0.08))
    replica = Replica("http://x", "x")
    for seconds in (0.02, 0.04, 0.08, 0.08):
        with pytest.raises(OSError, match="down"), replica:
            raise OSError("down")
        assert replica.rank(now())[0] and replica.rank(now() + 0.99 * seconds)[0]
        assert not replica.rank(now() + seconds)[0]
    with replica:
        pass
    with pytest.raises(OSError, match="down"), replica:
        raise OSError("down")
    assert not replica.rank(now() + 0.02)[0]


async def test_when_connections_hang_one_request_at_a_time_finds_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (0.05, 30.0))
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


async def test_a_name_server_that_hangs_is_waited_for_by_one_request_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inference.policy.WAIT_SECONDS", 0.3)
    names = Names(ADDRESSES)
    replicas = Replicas("http://spam.test:1", names, 0.5)
    await replicas.pick()
    names.hangs = asyncio.Event()
    await asyncio.sleep(1.1)
    began = now()
    await replicas.pick()
    waited = now() - began
    began = now()
    await replicas.pick()
    assert (waited, now() - began) == (pytest.approx(0.3), 0)
    names.hangs.set()


async def test_a_name_server_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.RESOLVE_SECONDS", 0.05)
    names = Names(ADDRESSES)
    names.hangs = asyncio.Event()
    replicas = Replicas("http://spam.test:1", names, 0.01)
    await replicas.pick()
    names.hangs.set()
    await asyncio.sleep(0.03)
    assert (await replicas.pick()).url != "http://spam.test:1"
    assert len(names.asked) == 2


async def test_a_name_that_is_not_resolved_in_time_is_said_so() -> None:
    names = Names(ADDRESSES)
    names.hangs = asyncio.Event()
    with pytest.raises(Unreachable, match=r"spam\.test:1 could not be resolved in time"):
        await Replicas("http://spam.test:1", names).ask(hang, 0.05)
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
        assert await replicas.ask(send, 0.4) == "answer"
    to_bad = [seconds for replica, seconds in asked if replica is bad]
    assert len(to_bad) == 1 and to_bad[0] == pytest.approx(0.2), "granted half, and not asked again"
    assert bad.hangs


async def replicas_after(seconds: float) -> Replicas:
    """Return the lone replica of a name that takes this long to resolve, after a request of one second that hung."""
    names = Names(ADDRESSES[:1])
    names.hangs = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, names.hangs.set)
    replicas = Replicas("http://spam.test:1", names)
    with pytest.raises(TimeoutError):
        await replicas.ask(hang, 1.0)
    assert now() == pytest.approx(1.0)
    return replicas


async def test_a_request_that_came_late_makes_no_hang() -> None:
    assert await (await replicas_after(0.95)).pick()


async def test_a_quarter_of_its_time_is_enough_to_find_a_hang() -> None:
    with pytest.raises(Unreachable):
        await (await replicas_after(0.74)).pick()


def stand_still(seconds: float) -> None:
    """Let time pass as for a stopped process: everything due meanwhile is late."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    loop.selector.now += seconds


def stopped_once(asked: list[Replica]) -> Callable[[Replica, float], Awaitable[str]]:
    """Return a send function during whose first call this process is stopped."""

    async def send(replica: Replica, _: float) -> str:
        asked.append(replica)
        if len(asked) == 1:
            await asyncio.sleep(0.1)
            stand_still(8)
        await asyncio.sleep(0.01)
        return "answer"

    return send


async def test_a_process_that_stood_still_does_not_take_its_own_pause_for_a_hang() -> None:
    replicas = of_two()
    asked: list[Replica] = []
    assert await replicas.ask(stopped_once(asked), 10) == "answer"
    assert len(asked) == 2 and not any(replica.hangs for replica in asked)
    assert all(replica.may_be_asked(now()) for replica in asked)


async def test_a_process_that_stood_still_beyond_the_deadline_gives_up_and_knows_nothing_of_the_replica() -> None:
    replicas = Replicas("http://127.0.0.1:1")
    asked: list[Replica] = []
    with pytest.raises(TimeoutError):
        await replicas.ask(stopped_once(asked), 4)
    assert len(asked) == 1 and await replicas.pick() is asked[0]


async def test_one_that_answers_others_does_not_hang() -> None:
    replicas = Replicas("http://127.0.0.1:1")

    async def at_once(_: Replica, __: float) -> str:
        return "answer"

    slow = asyncio.create_task(replicas.ask(hang, 0.1))
    await asyncio.sleep(0.01)
    await replicas.ask(at_once, 0.1)
    with pytest.raises(TimeoutError):
        await slow
    assert await replicas.ask(at_once, 0.1) == "answer"


async def test_a_recovered_one_is_taken_back_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (0.05, 0.05))
    replicas = Replicas("http://127.0.0.1:1")
    with pytest.raises(TimeoutError):
        await replicas.ask(hang, 0.05)
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

    assert await replicas.ask(send, 5) == "answer"
    answers = await asyncio.gather(*(replicas.ask(send, 5) for _ in range(40)))
    assert answers == ["answer"] * 40
    assert max(seen[:3]) == 2, "first one, then two"
    assert max(seen[:7]) <= 4 and max(seen) > 4, "then twice as many each round"


async def one_of_two_hung() -> tuple[Replicas, Replica]:
    replicas = of_two()
    hung = await replicas.pick()
    with pytest.raises(TimeoutError), hung:
        raise TimeoutError
    return replicas, hung


async def test_one_that_hung_is_taken_back_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (0.05, 0.05))
    replicas, hung = await one_of_two_hung()
    await asyncio.sleep(0.06)
    copies = 0

    async def send(replica: Replica, _: float) -> Replica:
        nonlocal copies
        copies += replica is hung
        await asyncio.sleep(0.01)
        return replica

    asked = await asyncio.gather(*(replicas.ask(send, 5) for _ in range(10)))
    assert hung not in asked and copies == 1, "a copy of one request found out"
    assert not hung.hangs
    assert hung in await asyncio.gather(*(replicas.ask(send, 5) for _ in range(10)))


async def test_nobody_waits_to_find_out_whether_one_still_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (0.01, 0.01))
    replicas, hung = await one_of_two_hung()
    copies = 0

    async def send(replica: Replica, seconds: float) -> str:
        nonlocal copies
        copies += replica is hung
        return await hang(replica, seconds) if replica is hung else "answer"

    for _ in range(20):
        await asyncio.sleep(0.01)
        async with asyncio.timeout(0.05):
            assert await replicas.ask(send, 0.1) == "answer"
    assert copies > 1, "it is asked again and again"
    assert hung.hangs


async def test_a_name_server_that_hangs_under_load_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inference.policy.WAIT_SECONDS", 0.4)
    names = Names(ADDRESSES)
    replicas = Replicas("http://spam.test:1", names, 0.5)
    await replicas.pick()
    names.hangs = asyncio.Event()
    longest = 0.0
    for _ in range(40):
        began = now()
        await replicas.pick()
        longest = max(longest, now() - began)
        await asyncio.sleep(0.05)
    assert longest == 0, "the wait began with the refresh, and that was over before the addresses were too old"
    names.hangs.set()


async def test_retries_are_bounded() -> None:
    replicas = of_two()
    asked = 0

    async def send(_: Replica, __: float) -> str:
        nonlocal asked
        asked += 1
        raise BrokenAnswer(500, b"")

    for _ in range(200):
        with pytest.raises(BrokenAnswer):
            await replicas.ask(send, 5)
    assert 200 < asked <= 200 * (1 + RETRY_SHARE) + RETRY_RESERVE
