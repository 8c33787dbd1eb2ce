"""Steady load of single mails: open loop, so that a slow answer does not delay the next request."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass
class Steady:
    """Outcomes of the requests in order of their ends: status (0 without an answer) and milliseconds."""

    answers: list[tuple[int, float]] = field(default_factory=list)
    unpolite: int = 0
    """Number of answers 503 without a time to come back, or without a problem object."""

    def failed(self, *expected: int) -> int:
        """Return the number of answers with another status than these."""
        return sum(status not in expected for status, _ in self.answers)

    def told(self) -> str:
        """Return the number of answers by status, as text."""
        found = Counter(status for status, _ in self.answers)
        return ", ".join(f"{status or 'no answer'}: {n:,}" for status, n in sorted(found.items()))

    def milliseconds(self, status: int) -> list[float]:
        """Return the milliseconds of the answers with this status, sorted."""
        return sorted(ms for got, ms in self.answers if got == status)

    def p99_ms(self, status: int) -> float:
        """Return the milliseconds within which 99 % of the answers with this status came; infinite without any."""
        found = self.milliseconds(status)
        return found[min(len(found) * 99 // 100, len(found) - 1)] if found else float("inf")


class Sender:
    """Sender of bodies in turn to one environment."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, environment: str, bodies: Sequence[bytes], key: str = ""
    ) -> None:
        self._session, self._url, self._bodies = session, f"{url}/api/v1/predict", bodies
        self._headers = {"Content-Type": "application/json", "X-Environment": environment}
        if key:
            self._headers["X-API-Key"] = key
        self._sent = 0
        self.seen = Steady()

    async def send(self) -> int:
        """Send one body, record its answer and return the status."""
        body = self._bodies[self._sent % len(self._bodies)]
        self._sent += 1
        started = time.monotonic()
        status = 0
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(self._url, data=body, headers=self._headers) as response:
                content = await response.read()
                status = response.status
                if status == 503 and not ("Retry-After" in response.headers and content.startswith(b'{"type":"urn:')):
                    self.seen.unpolite += 1
        self.seen.answers.append((status, 1000 * (time.monotonic() - started)))
        return status

    async def every(self, seconds: float) -> None:
        """Send at intervals until cancelled, then wait for requests in progress."""
        running: set[asyncio.Task[int]] = set()
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                task = asyncio.create_task(self.send())
                running.add(task)
                task.add_done_callback(running.discard)
                due += seconds
                await asyncio.sleep(max(due - loop.time(), 0))
        finally:
            await asyncio.gather(*running)


@contextlib.asynccontextmanager
async def sender(url: str, environment: str, bodies: Sequence[bytes], key: str = "") -> AsyncIterator[Sender]:
    """Open a sender with its own connections, without a limit."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT) as session:
        yield Sender(session, url, environment, bodies, key)


@contextlib.asynccontextmanager
async def steadily(
    url: str, environment: str, bodies: Sequence[bytes], rate: float, key: str = ""
) -> AsyncIterator[Steady]:
    """Send at this rate while the context is open; the result is complete afterwards."""
    async with sender(url, environment, bodies, key) as one:
        task = asyncio.create_task(one.every(1 / rate))
        try:
            yield one.seen
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
