"""Queue of one environment: its mail that waits or is under way, the room for more, and the next batch.

It knows neither the event loop nor the clock, so tests need not wait. The coalescer sends its batches.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.predictions.mails import Mail, Verdicts
from gateway.settings import GatewaySettings
from runtime.tracing import Span

RECENT_BATCHES = 11
"""Number of recent batches whose median predicts how long one takes.

A few slow ones, such as those that waited for a hung replica, cause no refusals.
"""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Sizes of batches and of the queue of one environment, and of what it takes besides."""

    batch_mails: int
    bulk_mails: int
    batch_bytes: int
    batches_in_flight: int
    outstanding_mails: int
    outstanding_bytes: int
    deadline_seconds: float
    queue_seconds: float
    linger_seconds: float
    arriving_bytes: int
    explains: int

    @classmethod
    def of(cls, settings: GatewaySettings) -> "QueueLimits":
        """Return the limits from the settings.

        Without coalescing, each request is a batch and none waits for another.
        """
        return cls(
            batch_mails=settings.max_batch_mails if settings.coalescing else 1,
            bulk_mails=settings.max_bulk_mails,
            batch_bytes=settings.max_batch_bytes,
            batches_in_flight=settings.max_batches_in_flight if settings.coalescing else settings.max_queued_mails,
            outstanding_mails=settings.max_queued_mails,
            outstanding_bytes=settings.max_queued_bytes,
            deadline_seconds=settings.deadline_seconds,
            queue_seconds=settings.max_queue_seconds,
            linger_seconds=settings.linger_seconds if settings.coalescing else 0,
            arriving_bytes=settings.max_arriving_bytes,
            explains=settings.max_explains,
        )


class Job:
    """Mails that stay together: the mail of a predict request, or a piece of a batch-predict request.

    Args:
        mails: One or more.
        size: Bytes of all of them.
        future: Completed with their answer.
        arrived: Time of arrival, on the caller's clock.
        span: Span of their request, if it is sampled.
    """

    __slots__ = ("arrived", "batch_id", "future", "lane", "mails", "settled", "size", "span")

    def __init__(
        self,
        mails: Sequence[Mail],
        size: int,
        future: asyncio.Future[Verdicts],
        arrived: float,
        span: Span | None = None,
    ) -> None:
        self.mails = mails
        self.size = size
        self.lane: deque[Job] | None = None
        """The lane it waits in; None once it has left."""
        self.future = future
        self.settled = False
        self.span = span
        self.batch_id = ""
        """Id of the last batch that it was sent in."""
        self.arrived = arrived


class Queue:
    """Jobs of one environment, from their arrival until they are settled.

    Two lanes take turns when both have mail, so a request of a thousand mails does not delay single ones. Methods that
    take `slots` need the number of batches that may be under way at a time.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._singles: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._late: deque[Job] = deque()
        """Jobs whose clients may have gone; they are sent when no others wait."""
        self._waiting: dict[asyncio.Future[Verdicts], Job] = {}
        self._doubted: dict[asyncio.Future[Verdicts], Job] = {}
        """Waiting jobs, in any lane, whose clients may have gone."""
        self._bulk_is_next = False
        self._by_arrival: deque[Job] = deque()
        self._recent_seconds = deque([0.0] * RECENT_BATCHES, RECENT_BATCHES)
        self._batch_seconds = 0.0
        """Median seconds that recent batches took, failed ones included."""
        self.waiting_mails = 0
        """Number of mails that wait for a batch."""
        self.outstanding_mails = 0
        """Number of mails that wait or are under way."""
        self.outstanding_bytes = 0
        """Bytes of those mails."""
        self.last_single = -math.inf
        """When the last request of one mail arrived, on the callers' clock."""
        self.expected_mails = 0
        """Number of mails whose heads have arrived, and for which room is reserved."""

    def has_room(self, slots: int, mails: int = 1, size: int = 0) -> bool:
        """Return whether a request of so many mails and bytes fits, and would not wait too long."""
        limits = self._limits
        return (
            self.outstanding_mails + self.expected_mails < limits.outstanding_mails
            and self.outstanding_mails + mails <= limits.outstanding_mails
            # An empty mail needs room too.
            and self.outstanding_bytes + (size or 1) <= limits.outstanding_bytes
            and self._waiting_batches(slots) * self._batch_seconds <= limits.queue_seconds * slots
        )

    def pieces(self, mails: Sequence[Mail], sizes: Sequence[int]) -> list[tuple[Sequence[Mail], int]]:
        """Split a request's mails into pieces that fit a batch; return each piece and its bytes."""
        if len(mails) == 1:
            return [(mails, sizes[0])]
        pieces, start, size = [], 0, 0
        for i, more in enumerate(sizes):
            full = i - start == self._limits.bulk_mails or size + more > self._limits.batch_bytes
            if i > start and full:
                pieces.append((mails[start:i], size))
                start, size = i, 0
            size += more
        return [*pieces, (mails[start:], size)]

    def add(self, job: Job, is_single: bool) -> None:
        """Queue a job: the mail of a request of one, or a piece of a larger request."""
        if is_single:
            self.last_single = job.arrived
        job.lane = self._singles if is_single else self._bulk
        job.lane.append(job)
        self._waiting[job.future] = job
        self._by_arrival.append(job)
        self.outstanding_mails += len(job.mails)
        self.outstanding_bytes += job.size
        self.waiting_mails += len(job.mails)

    def take(self, slots: int) -> list[Job]:
        """Return the next batch, from the lane whose turn it is, or an empty list if nothing waits."""
        batch: list[Job] = []
        mails = size = 0
        self._drop_gone()
        limit = self._batch_limit(slots)
        lane = self._bulk if self._bulk and (self._bulk_is_next or not self._singles) else self._singles
        self._bulk_is_next = lane is self._singles
        lane = lane or self._late
        while lane:
            job = lane[0]
            mails, size = mails + len(job.mails), size + job.size
            if batch and (mails > limit or size > self._limits.batch_bytes):
                break
            self._leave_lane(job)
            batch.append(job)
            self._drop_gone()
        return batch

    def release(self, job: Job) -> bool:
        """Give a job's room back; return False if that was done before, so that a job has one outcome."""
        if job.settled:
            return False
        job.settled = True
        self.outstanding_mails -= len(job.mails)
        self.outstanding_bytes -= job.size
        while self._by_arrival and self._by_arrival[0].settled:
            self._by_arrival.popleft()
        return True

    def doubt(self, futures: Sequence[asyncio.Future[Verdicts]]) -> None:
        """Serve these jobs last, as far as they still wait: their clients may have gone."""
        self._doubted |= {future: self._waiting[future] for future in futures if future in self._waiting}

    def doubted(self) -> list[asyncio.Future[Verdicts]]:
        """Return the futures of waiting jobs whose clients may have gone, and doubt them no longer."""
        if not self._doubted:
            return []
        doubted = list(self._doubted)
        self._doubted.clear()
        return doubted

    @property
    def oldest(self) -> float | None:
        """Return when the oldest job arrived, or None if there is none."""
        return self._by_arrival[0].arrived if self._by_arrival else None

    def expired(self, now: float) -> Iterator[tuple[Job, bool]]:
        """Yield the jobs whose deadline has passed, and whether each still waited; it waits no longer."""
        while self._by_arrival and self._by_arrival[0].arrived + self._limits.deadline_seconds <= now:
            job = self._by_arrival.popleft()
            waited = job.lane is not None
            if waited:
                # All jobs have the same deadline, so an expired job is at the head of its lane unless it was deferred.
                self._leave_lane(job)
            yield job, waited

    def note_batch(self, seconds: float) -> None:
        """Remember how long a batch took, for the estimate of how long mail would wait."""
        self._recent_seconds.append(seconds)
        self._batch_seconds = sorted(self._recent_seconds)[RECENT_BATCHES // 2]

    def _waiting_batches(self, slots: int) -> float:
        """Return how many batches wait. Each piece of a batch-predict request is one, however many mails it has."""
        return (len(self._singles) + self.expected_mails) / self._batch_limit(slots) + len(self._bulk)

    def _batch_limit(self, slots: int) -> int:
        """Return how many mails a batch of several requests may have."""
        limits = self._limits
        is_deep = len(self._singles) > limits.bulk_mails * slots
        return max(limits.bulk_mails, limits.batch_mails) if is_deep else limits.batch_mails

    def _drop_gone(self) -> None:
        """Drop jobs at the head of a lane whose clients have gone, and defer those whose clients may have."""
        for lane in (self._singles, self._bulk, self._late):
            while lane and lane[0].future.done():
                job = lane[0]
                self._leave_lane(job)
                self.release(job)
            if self._doubted and lane is not self._late:
                self._defer_doubted(lane)

    def _defer_doubted(self, lane: deque[Job]) -> None:
        while lane and lane[0].future in self._doubted:
            job = lane.popleft()
            job.lane = self._late
            self._late.append(job)

    def _leave_lane(self, job: Job) -> None:
        lane = job.lane
        assert lane is not None
        if lane[0] is job:
            lane.popleft()
        else:
            lane.remove(job)
        job.lane = None
        self._waiting.pop(job.future, None)
        self._doubted.pop(job.future, None)
        self.waiting_mails -= len(job.mails)
