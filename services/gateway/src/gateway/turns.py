"""Fair turns of the event loop for work that must not keep mail waiting.

Whoever is answered asks again, so work that begins as soon as it is asked for fills the loop's turns for as long as a
flood lasts, and all mail waits for them. Here so much of it is let on in each turn that a turn stays short; kinds of
work take turns with each other, so that a flood of one kind does not delay another.
"""

import asyncio
from collections import OrderedDict, deque
from http import HTTPStatus

from gateway.problems import Problem

REFUSED = "refused"
"""The kind of work that refuses a request."""


class Turns:
    """Lets waiting work go on, so much in each turn of the event loop.

    Args:
        each_turn: Weight of the work that one turn takes, of all kinds together.
        pause_seconds: From one turn that takes work to the next, so that a flood leaves the loop idle in between.
    """

    def __init__(self, each_turn: int, pause_seconds: float = 0) -> None:
        self._each_turn = each_turn
        self._pause_seconds = pause_seconds
        self._taken = 0
        self._waiting: OrderedDict[str, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()

    async def next(self, kind: str, weight: int = 1) -> None:
        """Return at once while this turn has room and nobody waits, else in a turn to come.

        Args:
            kind: Each has a queue of its own, for as long as somebody waits in it.
            weight: Of the work that follows; heavier work than a turn takes has a turn to itself.
        """
        if not self._taken:
            self._plan_next_turn()
        if self._taken < self._each_turn and not self._waiting:
            self._taken += weight
            return
        going_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(kind, deque()).append((going_on, weight))
        await going_on

    async def refused(self, problem: Problem) -> None:
        """Wait for a turn to tell a client what it did wrong.

        What failed behind the gateway has waited already, and a crowd that finds no room must learn so at once.
        """
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            await self.next(REFUSED)

    def _next_turn(self) -> None:
        self._taken = 0
        while self._waiting and self._taken < self._each_turn:
            kind, queue = self._waiting.popitem(last=False)
            going_on, weight = queue.popleft()
            if queue:
                # Behind the other kinds.
                self._waiting[kind] = queue
            if not going_on.done():
                going_on.set_result(None)
                self._taken += weight
        if self._taken:
            self._plan_next_turn()

    def _plan_next_turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pause_seconds:
            loop.call_later(self._pause_seconds, self._next_turn)
        else:
            loop.call_soon(self._next_turn)
