"""Turns: fair shares of the event loop for work that must not delay mail.

Clients that are answered send again. If such work started at once, a flood of it would fill the event loop, and all
mail would wait. So only a limited amount starts in each turn of the loop. Kinds of work alternate, so that a flood of
one kind does not delay another.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from http import HTTPStatus

from gateway.problems import Problem

HEAVIEST = 8
"""Weight of the heaviest work; what is heavier counts as this, since nobody should wait long after it."""
REFUSED = "refused"
"""Kind of work that refuses a request."""


class Turns:
    """Scheduler of waiting work: a limited amount in each turn of the event loop.

    Args:
        each_turn: Weight of the work that one turn takes, over all kinds.
        pause_seconds: Seconds from one turn that takes work to the next; the pause leaves the loop free in a flood.
        needs_pause: Returns whether there is anything to leave the loop free for; without, the next turn is the loop's.
    """

    def __init__(
        self, each_turn: int, pause_seconds: float = 0, needs_pause: Callable[[], bool] = lambda: True
    ) -> None:
        self._each_turn = each_turn
        self._pause_seconds = pause_seconds
        self._needs_pause = needs_pause
        self._taken = 0
        self._waiting: OrderedDict[str, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()

    async def next(self, kind: str, weight: int = 1) -> None:
        """Return at once if this turn has room and nobody waits, else in a later turn.

        Args:
            kind: Kind of work; each has its own queue for as long as anybody waits in it.
            weight: Weight of the work that follows; work heavier than a turn's limit takes the next turns too.
        """
        weight = min(weight, HEAVIEST)
        if not self._taken:
            self._plan_next_turn()
        if self._taken < self._each_turn and not self._waiting:
            self._taken += weight
            return
        going_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(kind, deque()).append((going_on, weight))
        await going_on

    async def refused(self, problem: Problem) -> None:
        """Wait for a turn before a client is told what it did wrong.

        Server errors do not wait here: failed requests have waited already, and clients that find no room must learn so
        at once.
        """
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            await self.next(REFUSED)

    def _next_turn(self) -> None:
        self._taken = max(self._taken - self._each_turn, 0)
        while self._waiting and self._taken < self._each_turn:
            kind, queue = self._waiting.popitem(last=False)
            going_on, weight = queue.popleft()
            if queue:
                # Requeue this kind behind the others.
                self._waiting[kind] = queue
            if not going_on.done():
                going_on.set_result(None)
                self._taken += weight
        if self._taken:
            self._plan_next_turn()

    def _plan_next_turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pause_seconds and self._needs_pause():
            loop.call_later(self._pause_seconds, self._next_turn)
        else:
            loop.call_soon(self._next_turn)
