"""Request smuggling clients: they try to have one request taken for two, and count whose answer each client gets.

Each client sends its own mail under its own ids, and between them requests whose bodies are themselves requests. A
client that gets an answer with an id it did not send has received another client's answer. A client that gets two
answers to one request has smuggled.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

SECONDS = 30.0
"""Seconds to wait for one answer."""
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
OFFERS = (
    b"",
    H2C,
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    b"Upgrade: foo/1\r\nConnection: upgrade\r\n",
)
SMUGGLED = b"smuggled"
"""Prefix of the ids of requests hidden in bodies; no log may contain one."""


@dataclass
class Told:
    """Observations of the clients: answers by status, and answers that belonged to others."""

    statuses: Counter[int] = field(default_factory=Counter)
    crossed: list[str] = field(default_factory=list)
    """Descriptions of what was sent and what came back."""
    lost: int = 0
    """Number of requests whose connection ended without an answer."""


def mail(request_id: bytes, content: str, offer: bytes = b"", *, chunked: bool = False) -> bytes:
    """Return a predict request."""
    body = json.dumps({"email_content": content}).encode()
    return _post(request_id, body, offer, chunked)


def nested(request_id: bytes, offer: bytes, *, chunked: bool = False) -> bytes:
    """Return a request whose body is itself a request; the server should answer 422."""
    inner = mail(SMUGGLED + request_id, "not sent by anybody")
    return _post(request_id, inner, offer, chunked)


def _post(request_id: bytes, body: bytes, offer: bytes, chunked: bool) -> bytes:
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: %b\r\n%b" % (request_id, offer)
    if chunked:
        return b"%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body)
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


async def clients(address: str, number: int, requests: int, name: str) -> Told:
    """Run clients that send their requests one after the other, and return what they observed.

    Args:
        address: Host and port of the server or proxy.
        number: Number of clients.
        requests: Requests of each client.
        name: Prefix of the ids of all requests.
    """
    told = Told()
    await asyncio.gather(*(_client(address, requests, f"{name}-{client}", told) for client in range(number)))
    return told


async def _client(address: str, requests: int, name: str, told: Told) -> None:
    numbers = iter(range(requests))
    done = False
    while not done:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            done = await _exchange(reader, writer, numbers, name, told)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, numbers: Iterator[int], name: str, told: Told
) -> bool:
    """Send requests over one connection until it ends; return whether all have been sent."""
    for number in numbers:
        request_id = f"{name}-{number}"
        try:
            status, given, keeps = await _answer(reader, writer, _request(request_id, number), number % 5 == 0)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            told.lost += 1
            return False
        told.statuses[status] += 1
        if given != request_id or status != _status(number):
            told.crossed.append(f"{request_id} got {status} of {given}")
        if not keeps:
            return False
    return True


def _request(request_id: str, number: int) -> bytes:
    offer, chunked = OFFERS[number % len(OFFERS)], number % 3 == 0
    if _status(number) == HTTPStatus.OK:
        return mail(request_id.encode(), f"Subject: {request_id}\n\nSee you at ten.", offer, chunked=chunked)
    return nested(request_id.encode(), offer, chunked=chunked)


def _status(number: int) -> int:
    """Return the expected status: blocks of plain mails alternate with blocks of nested requests, which get 422."""
    return (HTTPStatus.UNPROCESSABLE_ENTITY if number // len(OFFERS) % 2 else HTTPStatus.OK).value


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, apart: bool
) -> tuple[int, str, bool]:
    """Send a request and return the status, the request id and whether the connection stays open.

    With `apart` the head and the body are sent separately.
    """
    head, end, body = request.partition(b"\r\n\r\n")
    writer.write(head + end if apart else request)
    if apart:
        await writer.drain()
        await asyncio.sleep(0.001)
        writer.write(body)
    async with asyncio.timeout(SECONDS):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        content = json.loads(await reader.readexactly(int(headers["content-length"])))
    keeps = headers.get("connection", "").lower() != "close"
    return int(lines[0].split()[1]), content.get("request_id", ""), keeps
