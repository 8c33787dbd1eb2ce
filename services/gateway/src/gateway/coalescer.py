"""Coalescer: requests that wait share a batch, and a request that finds a free slot leaves at once.

A hop costs the same for one mail as for thirty. In a batch of thirty-two, a mail costs the model a quarter of what it
does alone. So only a few batches of an environment are under way at a time, and mail that arrives meanwhile leaves
together when one returns. An idle coalescer sends a request in the same turn of the event loop. Under load, a small
batch lingers for a moment.

When the queue is deep, mail waits longer than any batch takes, so batches may be as large as those of large requests. A
gateway busy with refusals then has fewer batches to handle.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from time import monotonic

from gateway import metrics, problems, traces
from gateway.pauses import Pauses
from gateway.settings import Settings
from gateway.transformer_client import PREDICTIONS, Answer, BatchRefused, Mail, TransformerClient
from tracing import Span

RECENT_BATCHES = 11
"""Number of recent batches whose median predicts how long one takes.

A few slow ones, such as those that waited for a hung replica, cause no refusals.
"""
ANSWERED_AT_ONCE = 16
"""Requests of an extra-large batch that are answered in one turn of the event loop.

Whatever arrives meanwhile, for other environments too, waits for that turn to end.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of batches and of the queue of one environment."""

    batch_mails: int
    bulk_mails: int
    batch_bytes: int
    batches_in_flight: int
    outstanding_mails: int
    outstanding_bytes: int
    deadline_seconds: float
    queue_seconds: float
    linger_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
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
        )


class Job:
    """Mails that stay together: the mail of a predict request, or a piece of a batch-predict request."""

    __slots__ = ("arrived", "batch_id", "future", "lane", "mails", "settled", "size", "span")

    def __init__(
        self,
        mails: Sequence[Mail],
        size: int,
        lane: "deque[Job]",
        future: asyncio.Future[Answer],
        span: Span | None = None,
    ) -> None:
        self.mails = mails
        self.size = size
        self.lane: deque[Job] | None = lane
        """The lane it waits in; None once it has left."""
        self.future = future
        self.settled = False
        self.span = span
        """Span of its request, if the request is sampled."""
        self.batch_id = ""
        """Id of the last batch that it was sent in."""
        self.arrived = monotonic()


class Coalescer:
    """The queue of one environment and its batches under way.

    Two lanes take turns when both have mail, so a request of a thousand mails does not delay single ones.
    """

    def __init__(self, client: TransformerClient, limits: Limits) -> None:
        self.environment = client.environment
        self._client = client
        self._limits = limits
        self._singles: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._late: deque[Job] = deque()
        """Jobs whose clients may have gone; they are sent when no others wait."""
        self._waiting: dict[asyncio.Future[Answer], Job] = {}
        self._doubted: dict[asyncio.Future[Answer], Job] = {}
        """Waiting jobs, in any lane, whose clients may have gone."""
        self._bulk_is_next = False
        self._by_arrival: deque[Job] = deque()
        self._expiry: asyncio.TimerHandle | None = None
        self._due: asyncio.Task[None] | asyncio.TimerHandle | None = None
        self._lingers = False
        self._running: set[asyncio.Task[None]] = set()
        self._answering = 0
        self._batch_numbers = count(1)
        self._outstanding_mails = self._outstanding_bytes = self._queued_mails = self._expected = 0
        self._pauses = Pauses()
        self._recent_seconds = deque([0.0] * RECENT_BATCHES, RECENT_BATCHES)
        self._batch_seconds = 0.0
        """Median seconds that recent batches took, failed ones included."""
        self._observe()

    @property
    def client(self) -> TransformerClient:
        """Return the client of the environment's transformer, for requests that share no batch."""
        return self._client

    def submit(
        self, mails: Sequence[Mail], sizes: Sequence[int], span: Span | None = None
    ) -> list[asyncio.Future[Answer]]:
        """Queue the mails of one request.

        Args:
            mails: One or more.
            sizes: Bytes of each mail.
            span: Span of the request, if it is sampled.

        Returns:
            One future for each piece of the request, in order. Each fails with a `Problem` when its piece does or its
            deadline passes.

        Raises:
            Problem: 503 if there is no room.
        """
        self._admit(len(mails), sum(sizes))
        lane = self._singles if len(mails) == 1 else self._bulk
        return [self._enqueue(lane, piece, size, span) for piece, size in self._pieces(mails, sizes)]

    def count(self, prediction: str, probability: float) -> None:
        """Count an answered mail by verdict and spam probability."""
        if prediction not in self._predictions:
            self._predictions[prediction] = metrics.PREDICTIONS.labels(self.environment, prediction)
        self._predictions[prediction].inc()
        self._spam_probability.observe(probability)

    @property
    def full(self) -> bool:
        """Return whether there is no room for a single mail, or it would wait too long."""
        limits = self._limits
        return (
            self._outstanding_mails + self._expected >= limits.outstanding_mails
            or self._outstanding_bytes >= limits.outstanding_bytes
            or self._queued_batches * self._batch_seconds > limits.queue_seconds * self._slots
        )

    @property
    def _queued_batches(self) -> float:
        """Return how many batches wait. Each piece of a batch-predict request is one, however many mails it has."""
        return (len(self._singles) + self._expected) / self._batch_limit + len(self._bulk)

    @property
    def _batch_limit(self) -> int:
        """Return how many mails a batch of several requests may have."""
        limits = self._limits
        is_deep = len(self._singles) > limits.bulk_mails * self._slots
        return max(limits.bulk_mails, limits.batch_mails) if is_deep else limits.batch_mails

    @property
    def busy(self) -> bool:
        """Return whether mail waits for a batch, or would wait because all slots are taken."""
        return self._queued_mails > 0 or self._in_flight >= self._slots

    def expect(self) -> None:
        """Reserve room for a mail whose head has arrived, until the turn of the event loop that may queue it.

        In a flood, hundreds of heads arrive in one turn. If each saw the same free room, most would be refused only
        after they were read and parsed, at many times the cost.
        """
        if not self._expected:
            asyncio.get_running_loop().call_soon(self._expect_none)
        self._expected += 1

    def _expect_none(self) -> None:
        self._expected = 0

    def count_refused(self, mails: int = 1) -> None:
        """Count mails refused for lack of room, and drop waiting mails whose clients may have gone."""
        self._refused_mails.inc(mails)
        for future in self._doubted:
            if not future.done():
                future.set_exception(problems.overloaded(self.environment))
        self._doubted.clear()

    def doubt(self, futures: Sequence[asyncio.Future[Answer]]) -> None:
        """Serve these jobs last: their clients have closed their side of the connection.

        Such a client has either gone, or has sent its last request and waits for the answer. Both look the same until
        the answer is written.
        """
        self._doubted |= {future: self._waiting[future] for future in futures if future in self._waiting}

    @property
    def _slots(self) -> int:
        return self._limits.batches_in_flight * self._client.replicas

    @property
    def _in_flight(self) -> int:
        return len(self._running) - self._answering

    def _admit(self, mails: int, size: int) -> None:
        limits = self._limits
        if (
            self.full
            or self._outstanding_mails + mails > limits.outstanding_mails
            or self._outstanding_bytes + size > limits.outstanding_bytes
        ):
            self.count_refused(mails)
            raise problems.overloaded(self.environment)

    def _pieces(self, mails: Sequence[Mail], sizes: Sequence[int]) -> list[tuple[Sequence[Mail], int]]:
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

    def _enqueue(self, lane: deque[Job], mails: Sequence[Mail], size: int, span: Span | None) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        job = Job(mails, size, lane, loop.create_future(), span)
        lane.append(job)
        self._waiting[job.future] = job
        self._by_arrival.append(job)
        self._outstanding_mails += len(mails)
        self._outstanding_bytes += size
        self._queued_mails += len(mails)
        if self._expiry is None:
            self._expiry = loop.call_later(self._limits.deadline_seconds, self._expire)
        if not self._lingers or self._queued_mails >= self._limits.batch_mails:
            self._pump_soon()
        return job.future

    def _pump_soon(self) -> None:
        """Send what waits in the next turn of the event loop, without lingering."""
        if self._lingers and self._due is not None:
            self._due.cancel()
            self._due, self._lingers = None, False
        # Not at once: requests that arrive in the same turn of the event loop share the batch.
        if self._due is None:
            self._due = asyncio.create_task(self._pump())

    def _linger(self) -> None:
        """Wait briefly for the clients that the last batch has just answered.

        They are about to send again, and a batch without them would be small. A request never lingers if no batch is
        under way or if it fills one.
        """
        if self._due is not None:
            self._due.cancel()
        self._lingers = True
        self._due = asyncio.get_running_loop().call_later(self._limits.linger_seconds, self._pump_soon)

    async def _pump(self) -> None:
        """Take a batch if a slot is free and await its end. A separate task would cost it a turn of the event loop."""
        self._due = None
        if self._in_flight >= self._slots or not (batch := self._take()):
            return
        task = asyncio.current_task()
        assert task
        self._running.add(task)
        if self._queued_mails and self._in_flight < self._slots:
            self._pump_soon()
        try:
            await self._run(batch)
        finally:
            self._running.discard(task)
            if not self._running:
                self._pauses.rest()
            self._pump_after_batch()

    def _pump_after_batch(self) -> None:
        if self._running and self._queued_mails < self._limits.batch_mails and self._limits.linger_seconds:
            self._linger()
        else:
            self._pump_soon()

    def _take(self) -> list[Job]:
        """Return the next batch, from the lane whose turn it is, or an empty list if nothing waits."""
        batch: list[Job] = []
        mails = size = 0
        self._drop_gone()
        limit = self._batch_limit
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

    def _drop_gone(self) -> None:
        """Drop jobs at the head of a lane whose clients have gone, and defer those whose clients may have."""
        for lane in (self._singles, self._bulk, self._late):
            while lane and lane[0].future.done():
                job = lane[0]
                self._leave_lane(job)
                self._settle(job, problems.upstream_failed(self.environment, "its client has gone"))
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
        self._queued_mails -= len(job.mails)

    async def _run(self, batch: list[Job]) -> None:
        now = monotonic()
        for job in batch:
            self._queue_wait.observe(now - job.arrived)
        traces.waited(_sampled(batch), now)
        self._pauses.watch()
        try:
            await self._send(batch)
        finally:
            # After a pause of this process, the measured time would make the queue look slow and refuse what waited.
            if not self._pauses.any_since(now):
                self._recent_seconds.append(monotonic() - now)
                self._batch_seconds = sorted(self._recent_seconds)[RECENT_BATCHES // 2]
            # Whatever happened, every request gets an outcome and all room is given back.
            for job in batch:
                if not job.settled:
                    self._settle(job, problems.upstream_failed(self.environment, "the batch could not be sent"))

    async def _send(self, batch: list[Job]) -> None:
        """Send a batch. If it is refused, halve it until the mail at fault stands alone."""
        mails = [mail for job in batch for mail in job.mails]
        self._batch_mails.observe(len(mails))
        started = monotonic()
        oldest, left = (job.arrived + self._limits.deadline_seconds - started for job in (batch[0], batch[-1]))
        # Use the oldest mail's deadline so that its client learns which hop was slow, unless this takes most of the
        # newest mail's time.
        left = oldest if oldest > left / 2 else left
        try:
            answer = await self._infer(batch, mails, max(left, 0.001))
        except BatchRefused as refused:
            await self._isolate(batch, refused)
        except problems.Problem as problem:
            for job in batch:
                self._settle(job, problem)
        else:
            seconds = monotonic() - started
            self._upstream_seconds.observe(seconds)
            await self._deliver(batch, answer, seconds)

    async def _infer(self, batch: list[Job], mails: Sequence[Mail], left: float) -> Answer:
        batch_id = self._batch_id(batch)
        for job in batch:
            job.batch_id = batch_id
        spans = [span for span, _ in _sampled(batch)]
        with traces.batch(spans, self.environment, batch_id, len(mails)) as span:
            return await self._client.infer(mails, batch_id, left, span)

    async def _isolate(self, batch: list[Job], refused: BatchRefused) -> None:
        if len(batch) == 1:
            self._settle(batch[0], refused.problem)
            return
        middle = len(batch) // 2
        await self._send(batch[:middle])
        await self._send(batch[middle:])

    def _batch_id(self, batch: list[Job]) -> str:
        first = batch[0].mails[0].request_id
        return first if len(batch) == 1 else f"batch-{next(self._batch_numbers)}-{first}"

    async def _deliver(self, batch: list[Job], answer: Answer, seconds: float) -> None:
        """Answer the requests of a batch. If this takes more than a turn, another batch may start meanwhile."""
        start, mails = 0, sum(len(job.mails) for job in batch)
        at_once = ANSWERED_AT_ONCE if len(batch) > self._limits.batch_mails else len(batch)
        self._answering += 1
        if len(batch) > at_once:
            self._pump_soon()
        try:
            for n, job in enumerate(batch):
                if n and n % at_once == 0:
                    await asyncio.sleep(0)
                end = start + len(job.mails)
                probabilities, predictions = answer.probabilities[start:end], answer.predictions[start:end]
                version, sha256, threshold = answer.model_version, answer.model_sha256, answer.threshold
                own = Answer(probabilities, predictions, version, sha256, seconds, mails, threshold)
                self._settle(job, own)
                start = end
        finally:
            self._answering -= 1

    def _settle(self, job: Job, outcome: Answer | problems.Problem) -> None:
        """Give a job its one outcome. Later outcomes are ignored, such as an answer after the deadline."""
        if job.settled:
            return
        job.settled = True
        self._outstanding_mails -= len(job.mails)
        self._outstanding_bytes -= job.size
        while self._by_arrival and self._by_arrival[0].settled:
            self._by_arrival.popleft()
        if job.future.done():
            return
        if isinstance(outcome, Answer):
            job.future.set_result(outcome)
        else:
            # The request's log line shows this id, under which the hops behind log what happened.
            outcome.batch_id = job.batch_id
            job.future.set_exception(outcome)

    def _expire(self) -> None:
        """Fail the oldest jobs whose deadline has passed, queued or under way."""
        deadline = self._limits.deadline_seconds
        while self._by_arrival and self._by_arrival[0].arrived + deadline <= monotonic():
            job = self._by_arrival.popleft()
            self._expired_mails.inc(len(job.mails))
            reason = "the transformer did not answer"
            if job.lane is not None:
                reason = "the transformer, busy with the mails before, was not free"
                # All jobs have the same deadline, so an expired job is at the head of its lane unless it was deferred.
                self._leave_lane(job)
                traces.waited(_sampled([job]), monotonic())
            self._settle(job, problems.upstream_slow(self.environment, deadline, reason))
        self._expiry = None
        if self._by_arrival:
            left = self._by_arrival[0].arrived + deadline - monotonic()
            self._expiry = asyncio.get_running_loop().call_later(max(left, 0), self._expire)

    def _observe(self) -> None:
        """Create the environment's metrics; gauges read the counts when they are scraped.

        Counters exist from the start: Prometheus sees no increase in a series that begins with its first event.
        """
        name = self.environment
        self._batch_mails = metrics.BATCH_MAILS.labels(name)
        self._predictions = {each: metrics.PREDICTIONS.labels(name, each) for each in PREDICTIONS}
        self._refused_mails = metrics.REFUSED_MAILS.labels(name)
        self._expired_mails = metrics.EXPIRED_MAILS.labels(name)
        self._spam_probability = metrics.SPAM_PROBABILITY.labels(name)
        self._queue_wait = metrics.QUEUE_WAIT.labels(name)
        self._upstream_seconds = metrics.UPSTREAM_SECONDS.labels(name)
        metrics.QUEUED_MAILS.labels(name).set_function(lambda: self._queued_mails)
        metrics.MAILS_IN_FLIGHT.labels(name).set_function(lambda: self._outstanding_mails - self._queued_mails)
        metrics.BATCHES_IN_FLIGHT.labels(name).set_function(lambda: self._in_flight)


def _sampled(batch: list[Job]) -> list[tuple[Span, float]]:
    """Return the spans and arrival times of a batch's sampled requests."""
    return [(job.span, job.arrived) for job in batch if job.span is not None]
