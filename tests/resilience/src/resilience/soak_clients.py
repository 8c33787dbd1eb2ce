"""Clients of a soak: single mails and batches to both environments through both gateways; some clients leave early.

Arrivals are random and do not wait for answers, up to a limit. Each request goes to the gateway that owes the fewest
answers, as a load balancer would send it. After a failed connection, requests go to another gateway for a second.
"""

import asyncio
import contextlib
import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp

from resilience.soak_answers import Ledger, Request, Truth, fault_of, fault_of_problem
from resilience.soak_schedule import ENVIRONMENTS

BATCH_SHARE = 0.04
"""Share of requests that are batches; they carry about half of all mails."""
BATCH_SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 150)
OWN_ID_SHARE = 0.5
NEW_CONNECTION_SHARE = 0.1
CANCEL_SHARE = 0.02
CUT_SHARE = 0.005
"""Share of requests of which only a part is ever sent."""
CANCEL_SECONDS = 0.02
"""Mean seconds after which a client that does not wait leaves."""
AVOID_SECONDS = 1.0
MOST_WAITING = 3_500
"""Most mails in progress, fewer than one gateway's queue of one environment holds."""
PEAK_CLIENTS = 64
TIMEOUT = aiohttp.ClientTimeout(total=30)
RESET = struct.pack("ii", 1, 0)
"""Linger time of zero, socket(7): close sends RST."""


@dataclass(frozen=True)
class Sessions:
    """HTTP sessions by the use of their connections."""

    kept: aiohttp.ClientSession
    new: aiohttp.ClientSession
    reset: aiohttp.ClientSession
    """Session whose connections end by RST."""


@dataclass
class Clients:
    """All clients of a soak.

    Args:
        urls: Base URL of each gateway.
        open: Function that returns the numbers of the gateways that may be chosen now.
        truth: Mails to send, and their right answers.
        chance: Source of all random choices.
    """

    urls: Sequence[str]
    open: Callable[[], Sequence[int]]
    truth: Truth
    chance: random.Random
    sessions: Sessions
    ledger: Ledger = field(default_factory=Ledger)
    held_back: float = 0.0
    """Seconds in which nothing was sent because too many mails were in progress."""
    _waiting: Counter[int] = field(default_factory=Counter)
    _avoid_until: dict[int, float] = field(default_factory=dict)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _stopped: bool = False

    async def peak(self, seconds: float) -> float:
        """Return the mails a second answered to 64 clients that send again at once; the first third is left out."""
        workers = [asyncio.create_task(self._again_and_again()) for _ in range(PEAK_CLIENTS)]
        await asyncio.sleep(seconds / 3)
        before, started = self.ledger.mails, time.monotonic()
        await asyncio.sleep(seconds * 2 / 3)
        found = (self.ledger.mails - before) / (time.monotonic() - started)
        self._stopped = True
        await asyncio.gather(*workers)
        return found

    async def _again_and_again(self) -> None:
        while not self._stopped:
            await self._one(self._request())

    async def steadily(self, rate: float) -> None:
        """Send so many mails a second until cancelled, then wait for those in progress."""
        due = time.monotonic()
        try:
            while True:
                request = self._request()
                due += len(request.mails) / rate * self.chance.expovariate(1)
                await self._until(due)
                due = max(due, time.monotonic() - 1)
                task = asyncio.create_task(self._one(request))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        finally:
            await asyncio.gather(*self._running)

    async def _until(self, due: float) -> None:
        while self._waiting.total() > MOST_WAITING:
            self.held_back += 0.01
            await asyncio.sleep(0.01)
        # Requests that are already due leave in this turn of the event loop, hundreds of them at most.
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    def _request(self) -> Request:
        is_batch = self.chance.random() < BATCH_SHARE
        size = self.chance.choice(BATCH_SIZES) if is_batch else 1
        mails = tuple(self.chance.choices(range(len(self.truth.mails)), k=size))
        request_id = self._id() if self.chance.random() < OWN_ID_SHARE else ""
        return Request(mails, is_batch, self.chance.choice(ENVIRONMENTS), self._choose(), request_id)

    def _id(self) -> str:
        return f"soak-{UUID(int=self.chance.getrandbits(128))}"

    def _choose(self) -> int:
        now, known = time.monotonic(), self.open()
        best = [number for number in known if self._avoid_until.get(number, 0) <= now] or known
        return min(best, key=lambda number: (self._waiting[number], self.chance.random()))

    async def _one(self, request: Request) -> None:
        url = self.urls[request.gateway]
        self._waiting[request.gateway] += len(request.mails)
        try:
            drawn = self.chance.random()
            if drawn < CUT_SHARE:
                await self._cut(url, request)
            elif drawn < CUT_SHARE + CANCEL_SHARE:
                await self._cancel(url, request)
            else:
                is_new = self.chance.random() < NEW_CONNECTION_SHARE
                await self._ask(self.sessions.new if is_new else self.sessions.kept, url, request)
        finally:
            self._waiting[request.gateway] -= len(request.mails)

    async def _ask(self, session: aiohttp.ClientSession, url: str, request: Request) -> None:
        """Send a request and record its outcome."""
        start = time.monotonic()
        self.ledger.sent += len(request.mails)
        headers = {"Content-Type": "application/json", "X-Environment": request.environment}
        if request.id:
            headers["X-Request-ID"] = request.id
        try:
            async with session.post(url + request.path, data=request.body(self.truth), headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            detail = f"{type(error).__name__}: {error}"
            self._avoid_until[request.gateway] = time.monotonic() + AVOID_SECONDS
            self.ledger.note_failure(request, start, time.monotonic(), 0, detail)
            return
        self._take(request, start, response, body)

    def _take(self, request: Request, start: float, response: aiohttp.ClientResponse, body: bytes) -> None:
        end = time.monotonic()
        if response.status == HTTPStatus.OK:
            answer = json.loads(body)
            fault = fault_of(request, self.truth, response.headers, answer)
            self.ledger.note_answer(request, start, end, str(answer.get("request_id")), fault)
            return
        fault = fault_of_problem(response.status, response.headers, body)
        self.ledger.note_failure(request, start, end, response.status, body.decode(errors="replace")[:300], fault)

    async def _cancel(self, url: str, request: Request) -> None:
        """Send a request and close its connection soon, by FIN or by RST."""
        session = self.sessions.reset if self.chance.random() < 0.5 else self.sessions.kept
        start = time.monotonic()
        asking = asyncio.create_task(self._ask(session, url, request))
        done, _ = await asyncio.wait({asking}, timeout=self.chance.expovariate(1 / CANCEL_SECONDS))
        if not done:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            if asking.cancelled():
                self.ledger.note_cancelled(request, start, time.monotonic())

    async def _cut(self, url: str, request: Request) -> None:
        """Send part of a request and leave, by FIN or by RST."""
        where, body = urlsplit(url), request.body(self.truth)
        lines = [f"POST {request.path} HTTP/1.1", "Host: gateway", f"X-Environment: {request.environment}"]
        lines += [f"X-Request-ID: {self._id()}", f"Content-Length: {len(body)}", "", ""]
        whole = "\r\n".join(lines).encode() + body
        self.ledger.cut += 1
        # It does not matter whether this part arrives: no mail of it may ever be scored.
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(where.hostname, where.port)
            if self.chance.random() < 0.5:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.write(whole[: self.chance.randrange(1, len(whole))])
            await asyncio.sleep(self.chance.expovariate(1 / CANCEL_SECONDS))
            writer.close()
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def sessions() -> AsyncIterator[Sessions]:
    """Open sessions of each kind, without a limit on connections."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT) as kept,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=TIMEOUT) as new,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_resetting), timeout=TIMEOUT
        ) as reset,
    ):
        yield Sessions(kept, new, reset)


def _resetting(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    made.setblocking(False)
    return made
