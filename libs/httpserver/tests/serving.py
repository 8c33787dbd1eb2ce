"""A real server with real connections, and what its application says in refusals."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from httpserver import ConnectionLimits, Connections, Head, RefusalAnswer, RequestRefused, Server


class Hooks:
    """Hooks of an application that refuses only what it is told to."""

    def __init__(self, at_once: Callable[[Head], bytes | None] = lambda head: None) -> None:
        self.at_once = at_once
        self.reasons: Counter[str] = Counter()

    def refusal(self, refused: RequestRefused) -> RefusalAnswer:
        content = {"kind": refused.kind, "detail": refused.detail, **refused.members}
        return RefusalAnswer([(b"content-type", b"application/json")], json.dumps(content).encode())

    def ended(self, reason: str) -> None:
        self.reasons[reason] += 1


class Client:
    """Client with one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *parts: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(parts))

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers in lower case and body of the next answer."""
        async with asyncio.timeout(10):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = text.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, json.loads(body) if "json" in headers.get("content-type", "") else body

    async def rest(self) -> bytes:
        """Return everything that the server sends until it closes."""
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def is_closed(self) -> bool:
        """Return whether the server closes in time without sending more."""
        try:
            return await self.rest() == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    """Open a new connection."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.writer.close()


def head(path: str, *lines: str, method: str = "GET") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: server", *lines, "", ""]).encode()


class Served:
    """A server that runs."""

    def __init__(self, server: Server, connections: Connections, hooks: Hooks) -> None:
        self.server, self.connections, self.hooks = server, connections, hooks

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port


@asynccontextmanager
async def serving(
    app: ASGIApp,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008
    hooks: Hooks | None = None,
    drain_seconds: float = 0,
    host: str = "127.0.0.1",
) -> AsyncIterator[Served]:
    """Serve an application on a port of its own."""
    hooks = hooks or Hooks()
    connections = Connections(limits, hooks)
    config = uvicorn.Config(app, host=host, port=0, http=connections, lifespan="off", log_config=None)  # type: ignore[arg-type]
    server = Server(config, connections, drain_seconds)
    running = asyncio.create_task(server.serve())
    # uvicorn sets them once startup has ended.
    while not server.server_state.default_headers:
        await asyncio.sleep(0)
    try:
        yield Served(server, connections, hooks)
    finally:
        server.should_exit = server.force_exit = True
        await running
