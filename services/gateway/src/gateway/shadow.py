"""A share of production's mail, once it is answered, is sent to the candidate too, and both answers are compared.

Nothing waits for it and nothing fails with it. Its queue is bounded, and when it is full the newest is dropped; it
leaves only at moments when both production and the candidate could send one more batch of mail, and no faster than
`MAILS_PER_SECOND`; one batch is under way at a time, so that a candidate which hangs holds no more than that and the
queue. A batch that could not be sent waits and is sent again, so that a restart of the candidate loses nothing; the
transformer's rows of a mail that arrived twice are one by request id and position.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2s
from itertools import count
from time import monotonic
from typing import Protocol

from gateway import metrics, problems
from gateway.comparison import Comparison, parts
from gateway.settings import MIB, Settings
from gateway.transformer_client import Answer, BatchRefused, Mail, TransformerClient

log = logging.getLogger("gateway")

BATCH_BYTES = MIB
"""Of a batch; encoding more would hold the event loop up for milliseconds."""
GATHER_SECONDS = 0.2
"""How long a batch that is not full waits for more mail: a batch of many costs the gateway least, and nobody waits."""
YIELD_SECONDS = 0.005
"""After this it is looked again whether anybody is busy."""
MAILS_PER_SECOND = 500
"""Of one gateway: two hundredths of a core. One at its limit has little to spare for what nobody waits for."""
ALIKE_SECONDS = 0.5
"""After this a batch has as many mails as production's had: times of batches that differ say nothing of the models."""
RETRY_SECONDS = (0.25, 5.0)
"""Pause after a batch could not be sent; twice as long after each more, up to the second figure."""
LONGEST_SECONDS = 60.0
"""After this a mail that could not be compared has failed."""


class Busy(Protocol):
    """Whose mail goes first."""

    @property
    def busy(self) -> bool:
        """Whether mail waits for a batch, or would."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of batches and of what waits or is under way."""

    batch_mails: int
    mails: int
    size: int
    """In bytes."""
    timeout_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The settings' limits."""
        return cls(
            batch_mails=settings.max_bulk_mails,
            mails=settings.shadow_max_mails,
            size=settings.shadow_max_bytes,
            timeout_seconds=settings.deadline_seconds,
        )


@dataclass(slots=True)
class Piece:
    """Mails of one request that production has answered together."""

    mails: Sequence[Mail]
    sizes: Sequence[int]
    """Bytes of each mail."""
    answer: Answer
    first: int
    """Position of its first mail within the request."""
    size: int
    since: float

    def halves(self) -> "list[Piece]":
        """Itself in two, of two mails or more."""
        middle = len(self.mails) // 2
        answers = parts(self.answer, (middle, len(self.mails) - middle))
        return [
            replace(
                self,
                mails=self.mails[start:end],
                sizes=self.sizes[start:end],
                answer=answer,
                first=self.first + start,
                size=sum(self.sizes[start:end]),
            )
            for answer, start, end in zip(answers, (0, middle), (middle, len(self.mails)), strict=True)
        ]


class Shadow:
    """The candidate's queue of mails that production has answered.

    Args:
        client: The candidate's transformer; one of the shadow's own, so that its failures are nobody else's.
        limits: Of the queue.
        share: Of production's requests, 0 to 1.
        before: Whose mail goes first.
        comparison: Where both answers are counted.
    """

    def __init__(
        self, client: TransformerClient, limits: Limits, share: float, before: Sequence[Busy], comparison: Comparison
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
        self._counters = {outcome: metrics.SHADOW_MAILS.labels(outcome) for outcome in metrics.SHADOW_OUTCOMES}
        self._counts = dict.fromkeys(metrics.SHADOW_OUTCOMES, 0)
        metrics.SHADOW_QUEUED_MAILS.set_function(lambda: self._mails)

    def offer(self, mails: Sequence[Mail], sizes: Sequence[int], answers: Sequence[Answer]) -> None:
        """Take the mails of a request that production has answered, if it is one of the share and there is room.

        Args:
            mails: Of one request.
            sizes: Bytes of each mail.
            answers: Production's, which together are to all mails in their order.
        """
        if self._share < 1 and not in_share(mails[0].request_id, self._share, b"shadow"):
            return
        if len(answers) == 1:
            self._add(mails, sizes, answers[0], 0)
        else:
            self._add_each(mails, sizes, answers)
        if self._running is None and self._queue:
            self._gather()

    def _add_each(self, mails: Sequence[Mail], sizes: Sequence[int], answers: Sequence[Answer]) -> None:
        start = 0
        for answer in answers:
            end = start + len(answer.predictions)
            self._add(mails[start:end], sizes[start:end], answer, start)
            start = end

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long at most; the rest is dropped. Nothing may be offered any more."""
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

    def _add(self, mails: Sequence[Mail], sizes: Sequence[int], answer: Answer, first: int) -> None:
        size = sizes[0] if len(sizes) == 1 else sum(sizes)
        if self._mails + len(mails) > self._limits.mails or self._size + size > self._limits.size:
            self._count("dropped", len(mails))
            return
        self._mails += len(mails)
        self._size += size
        self._queue.append(Piece(mails, sizes, answer, first, size, monotonic()))

    def _gather(self) -> None:
        """See to it that what waits leaves: soon if it is a batch, in a while if it is less."""
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
        # Moments at which it could not leave are made up for, within reason.
        self._next = max(self._next, monotonic() - GATHER_SECONDS) + sent / MAILS_PER_SECOND
        return batch

    def _most_mails(self) -> int:
        """Of the next batch: now and then as many as production's, whose mails are next to each other in the queue."""
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
        """Compare a batch; whatever of it has no outcome in the end goes back to where it came from."""
        left = deque([batch])
        try:
            while left:
                await self._send(left)
            self._pause = RETRY_SECONDS[0]
        except problems.Problem as problem:
            self._pause = min(2 * self._pause, RETRY_SECONDS[1])
            log.info("shadow waits", extra={"reason": problem.detail, "mails": self._mails})
        except Exception:
            # By a fault of ours: the same mails would meet it again.
            log.exception("shadow failed")
            self._leave([piece for pieces in left for piece in pieces], "failed")
            left.clear()
        finally:
            self._queue.extendleft(piece for pieces in reversed(left) for piece in reversed(pieces))

    async def _send(self, left: "deque[list[Piece]]") -> None:
        """Send the first of the batches; one that is refused is halved until the mail at fault stands alone."""
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
        """The oldest are at the head of the queue."""
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


def in_share(name: str, share: float, purpose: bytes) -> bool:
    """Whether a name is within a share of all names: always the same for one purpose, in every process.

    Args:
        name: ASCII.
        share: 0 to 1.
        purpose: Of up to 8 bytes; for another, the share is of other names.
    """
    digest = blake2s(name.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") < share * 2**64
