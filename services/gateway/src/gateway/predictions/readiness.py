"""Readiness of the environments, for /ready and for a gauge that needs no traffic.

Each check goes through a transformer to its predictor. So there is one check at a time, and its result is kept for a
second. However many clients ask, the hops behind the gateway get no more requests.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from gateway.metrics import EnvironmentMetrics
from gateway.predictions.transformer_client import TransformerClient
from inference import KeptResult
from runtime.periodic import every

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
        self._kept = KeptResult(self._look, kept_seconds)

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
        try:
            async with every(seconds, self.check, "readiness", partial(log.exception, "readiness not checked")):
                yield
        finally:
            self._kept.cancel()
