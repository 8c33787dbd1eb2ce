"""Fault proxy in front of a server: it passes requests on, or breaks them in a way in which servers break."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

PASS = "pass"
MAX_BODY = 2**26
SLOW_SECONDS = 0.2

Respond = Callable[["FaultProxy", web.Request, bytes], Awaitable[web.StreamResponse]]


class FaultProxy:
    """Proxy on one address and port before one server; `fault` is applied to all requests except probes."""

    def __init__(self, host: str, port: int, upstream: str) -> None:
        self.host = host
        self.port = port
        self.upstream = upstream
        self.fault = PASS
        self.passed: list[tuple[float, int]] = []
        """Time and number of mails of each request that was passed on."""
        self._last = b""
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._mended = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()

    async def stop(self) -> None:
        """Stop listening."""
        self.mend()
        assert self._runner is not None and self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def mend(self) -> None:
        """Pass everything on again; requests that hang keep hanging, as in real life."""
        self.fault = PASS

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self.fault if request.method == "POST" else PASS
        if fault in UNASKED:
            return await UNASKED[fault](self, request, body)
        if request.method == "POST":
            self.passed.append((time.monotonic(), _mails(body)))
        try:
            status, answer = await self._ask(request, body)
        except aiohttp.ClientError:
            return await reset(self, request, body)
        before, self._last = self._last, answer
        if fault == "another's answer":
            answer = before or answer
        elif fault in ALTERED and status == 200:
            answer = ALTERED[fault](answer)
        return web.Response(body=answer, status=status, content_type="application/json")

    async def _ask(self, request: web.Request, body: bytes) -> tuple[int, bytes]:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        url = self.upstream + request.path
        async with self._session.request(request.method, url, data=body, headers=headers) as response:
            return response.status, await response.read()


def _mails(body: bytes) -> int:
    return int(json.loads(body)["inputs"][0]["shape"][0])


async def hang(_: FaultProxy, __: web.Request, ___: bytes) -> web.StreamResponse:
    """Never answer."""
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")


async def hang_in_the_middle(_: FaultProxy, request: web.Request, __: bytes) -> web.StreamResponse:
    """Begin an answer and never finish it."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"model_name":"spam-detector","outputs":[{')
    await asyncio.sleep(3600)
    return response


async def half(_: FaultProxy, request: web.Request, __: bytes) -> web.StreamResponse:
    """Begin an answer and close the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"model_name":"spam-detector","outputs":[{')
    _transport(request).close()
    return response


async def garbage(_: FaultProxy, request: web.Request, __: bytes) -> web.StreamResponse:
    """Answer with bytes that are not HTTP."""
    _transport(request).write(bytes(range(256)) * 4)
    _transport(request).close()
    return web.Response()


async def reset(_: FaultProxy, request: web.Request, __: bytes) -> web.StreamResponse:
    """Reset the connection: with a linger time of zero, close sends RST, socket(7)."""
    linger = struct.pack("ii", 1, 0)
    _transport(request).get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    _transport(request).abort()
    return web.Response()


async def fail(_: FaultProxy, __: web.Request, ___: bytes) -> web.StreamResponse:
    """Answer with status 500."""
    return web.json_response({"error": "RuntimeError: out of order"}, status=500)


async def error_with_200(_: FaultProxy, __: web.Request, ___: bytes) -> web.StreamResponse:
    """Answer with an error under status 200."""
    return web.json_response({"error": "RuntimeError: out of order"})


def _transport(request: web.Request) -> asyncio.Transport:
    assert isinstance(request.transport, asyncio.Transport)
    return request.transport


def truncated(answer: bytes) -> bytes:
    """Return JSON that breaks off."""
    return answer[: len(answer) * 2 // 3]


def one_short(answer: bytes) -> bytes:
    """Return a well-formed answer with one mail too few."""
    return _altered(answer, lambda data, row: data[:-row], -1)


def nan(answer: bytes) -> bytes:
    """Return an answer whose last number is NaN."""
    return _altered(answer, lambda data, _: [*data[:-1], float("nan")], 0)


def _altered(answer: bytes, alter: Callable[[list[Any], int], list[Any]], more: int) -> bytes:
    content = json.loads(answer)
    for output in content["outputs"]:
        row = len(output["data"]) // output["shape"][0]
        output["data"] = alter(output["data"], row)
        output["shape"][0] += more
    return json.dumps(content).encode()


UNASKED: dict[str, Respond] = {
    "hang": hang,
    "hang in the middle": hang_in_the_middle,
    "half an answer": half,
    "garbage": garbage,
    "reset": reset,
    "500": fail,
    "error with 200": error_with_200,
}
ALTERED = {"truncated JSON": truncated, "one row short": one_short, "NaN": nan}
FAULTS = (*UNASKED, *ALTERED, "another's answer")
"""Faults that a proxy can be given, besides `PASS`."""
