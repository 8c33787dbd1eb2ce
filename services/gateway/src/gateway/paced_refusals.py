"""Refusals, so many in each turn of the event loop, whoever asks and however often.

Who is refused asks again, and a turn that refuses more serves no more mail. Without a limit turns become longer and
longer in a large flood, the more so since libuv goes on asking for events, up to 48 times, while it gets 1,024 of them.
"""

import asyncio
from collections import OrderedDict

REFUSED_IN_A_TURN = 128
"""Of all connections together: milliseconds of work, beside the mail that is served in the same turn."""


class PacedRefusals:
    """Writes the refusals of all connections of a server."""

    def __init__(self) -> None:
        self._written = 0
        self._waiting: OrderedDict[asyncio.Transport, bytes] = OrderedDict()

    def write(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Answer one request with these bytes, now or in a turn to come."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._next_turn)
        if self._written < REFUSED_IN_A_TURN:
            self._written += 1
            transport.write(answer)
        else:
            self._waiting[transport] = answer

    def flush(self, transport: asyncio.Transport) -> None:
        """Write what waits for this connection: it is to end, or has asked again."""
        answer = self._waiting.pop(transport, None)
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
