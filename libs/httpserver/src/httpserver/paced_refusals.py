"""Paced refusals: a limited number in each turn of the event loop, however many clients ask.

A refused client asks again, and a turn that refuses more serves less mail. In a large flood, turns without a limit
would become longer and longer. libuv makes it worse: while it gets 1,024 events it polls again, up to 48 times.
"""

import asyncio
from collections import OrderedDict

REFUSED_IN_A_TURN = 128
"""Refusals written in one turn, over all connections: a few milliseconds of work beside the mail of that turn."""


class PacedRefusals:
    """Writer of the refusals of all connections of a server."""

    def __init__(self) -> None:
        self._written = 0
        self._waiting: OrderedDict[asyncio.Transport, bytes] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Return how many wait for a later turn."""
        return len(self._waiting)

    def write(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Answer one request with these bytes, in this turn or a later one."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._written < REFUSED_IN_A_TURN:
            self._written += 1
            transport.write(answer)
        else:
            self._waiting[transport] = answer

    def flush(self, transport: asyncio.Transport) -> None:
        """Write this connection's waiting answer: the connection is about to end or has sent another request."""
        answer = self._waiting.pop(transport, None) if self._waiting else None
        if answer is not None and not transport.is_closing():
            transport.write(answer)

    def _next_turn(self) -> None:
        self._written = 0
        while self._waiting and self._written < REFUSED_IN_A_TURN:
            transport, answer = self._waiting.popitem(last=False)
            if not transport.is_closing():
                self._written += 1
                transport.write(answer)
        if self._written:
            asyncio.get_running_loop().call_soon(self._next_turn)
