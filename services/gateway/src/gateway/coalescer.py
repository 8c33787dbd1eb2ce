"""Requests that wait share a batch; a request that finds a free slot leaves at once.

A hop costs the same for one mail as for thirty, and the model costs a quarter a mail in a batch of
thirty-two. So at most a few batches of an environment are under way at once, and what arrives
meanwhile leaves together when one returns. With nothing under way, a request departs in the same
turn of the event loop; under load, a batch that would be small lingers for a moment. Where more waits
than fits all batches, it waits for longer than any batch takes, and batches are as large as those of
large requests: the gateway, busy with refusals, then turns to fewer of them.
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
"""Batches whose median says how long one takes: those few that waited for a replica that hung refuse nobody."""
ANSWERED_AT_ONCE = 16
"""Requests of a batch larger than others that are answered in one turn of the event loop: what arrives meanwhile, above
all for another environment, waits for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of batches and of the queue, for one environment."""

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
        """The settings' limits; without coalescing each request is a batch, and none waits for another."""
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
    """Mails that stay together: one mail of a predict request, or a piece of a batch-predict request."""

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
        """Where it waits; None once it has left."""
        self.future = future
        self.settled = False
        self.span = span
        """Its request's, if that is sampled."""
        self.batch_id = ""
        """Of the batch that it left with last."""
        self.arrived = monotonic()


class Coalescer:
    """The queue and the batches under way of one environment.

    Two lanes take turns when both wait, so that a request of a thousand mails does not hold up
    those of one.
    """

    def __init__(self, client: TransformerClient, limits: Limits) -> None:
        self.environment = client.environment
        self._client = client
        self._limits = limits
        self._singles: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._late: deque[Job] = deque()
        """Those of clients that may have gone: their turn comes when no others wait."""
        self._waiting: dict[asyncio.Future[Answer], Job] = {}
        self._doubted: dict[asyncio.Future[Answer], Job] = {}
        """Of those that wait, the ones whose clients may have gone, in whichever lane they are."""
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
        """How long recent batches took, whatever became of them: their median."""
        self._observe()

    @property
    def client(self) -> TransformerClient:
        """The environment's transformer, for requests that share no batch."""
        return self._client

    def submit(
        self, mails: Sequence[Mail], sizes: Sequence[int], span: Span | None = None
    ) -> list[asyncio.Future[Answer]]:
        """Queue the mails of one request.

        Args:
            mails: One or more.
            sizes: Bytes of each mail.
            span: The request's, if it is sampled.

        Returns:
            One future for each piece that the request was split into, in order; each fails with
            a `Problem` when its piece does or its deadline passes.

        Raises:
            Problem: There is no room (503).
        """
        self._admit(len(mails), sum(sizes))
        lane = self._singles if len(mails) == 1 else self._bulk
        return [self._enqueue(lane, piece, size, span) for piece, size in self._pieces(mails, sizes)]

    def count(self, prediction: str, probability: float) -> None:
        """Count an answered mail by its verdict and its spam probability."""
        if prediction not in self._predictions:
            self._predictions[prediction] = metrics.PREDICTIONS.labels(self.environment, prediction)
        self._predictions[prediction].inc()
        self._spam_probability.observe(probability)

    @property
    def full(self) -> bool:
        """Whether there is no room for a single mail, or it would wait too long."""
        limits = self._limits
        return (
            self._outstanding_mails + self._expected >= limits.outstanding_mails
            or self._outstanding_bytes >= limits.outstanding_bytes
            or self._queued_batches * self._batch_seconds > limits.queue_seconds * self._slots
        )

    @property
    def _queued_batches(self) -> float:
        """A piece of a batch-predict request is a batch of its own, however many mails it has."""
        return (len(self._singles) + self._expected) / self._batch_limit + len(self._bulk)

    @property
    def _batch_limit(self) -> int:
        """How many mails a batch of several requests may have."""
        limits = self._limits
        is_deep = len(self._singles) > limits.bulk_mails * self._slots
        return max(limits.bulk_mails, limits.batch_mails) if is_deep else limits.batch_mails

    @property
    def busy(self) -> bool:
        """Whether mail waits for a batch, or would: all that may be under way are."""
        return self._queued_mails > 0 or self._in_flight >= self._slots

    def expect(self) -> None:
        """Keep room for a mail whose head is there, until the turn of the event loop in which it may be queued.

        In a flood hundreds of heads come in one turn: if each saw the room that is left, most of them would be
        refused only once they have been read and parsed, for many times as much.
        """
        if not self._expected:
            asyncio.get_running_loop().call_soon(self._expect_none)
        self._expected += 1

    def _expect_none(self) -> None:
        self._expected = 0

    def count_refused(self, mails: int = 1) -> None:
        """Count mails for which there was no room; mail of clients that may have gone gives up its own."""
        self._refused_mails.inc(mails)
        for future in self._doubted:
            if not future.done():
                future.set_exception(problems.overloaded(self.environment))
        self._doubted.clear()

    def doubt(self, futures: Sequence[asyncio.Future[Answer]]) -> None:
        """Serve these after all others: their clients have ended their side of the connection.

        Such a client has gone, or has only asked all that it wanted to and waits for its answer. Both look the same
        until the answer is written.
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
        """Send what waits, and linger no more."""
        if self._lingers and self._due is not None:
            self._due.cancel()
            self._due, self._lingers = None, False
        # Not at once: what arrives in the same turn of the event loop shares the batch.
        if self._due is None:
            self._due = asyncio.create_task(self._pump())

    def _linger(self) -> None:
        """After a batch has returned with others still under way: wait for the clients it has just answered.

        They are about to ask again, and a batch without them would be small. Whoever finds
        nothing under way, or fills a batch, never waits.
        """
        if self._due is not None:
            self._due.cancel()
        self._lingers = True
        self._due = asyncio.get_running_loop().call_later(self._limits.linger_seconds, self._pump_soon)

    async def _pump(self) -> None:
        """Take a batch, if one more may be under way, and see it through: a task of its own would cost it a turn."""
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
        """The next batch, from the lane whose turn it is, of mails whose clients are there; empty when none waits."""
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
        """Let go of what is next in a lane and whose client has gone; it is late if the client only may have."""
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
            # Else a gateway that was stopped for seconds would take its queue for that slow, and refuse what waited.
            if not self._pauses.any_since(now):
                self._recent_seconds.append(monotonic() - now)
                self._batch_seconds = sorted(self._recent_seconds)[RECENT_BATCHES // 2]
            # Whatever happened, nobody is left waiting and no room is lost.
            for job in batch:
                if not job.settled:
                    self._settle(job, problems.upstream_failed(self.environment, "the batch could not be sent"))

    async def _send(self, batch: list[Job]) -> None:
        """Send a batch; one that is refused is halved until the mail at fault stands alone."""
        mails = [mail for job in batch for mail in job.mails]
        self._batch_mails.observe(len(mails))
        started = monotonic()
        oldest, left = (job.arrived + self._limits.deadline_seconds - started for job in (batch[0], batch[-1]))
        # So that the oldest is told which hop was slow; not where that would cost the newest most of its time.
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
        """Answer the requests of a batch; while it takes more than a turn, another batch may be under way."""
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
        """Give a job its one outcome; a later one is ignored, as for a mail whose deadline has passed."""
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
            # In the log line of the request: by it, hops behind say what has happened.
            outcome.batch_id = job.batch_id
            job.future.set_exception(outcome)

    def _expire(self) -> None:
        """Answer for the oldest jobs, whose deadline has passed, wherever they are."""
        deadline = self._limits.deadline_seconds
        while self._by_arrival and self._by_arrival[0].arrived + deadline <= monotonic():
            job = self._by_arrival.popleft()
            self._expired_mails.inc(len(job.mails))
            reason = "the transformer did not answer"
            if job.lane is not None:
                reason = "the transformer, busy with the mails before, was not free"
                # One deadline for all: what has expired in a lane is at its head, but for mail that was deferred.
                self._leave_lane(job)
                traces.waited(_sampled([job]), monotonic())
            self._settle(job, problems.upstream_slow(self.environment, deadline, reason))
        self._expiry = None
        if self._by_arrival:
            left = self._by_arrival[0].arrived + deadline - monotonic()
            self._expiry = asyncio.get_running_loop().call_later(max(left, 0), self._expire)

    def _observe(self) -> None:
        """Look the metrics' children up once; gauges read the counts when they are scraped.

        Counters are there from the start: Prometheus sees no increase in a series that begins with its first event.
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
    """Spans and times of arrival of a batch's sampled requests."""
    return [(job.span, job.arrived) for job in batch if job.span is not None]
