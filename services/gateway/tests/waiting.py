"""Waits for a condition or for turns of the event loop, and a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

POLL_SECONDS = 0.001


async def until(condition: Callable[[], object | Awaitable[object]], seconds: float = 20) -> None:
    """Return once a condition holds, which may be a coroutine function; TimeoutError if it never does."""
    async with asyncio.timeout(seconds):
        while not await _result(condition()):
            await asyncio.sleep(POLL_SECONDS)


async def turns(n: int = 20) -> None:
    """Let the event loop run for so many turns, in which whatever is due happens."""
    for _ in range(n):
        await asyncio.sleep(0)


class Clock:
    """Clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _result(found: object) -> object:
    return await found if isawaitable(found) else found
