"""Waits for a condition, and a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.001


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Return once a condition holds; TimeoutError if it never does."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(POLL_SECONDS)


class Clock:
    """Clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
