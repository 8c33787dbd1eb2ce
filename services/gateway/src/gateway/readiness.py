"""Which environments can be served: asked at /ready, and by the gateway itself for a gauge that needs no traffic."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from gateway import metrics
from gateway.transformer_client import TransformerClient

log = logging.getLogger("gateway")

CHECK_SECONDS = 15.0


class Readiness:
    """The readiness of all environments; each answer is also a metric."""

    def __init__(self, clients: Mapping[str, TransformerClient]) -> None:
        self._clients = clients

    async def check(self) -> dict[str, bool]:
        """Ask every environment, within the clients' timeout."""
        states = await asyncio.gather(*(client.is_ready() for client in self._clients.values()))
        found = dict(zip(self._clients, states, strict=True))
        for name, ready in found.items():
            metrics.ENVIRONMENT_READY.labels(name).set(ready)
        return found

    @asynccontextmanager
    async def watched(self, seconds: float = CHECK_SECONDS) -> AsyncIterator[None]:
        """Check again and again while the context is open."""
        task = asyncio.create_task(self._watch(seconds), name="readiness")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self, seconds: float) -> None:
        while True:
            try:
                await self.check()
            except Exception:
                # A watch that ended would leave the gauge as it was for ever.
                log.exception("readiness not checked")
            await asyncio.sleep(seconds)
