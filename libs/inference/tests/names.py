"""Fake name server, and an event loop with a clock that only the loop moves."""

import asyncio
import selectors

ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


class Names:
    """Fake name server with one name."""

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


class Skipping(selectors.DefaultSelector):
    """Selector that skips waiting: the clock jumps to the next timer at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0 if timeout is not None else None)


class SkippingLoop(asyncio.SelectorEventLoop):
    """Event loop whose time passes only while everything waits, so no test depends on the machine's speed."""

    def __init__(self) -> None:
        self.selector = Skipping()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now
