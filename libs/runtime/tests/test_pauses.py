"""Detection of pauses of this process."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from runtime.pauses import LATE_SECONDS, Pauses


class Clock:
    """Clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pauses(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pauses]:
    """Watch for pauses, with a tick in each turn of the event loop."""
    monkeypatch.setattr("runtime.pauses.TICK_SECONDS", 0)
    found = Pauses(clock)
    found.watch()
    yield found
    found.rest()


async def tick() -> None:
    """Let the event loop tick."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_pause_is_seen_before_the_late_tick(pauses: Pauses, clock: Clock) -> None:
    clock.now += 8
    assert pauses.any_since(100)
    await tick()
    assert pauses.any_since(100)


async def test_a_pause_is_seen_after_the_late_tick(pauses: Pauses, clock: Clock) -> None:
    clock.now += 8
    await tick()
    assert pauses.any_since(100)
    clock.now += 0.1
    assert not pauses.any_since(clock.now), "what began after it is not concerned"


async def test_a_tick_in_time_is_no_pause(pauses: Pauses, clock: Clock) -> None:
    for _ in range(40):
        clock.now += LATE_SECONDS
        await tick()
    assert not pauses.any_since(100)


async def test_idle_time_is_no_pause(pauses: Pauses, clock: Clock) -> None:
    pauses.rest()
    clock.now += 60
    assert not pauses.any_since(100)
    pauses.watch()
    assert not pauses.any_since(100)
