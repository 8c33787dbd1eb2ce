"""Coalescer: requests that wait share a batch, and a request that finds a free slot leaves at once.

A hop costs the same for one mail as for thirty. In a batch of thirty-two, a mail costs the model a quarter of what it
does alone. So only a few batches of an environment are under way at a time, and mail that arrives meanwhile leaves
together when one returns. An idle coalescer sends a request in the same turn of the event loop. Under load, a small
batch lingers for a moment.

When the queue is deep, mail waits longer than any batch takes, so batches may be as large as those of large requests. A
gateway busy with refusals then has fewer batches to handle.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic

from gateway import problems
from gateway.metrics import EnvironmentMetrics
from gateway.predictions import batch_spans
from gateway.predictions.admission import Admission
from gateway.predictions.mails import Mail, Verdicts
from gateway.predictions.queue import Job, Queue, QueueLimits
from gateway.predictions.transformer_client import BatchRefused, TransformerClient
from runtime.pauses import Pauses
from runtime.tracing import Span

ANSWERED_AT_ONCE = 16
"""Requests of an extra-large batch that are answered in one turn of the event loop.

Whatever arrives meanwhile, for other environments too, waits for that turn to end.
"""


class Coalescer:
    """Dispatch of one environment's queue: sends batches, and gives each request its outcome."""

    def __init__(
        self,
        client: TransformerClient,
        queue: Queue,
        admission: Admission,
        limits: QueueLimits,
        slots: Callable[[], int],
        metrics: EnvironmentMetrics,
    ) -> None:
        self._environment = client.environment
        self.admission = admission
        self._slots = slots
        self._client = client
        self._limits = limits
        self._queue = queue
        self._expiry: asyncio.TimerHandle | None = None
        self._due: asyncio.Task[None] | asyncio.TimerHandle | None = None
        self._lingers = False
        self._running: set[asyncio.Task[None]] = set()
        self._answering = 0
        self._batch_numbers = count(1)
        self._pauses = Pauses()
        self._observe(metrics)

    def submit(
        self, mails: Sequence[Mail], sizes: Sequence[int], span: Span | None = None
    ) -> list[asyncio.Future[Verdicts]]:
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
        self.admission.admit(len(mails), sum(sizes))
        is_single = len(mails) == 1
        return [self._enqueue(piece, size, is_single, span) for piece, size in self._queue.pieces(mails, sizes)]

    @property
    def busy(self) -> bool:
        """Return whether mail waits for a batch, or would wait because all slots are taken."""
        return self._queue.waiting_mails > 0 or self._in_flight >= self._slots()

    @property
    def last_single(self) -> float:
        """Return when the last request of one mail arrived, on the clock of `monotonic`; minus infinity for none."""
        return self._queue.last_single

    def doubt(self, futures: Sequence[asyncio.Future[Verdicts]]) -> None:
        """Serve these jobs last: their clients have closed their side of the connection.

        Such a client has either gone, or has sent its last request and waits for the answer. Both look the same until
        the answer is written.
        """
        self._queue.doubt(futures)

    @property
    def _in_flight(self) -> int:
        return len(self._running) - self._answering

    def _enqueue(
        self, mails: Sequence[Mail], size: int, is_single: bool, span: Span | None
    ) -> asyncio.Future[Verdicts]:
        loop = asyncio.get_running_loop()
        job = Job(mails, size, loop.create_future(), monotonic(), span)
        self._queue.add(job, is_single)
        if self._expiry is None:
            self._expiry = loop.call_later(self._limits.deadline_seconds, self._expire)
        if not self._lingers or self._queue.waiting_mails >= self._limits.batch_mails:
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
        if self._in_flight >= self._slots() or not (batch := self._queue.take(self._slots())):
            return
        task = asyncio.current_task()
        assert task
        self._running.add(task)
        if self._queue.waiting_mails and self._in_flight < self._slots():
            self._pump_soon()
        try:
            await self._run(batch)
        finally:
            self._running.discard(task)
            if not self._running:
                self._pauses.rest()
            self._pump_after_batch()

    def _pump_after_batch(self) -> None:
        if self._running and self._queue.waiting_mails < self._limits.batch_mails and self._limits.linger_seconds:
            self._linger()
        else:
            self._pump_soon()

    async def _run(self, batch: list[Job]) -> None:
        now = monotonic()
        for job in batch:
            self._queue_wait.observe(now - job.arrived)
        batch_spans.waited(_sampled(batch), now)
        self._pauses.watch()
        try:
            await self._send(batch)
        finally:
            # After a pause of this process, the measured time would make the queue look slow and refuse what waited.
            if not self._pauses.any_since(now):
                self._queue.note_batch(monotonic() - now)
            # Whatever happened, every request gets an outcome and all room is given back.
            for job in batch:
                if not job.settled:
                    self._settle(job, problems.upstream_failed(self._environment, "the batch could not be sent"))

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

    async def _infer(self, batch: list[Job], mails: Sequence[Mail], left: float) -> Verdicts:
        batch_id = self._batch_id(batch)
        for job in batch:
            job.batch_id = batch_id
        spans = [span for span, _ in _sampled(batch)]
        with batch_spans.batch(spans, self._environment, batch_id, len(mails)) as span:
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

    async def _deliver(self, batch: list[Job], answer: Verdicts, seconds: float) -> None:
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
                own = Verdicts(probabilities, predictions, version, sha256, seconds, mails, threshold)
                self._settle(job, own)
                start = end
        finally:
            self._answering -= 1

    def _settle(self, job: Job, outcome: Verdicts | problems.Problem) -> None:
        """Give a job its one outcome. Later outcomes are ignored, such as an answer after the deadline."""
        if not self._queue.release(job) or job.future.done():
            return
        if isinstance(outcome, Verdicts):
            job.future.set_result(outcome)
        else:
            # The request's log line shows this id, under which the hops behind log what happened.
            outcome.batch_id = job.batch_id
            job.future.set_exception(outcome)

    def _expire(self) -> None:
        """Fail the oldest jobs whose deadline has passed, queued or under way."""
        deadline = self._limits.deadline_seconds
        for job, waited in self._queue.expired(monotonic()):
            self._expired_mails.inc(len(job.mails))
            reason = "the transformer did not answer"
            if waited:
                reason = "the transformer, busy with the mails before, was not free"
                batch_spans.waited(_sampled([job]), monotonic())
            self._settle(job, problems.upstream_slow(self._environment, deadline, reason))
        self._expiry = None
        if (oldest := self._queue.oldest) is not None:
            left = oldest + deadline - monotonic()
            self._expiry = asyncio.get_running_loop().call_later(max(left, 0), self._expire)

    def _observe(self, metrics: EnvironmentMetrics) -> None:
        """Create the environment's metrics; gauges read the counts when they are scraped.

        Counters exist from the start: Prometheus sees no increase in a series that begins with its first event.
        """
        name = self._environment
        self._batch_mails = metrics.batch_mails.labels(name)
        self._expired_mails = metrics.expired_mails.labels(name)
        self._queue_wait = metrics.queue_wait.labels(name)
        self._upstream_seconds = metrics.upstream_seconds.labels(name)
        metrics.queued_mails.labels(name).set_function(lambda: self._queue.waiting_mails)
        metrics.mails_in_flight.labels(name).set_function(
            lambda: self._queue.outstanding_mails - self._queue.waiting_mails
        )
        metrics.batches_in_flight.labels(name).set_function(lambda: self._in_flight)


def _sampled(batch: list[Job]) -> list[tuple[Span, float]]:
    """Return the spans and arrival times of a batch's sampled requests."""
    return [(job.span, job.arrived) for job in batch if job.span is not None]
