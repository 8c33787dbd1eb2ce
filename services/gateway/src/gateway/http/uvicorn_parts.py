"""Parts that stand between uvicorn's protocol and this gateway's connections."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from gateway.http.framing import RequestStream
from gateway.http.heads import Head

ANSWERED: Any = SimpleNamespace(
    response_started=True, response_complete=True, scope={"extensions": {}}, message_event=asyncio.Event()
)
"""Stands for uvicorn's request state if a request was answered without the application."""


class Flow(FlowControl):
    """uvicorn's flow control, which also stops reading while a stream holds unparsed requests."""

    def __init__(self, transport: asyncio.Transport, stream: RequestStream) -> None:
        super().__init__(transport)
        self._stream = stream

    def resume_reading(self) -> None:
        """Resume reading, unless requests wait."""
        if not self._stream.held:
            super().resume_reading()


class HeadView:
    """View of a head with the parser methods that uvicorn's protocol calls."""

    head: Head

    def get_http_version(self) -> str:
        """Return the HTTP version."""
        return self.head.version

    def get_method(self) -> bytes:
        """Return the method."""
        return self.head.method

    def should_keep_alive(self) -> bool:
        """Return whether the connection stays open after the answer."""
        return self.head.keep_alive

    def should_upgrade(self) -> bool:
        """Return False: no other protocol is supported."""
        return False


class CycleTransport:
    """Transport for uvicorn's request state; closing it ends the connection in order."""

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = finish
