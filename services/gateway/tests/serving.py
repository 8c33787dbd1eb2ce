"""Real server with real connections, and clients that speak HTTP by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from starlette.types import ASGIApp
from waiting import until

from gateway.app import GatewayApp
from gateway.metrics import ConnectionMetrics
from gateway.routing.server_hooks import connections
from httpserver import ConnectionLimits, Server


class Client:
    """Client with one kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *parts: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(parts))

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers in lower case and body of the next answer."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, orjson.loads(body) if "json" in headers["content-type"] else body

    async def is_closed(self) -> bool:
        """Return whether the server closes in time without sending more."""
        try:
            async with asyncio.timeout(10):
                return await self.reader.read() == b""
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


@asynccontextmanager
async def serving(
    app: ASGIApp, limits: ConnectionLimits, lifespan: str = "on", counts: ConnectionMetrics | None = None
) -> AsyncIterator[int]:
    """Serve an application on a port of its own; its connections count in `counts`, or in the gateway's metrics."""
    gateway = app if isinstance(app, GatewayApp) else None
    counts = counts or (gateway.metrics.connections if gateway else ConnectionMetrics())
    made = connections(limits, counts, gateway.early_refusals if gateway else None)
    config = uvicorn.Config(
        app,
        port=0,
        http=made,  # type: ignore[arg-type]
        lifespan=lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
    )
    server = Server(config, made, drain_seconds=0)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await running


def head(path: str, *lines: str, length: int | None = None) -> bytes:
    """Return the head of a POST."""
    more = [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: gateway", *lines, *more, "", ""]).encode()


def post(path: str, body: object, *lines: str) -> bytes:
    """Return a whole POST of JSON."""
    content = orjson.dumps(body)
    return head(path, *lines, length=len(content)) + content
