"""Shadow: a share of production's mail, once answered, is also sent to the candidate, and both answers are compared.

Nothing waits for the shadow and nothing fails with it:

- Its queue is bounded; when it is full, the newest mail is dropped.
- A batch leaves only when both production and the candidate could send one more batch of mail, and no faster than
  `MAILS_PER_SECOND`.
- One batch is under way at a time, so a hanging candidate holds no more than that batch and the queue.
- A batch that could not be sent is sent again later, so a restart of the candidate loses nothing. A mail that arrives
  twice has one row in the transformer's log, by request id and position.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from time import monotonic
from typing import Protocol

from gateway import problems
from gateway.experiments.comparison import Comparison, Piece, parts
from gateway.experiments.shares import in_share
from gateway.metrics import ShadowMetrics
from gateway.predictions.mails import Mail, Verdicts
from gateway.predictions.transformer_client import BatchRefused, TransformerClient
from gateway.settings import MIB, GatewaySettings

log = logging.getLogger("gateway")

BATCH_BYTES = MIB
"""Bytes of a batch; encoding more would block the event loop for milliseconds."""
GATHER_SECONDS = 0.2
"""Seconds that a batch that is not full waits for more mail: large batches cost the gateway least."""
YIELD_SECONDS = 0.005
"""Seconds until the shadow checks again whether anybody is busy."""
MAILS_PER_SECOND = 500
"""Mails a second that one gateway shadows, for two hundredths of a core; a gateway at its limit has little to spare."""
ALIKE_SECONDS = 0.5
"""Seconds between batches that are as large as production's were, so that their times can be compared."""
RETRY_SECONDS = (0.25, 5.0)
"""Seconds to wait after a batch could not be sent: the first pause, doubled each time up to the second figure."""
LONGEST_SECONDS = 60.0
"""Seconds after which a mail that could not be compared counts as failed."""


class Busy(Protocol):
    """A queue whose mail goes before the shadow's."""

    @property
    def busy(self) -> bool:
        """Return whether mail waits for a batch, or would."""


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """Limits of batches, and of mail that waits or is under way."""

    batch_mails: int
    mails: int
    size: int
    """Bytes that may wait or be under way."""
    timeout_seconds: float

    @classmethod
    def of(cls, settings: GatewaySettings) -> "ShadowLimits":
        """Return the limits from the settings."""
        return cls(
            batch_mails=settings.max_bulk_mails,
            mails=settings.shadow_max_mails,
            size=settings.shadow_max_bytes,
            timeout_seconds=settings.deadline_seconds,
        )


class ShadowQueue:
    """The candidate's queue of mails that production has answered.

    Args:
        client: The candidate's transformer, on a client of the shadow's own that keeps failures apart.
        limits: Limits of the queue.
        share: Share of production's requests, 0 to 1.
        before: Queues whose mail goes first.
        comparison: Counts both answers.
        metrics: Metrics of the shadow.
    """

    def __init__(
        self,
        client: TransformerClient,
        limits: ShadowLimits,
        share: float,
        before: Sequence[Busy],
        comparison: Comparison,
        metrics: ShadowMetrics,
    ) -> None:
        self._client = client
        self._limits = limits
        self._share = share
        self._before = before
        self._comparison = comparison
        self._queue: deque[Piece] = deque()
        self._mails = self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._gathers = False
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._pause = RETRY_SECONDS[0]
        self._alike_due = self._next = monotonic()
        self._numbers = count(1)
        self._counters = {outcome: metrics.mails.labels(outcome) for outcome in metrics.OUTCOMES}
        self._counts = dict.fromkeys(metrics.OUTCOMES, 0)
        metrics.queued_mails.set_function(lambda: self._mails)

    def offer(self, mails: Sequence[Mail], sizes: Sequence[int], answers: Sequence[Verdicts]) -> None:
        """Queue the mails of an answered request, if it is in the share and there is room.

        Args:
            mails: Mails of one request.
            sizes: Bytes of each mail.
            answers: Production's answers; together they cover all mails in order.
        """
        if self._share < 1 and not in_share(mails[0].request_id, self._share, b"shadow"):
            return
        if len(answers) == 1:
            self._add(mails, sizes, answers[0], 0)
        else:
            self._add_each(mails, sizes, answers)
        if self._running is None and self._queue:
            self._gather()

    def _add_each(self, mails: Sequence[Mail], sizes: Sequence[int], answers: Sequence[Verdicts]) -> None:
        start = 0
        for answer in answers:
            end = start + len(answer.predictions)
            self._add(mails[start:end], sizes[start:end], answer, start)
            start = end

    async def close(self, seconds: float) -> None:
        """Send waiting mail for at most this many seconds and drop the rest. Offer nothing afterwards."""
        self._closing = True
        self._look_no_more()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._queue or self._running:
                    if self._running is None:
                        self._look_in(0)
                    await asyncio.sleep(YIELD_SECONDS)
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        self._look_no_more()
        self._count("dropped", self._mails)
        self._queue.clear()
        self._mails = self._size = 0
        log.info("shadow ended", extra={f"{outcome}_mails": mails for outcome, mails in self._counts.items()})

    def _add(self, mails: Sequence[Mail], sizes: Sequence[int], answer: Verdicts, first: int) -> None:
        size = sizes[0] if len(sizes) == 1 else sum(sizes)
        if self._mails + len(mails) > self._limits.mails or self._size + size > self._limits.size:
            self._count("dropped", len(mails))
            return
        self._mails += len(mails)
        self._size += size
        self._queue.append(Piece(mails, sizes, answer, first, size, monotonic()))

    def _gather(self) -> None:
        """Schedule the next batch: soon if it is full, else after a while."""
        full = self._mails >= self._limits.batch_mails
        if self._gathers and full:
            self._look_no_more()
        if self._timer is None:
            self._look_in(max(self._next - monotonic(), YIELD_SECONDS if full else GATHER_SECONDS))
            self._gathers = not full

    def _look_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._pump)

    def _look_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathers = False

    def _pump(self) -> None:
        self._timer, self._gathers = None, False
        self._give_up_old()
        if not self._queue:
            return
        if not self._closing and any(each.busy for each in self._before):
            self._look_in(YIELD_SECONDS)
            return
        self._running = asyncio.create_task(self._run(self._take()), name="shadow")
        self._running.add_done_callback(self._finished)

    def _take(self) -> list[Piece]:
        batch: list[Piece] = []
        mails = size = 0
        most = self._most_mails()
        while self._queue:
            piece = self._queue[0]
            mails, size = mails + len(piece.mails), size + piece.size
            if batch and (mails > most or size > BATCH_BYTES):
                break
            batch.append(self._queue.popleft())
        sent = sum(len(piece.mails) for piece in batch)
        # Make up for time in which nothing could leave, but only for `GATHER_SECONDS`.
        self._next = max(self._next, monotonic() - GATHER_SECONDS) + sent / MAILS_PER_SECOND
        return batch

    def _most_mails(self) -> int:
        """Return the next batch's size: now and then production's, whose mails are adjacent in the queue."""
        alike, now = self._queue[0].answer.batch_mails, monotonic()
        if not alike or now < self._alike_due:
            return self._limits.batch_mails
        self._alike_due = now + ALIKE_SECONDS
        return min(alike, self._limits.batch_mails)

    def _finished(self, _: asyncio.Task[None]) -> None:
        self._running = None
        if self._pause > RETRY_SECONDS[0]:
            self._look_in(self._pause)
        elif self._queue:
            self._gather()

    async def _run(self, batch: list[Piece]) -> None:
        """Compare a batch. Mails without an outcome go back to the head of the queue."""
        left = deque([batch])
        try:
            while left:
                await self._send(left)
            self._pause = RETRY_SECONDS[0]
        except problems.Problem as problem:
            self._pause = min(2 * self._pause, RETRY_SECONDS[1])
            log.info("shadow waits", extra={"reason": problem.detail, "mails": self._mails})
        except Exception:
            # A bug in this code: the same mails would meet it again.
            log.exception("shadow failed")
            self._leave([piece for pieces in left for piece in pieces], "failed")
            left.clear()
        finally:
            self._queue.extendleft(piece for pieces in reversed(left) for piece in reversed(pieces))

    async def _send(self, left: "deque[list[Piece]]") -> None:
        """Send the first of the batches. If it is refused, halve it until the mail at fault stands alone."""
        batch = left[0]
        started = monotonic()
        try:
            answer = await self._client.shadow(batch, self._batch_id(batch), self._limits.timeout_seconds)
        except BatchRefused:
            left.popleft()
            left.extendleft(reversed(self._isolated(batch)))
            return
        left.popleft()
        answer = replace(answer, seconds=monotonic() - started)
        for piece, own in zip(batch, parts(answer, (len(piece.mails) for piece in batch)), strict=True):
            self._comparison.add(piece.answer, own)
        self._leave(batch, "compared")

    def _isolated(self, batch: list[Piece]) -> list[list[Piece]]:
        if len(batch) > 1:
            middle = len(batch) // 2
            return [batch[:middle], batch[middle:]]
        if len(batch[0].mails) > 1:
            return [[half] for half in batch[0].halves()]
        self._leave(batch, "failed")
        return []

    def _give_up_old(self) -> None:
        """Fail the mails that have waited too long; the oldest are at the head of the queue."""
        latest = monotonic() - LONGEST_SECONDS
        while self._queue and self._queue[0].since < latest:
            self._leave([self._queue.popleft()], "failed")

    def _leave(self, pieces: Sequence[Piece], outcome: str) -> None:
        mails = sum(len(piece.mails) for piece in pieces)
        self._mails -= mails
        self._size -= sum(piece.size for piece in pieces)
        self._count(outcome, mails)

    def _count(self, outcome: str, mails: int) -> None:
        self._counters[outcome].inc(mails)
        self._counts[outcome] += mails

    def _batch_id(self, batch: list[Piece]) -> str:
        return f"shadow-{next(self._numbers)}-{batch[0].mails[0].request_id}"
