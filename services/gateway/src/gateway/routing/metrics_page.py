"""Metrics page: the text of `GET /metrics`, at a bounded cost however often it is requested.

Making the text takes milliseconds, so each metric family gets a turn of the event loop. A few requests each get a fresh
text; in a flood, a text may be half a second old.
"""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from gateway.access.token_bucket import TokenBucket
from inference import KeptResult

TEXTS_PER_SECOND = 2.0
TEXTS_AT_ONCE = 10
"""Texts that may be made in a row, enough for tests and people."""


class MetricsPage:
    """Answers with all metrics of a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._bucket = TokenBucket(TEXTS_PER_SECOND, TEXTS_AT_ONCE)
        self._new = KeptResult(self._make, 0)
        self._text: bytes | None = None

    async def __call__(self) -> Response:
        """Return the metrics response."""
        text = self._text
        if text is None or not self._bucket.take():
            text = await self._new()
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def _make(self) -> bytes:
        pieces = []
        for family in self._registry.collect():
            pieces.append(generate_latest(_Family(family)))
            await asyncio.sleep(0)
        self._text = b"".join(pieces)
        return self._text


class _Family:
    """A registry of one metric family, in the shape that the exposition needs."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family
