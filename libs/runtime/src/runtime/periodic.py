"""Regular calls in the background of a server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def every(
    seconds: float, call: Callable[[], Awaitable[object]], name: str, failed: Callable[[], object]
) -> AsyncIterator[None]:
    """Call at once and then regularly while the context is open. An error in one call does not end the calls.

    Args:
        seconds: Seconds from the end of a call to the next one.
        call: Does the work.
        name: Name of the task.
        failed: Called while an error of a call is handled, so that it may log the traceback.
    """
    task = asyncio.create_task(_repeat(seconds, call, failed), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _repeat(seconds: float, call: Callable[[], Awaitable[object]], failed: Callable[[], object]) -> None:
    while True:
        try:
            await call()
        except Exception:
            failed()
        await asyncio.sleep(seconds)
