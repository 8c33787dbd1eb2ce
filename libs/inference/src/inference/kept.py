"""Shared result of a costly call, kept for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class KeptResult(Generic[T]):
    """Runs one call at a time and keeps its result for a while, however many callers there are.

    Args:
        look: Finds the result. An exception goes to all who wait for it, and is not kept.
        seconds: Seconds that a result is kept.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self, look: Callable[[], Awaitable[T]], seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._clock = clock
        self._found: tuple[float, T] | None = None
        self._looking: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Return the kept result, or wait for the call under way or a new one."""
        if self._looking is None or self._looking.done():
            if self._found is not None and self._clock() - self._found[0] < self._seconds:
                return self._found[1]
            self._looking = asyncio.create_task(self._look_once())
        # Shielded: one caller's cancellation must not end the call for the others.
        return await asyncio.shield(self._looking)

    def cancel(self) -> None:
        """Cancel the call under way, if any."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look_once(self) -> T:
        result = await self._look()
        self._found = self._clock(), result
        return result
