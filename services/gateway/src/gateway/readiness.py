"""Readiness of the environments, asked at /ready, and by the gateway itself for a gauge that needs no traffic.

Each look goes through a transformer to its predictor. So there is one look at a time, and its result is kept for a
second: what lies behind the gateway gets no more requests however many ask in front of it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from gateway import metrics
from gateway.transformer_client import TransformerClient
from replicas import Kept

log = logging.getLogger("gateway")

CHECK_SECONDS = 15.0
KEPT_SECONDS = 1.0
"""Seconds that the result of a look answers whoever asks."""


class Readiness:
    """The readiness of all environments; each answer is also a metric."""

    def __init__(self, clients: Mapping[str, TransformerClient], kept_seconds: float = KEPT_SECONDS) -> None:
        self._clients = clients
        self._kept = Kept(self._look, kept_seconds)

    async def check(self) -> dict[str, bool]:
        """Return which environments are ready, found out within the clients' timeout or `KEPT_SECONDS` ago at most."""
        return await self._kept()

    def reason(self, environment: str) -> str:
        """Return why an environment's transformer said at the last look that it is not ready; "" for nothing."""
        return self._clients[environment].unready_reason

    async def _look(self) -> dict[str, bool]:
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
            self._kept.cancel()

    async def _watch(self, seconds: float) -> None:
        while True:
            try:
                await self.check()
            except Exception:
                # A watch that ended would leave the gauge as it was for ever.
                log.exception("readiness not checked")
            await asyncio.sleep(seconds)
