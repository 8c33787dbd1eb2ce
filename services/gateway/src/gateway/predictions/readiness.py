"""Readiness of the environments, for /ready and for a gauge that needs no traffic.

Each check goes through a transformer to its predictor. So there is one check at a time, and its result is kept for a
second. However many clients ask, the hops behind the gateway get no more requests.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.metrics import EnvironmentMetrics
from gateway.predictions.transformer_client import TransformerClient
from replicas import Kept

log = logging.getLogger("gateway")

CHECK_SECONDS = 15.0
KEPT_SECONDS = 1.0
"""Seconds that the result of a check is reused."""


class Readiness:
    """The readiness of all environments; each check also sets a metric."""

    def __init__(
        self,
        clients: Mapping[str, TransformerClient],
        metrics: EnvironmentMetrics,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._clients = clients
        self._metrics = metrics
        self._kept = Kept(self._look, kept_seconds)

    async def check(self) -> dict[str, bool]:
        """Return which environments are ready.

        The result is at most `KEPT_SECONDS` old, or found within the clients' timeout.
        """
        return await self._kept()

    def reason(self, environment: str) -> str:
        """Return why an environment's transformer said at the last check that it is not ready, or ""."""
        return self._clients[environment].unready_reason

    async def _look(self) -> dict[str, bool]:
        states = await asyncio.gather(*(client.is_ready() for client in self._clients.values()))
        found = dict(zip(self._clients, states, strict=True))
        for name, ready in found.items():
            self._metrics.ready.labels(name).set(ready)
        return found

    @asynccontextmanager
    async def watched(self, seconds: float = CHECK_SECONDS) -> AsyncIterator[None]:
        """Check regularly while the context is open."""
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
                # If the task ended here, the gauge would keep its last value for good.
                log.exception("readiness not checked")
            await asyncio.sleep(seconds)
