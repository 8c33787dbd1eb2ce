"""Flow control of one connection: when to read from its client, and when to wait before writing to it."""

import asyncio

from httpserver.framing import RequestStream


class Flow:
    """Flow control of one connection.

    Args:
        transport: The connection's transport.
        stream: Its requests; while unparsed ones wait, nothing more is read.
    """

    __slots__ = ("_can_write", "_stream", "_transport", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport, stream: RequestStream) -> None:
        self._transport = transport
        self._stream = stream
        self._can_write: asyncio.Event | None = None
        self.read_paused = self.write_paused = False

    def pause_reading(self) -> None:
        """Read nothing more for now."""
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again, unless requests wait."""
        if self.read_paused and not self._stream.held:
            self.read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Let writers wait: the client does not read."""
        self.write_paused = True
        self._can_write = self._can_write or asyncio.Event()
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self.write_paused = False
        if self._can_write is not None:
            self._can_write.set()

    async def drain(self) -> None:
        """Return once writing may go on."""
        if self.write_paused and self._can_write is not None:
            await self._can_write.wait()
