"""Admission to one environment: the only place that says whether there is room, and that refuses what finds none."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway import problems
from gateway.metrics import EnvironmentMetrics
from gateway.predictions.queue import Queue, QueueLimits
from gateway.problems import Problem


class Admission:
    """Room of one environment: for mail in its queue, for bodies that arrive, and for explain requests.

    Args:
        environment: Name of the environment.
        queue: Its queue.
        limits: Its limits.
        slots: Returns how many batches may be under way at a time.
        metrics: Metrics to count refused mails in.
    """

    def __init__(
        self,
        environment: str,
        queue: Queue,
        limits: QueueLimits,
        slots: Callable[[], int],
        metrics: EnvironmentMetrics,
    ) -> None:
        self._environment = environment
        self._queue = queue
        self._limits = limits
        self._slots = slots
        self._refused_mails = metrics.refused_mails.labels(environment)
        self._arriving_bytes = 0
        self._explains = 0

    def has_room(self, mails: int = 1, size: int = 0) -> bool:
        """Return whether a request of so many mails and bytes fits into the queue, and would not wait too long."""
        return self._queue.has_room(self._slots(), mails, size)

    def admit(self, mails: int, size: int) -> None:
        """Check that a request fits into the queue.

        Raises:
            Problem: 503 if there is no room.
        """
        if not self.has_room(mails, size):
            self.count_refused(mails)
            raise self.overloaded()

    def expect(self) -> None:
        """Reserve room for a mail whose head has arrived, until the turn of the event loop that may queue it.

        In a flood, hundreds of heads arrive in one turn. If each saw the same free room, most would be refused only
        after they were read and parsed, at many times the cost.
        """
        if not self._queue.expected_mails:
            asyncio.get_running_loop().call_soon(self._expect_none)
        self._queue.expected_mails += 1

    def _expect_none(self) -> None:
        self._queue.expected_mails = 0

    def count_refused(self, mails: int = 1) -> None:
        """Count mails refused for lack of room, and drop waiting mails whose clients may have gone."""
        self._refused_mails.inc(mails)
        for future in self._queue.doubted():
            if not future.done():
                future.set_exception(self.overloaded())

    def overloaded(self) -> Problem:
        """Return the problem of a request that finds no room (503)."""
        return problems.overloaded(self._environment)

    def arriving(self, size: int) -> None:
        """Count bytes of a body that has not arrived whole.

        Raises:
            Problem: 503 if there is no room.
        """
        if self._arriving_bytes + size > self._limits.arriving_bytes:
            self._refused_mails.inc()
            raise self.overloaded()
        self._arriving_bytes += size

    def arrived(self, size: int) -> None:
        """Release the bytes of a body that has arrived whole, or never will."""
        self._arriving_bytes -= size

    def admit_explain(self) -> None:
        """Check that an explain request may begin.

        Raises:
            Problem: 503 if too many are under way.
        """
        if self._explains >= self._limits.explains:
            raise self.overloaded()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Count an explain request while the context is open; raises as `admit_explain`."""
        self.admit_explain()
        self._explains += 1
        try:
            yield
        finally:
            self._explains -= 1
