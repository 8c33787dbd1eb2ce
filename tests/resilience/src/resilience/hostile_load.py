"""Hostile mail through the running system, beside bystanders that send ordinary mail at a steady rate."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count

import aiohttp

from corpus.hostile import FAMILIES
from resilience.part import say
from resilience.system import System

SIZES = (250_000, 1_000_000)
"""Characters of a hostile mail: one below what the transformer handles on its event loop, one near the API's limit."""
MAIL_BYTES = 1 << 20
ROUNDS = 5
"""Times that each mail is sent, so that there are enough bystanders."""
AT_ONCE = 4
BYSTANDERS_A_SECOND = 20
DEADLINE_SECONDS = 10.0


@dataclass
class HostileLoad:
    """Results of the clients."""

    hostile: int = 0
    wrong: list[str] = field(default_factory=list)
    """Family of a hostile mail, and the answer that came instead of 200."""
    seconds: list[float] = field(default_factory=list)
    """Seconds of each bystander's answer."""
    failed: int = 0

    @property
    def bystanders_p99(self) -> float:
        """Return the bystanders' p99 in seconds; 0 without bystanders."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0


async def run(system: System, ordinary: Sequence[str]) -> HostileLoad:
    """Send every family in every size to staging, which bystanders use too."""
    load = HostileLoad()
    waiting = [(name, family(size)) for size in SIZES for name, family in FAMILIES.items()] * ROUNDS
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        bystanders = asyncio.create_task(_bystand(load, http, system.url, ordinary))
        await asyncio.gather(*(_attack(load, http, system.url, waiting) for _ in range(AT_ONCE)))
        bystanders.cancel()
        await asyncio.gather(bystanders, return_exceptions=True)
    say(f"input: {load.hostile} hostile mails, bystanders' p99 {load.bystanders_p99:.3f} s of {len(load.seconds)}")
    return load


async def _attack(load: HostileLoad, http: aiohttp.ClientSession, url: str, waiting: list[tuple[str, str]]) -> None:
    while waiting:
        name, mail = waiting.pop()
        # Replace what JSON cannot hold, and cut a mail that UTF-8 makes longer: both would be refused.
        mail = mail.encode("utf-8", "replace")[:MAIL_BYTES].decode("utf-8", "ignore")
        status, _ = await _predict(http, url, mail)
        load.hostile += 1
        if status != HTTPStatus.OK:
            load.wrong.append(f"{name}: {status}")


async def _bystand(load: HostileLoad, http: aiohttp.ClientSession, url: str, ordinary: Sequence[str]) -> None:
    """Send at a steady rate, however long the answers take."""
    async with asyncio.TaskGroup() as group:
        started = asyncio.get_running_loop().time()
        for number in count():
            group.create_task(_bystander(load, http, url, ordinary[number % len(ordinary)]))
            due = started + (number + 1) / BYSTANDERS_A_SECOND
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


async def _bystander(load: HostileLoad, http: aiohttp.ClientSession, url: str, mail: str) -> None:
    status, seconds = await _predict(http, url, mail)
    load.seconds.append(seconds)
    load.failed += status != HTTPStatus.OK


async def _predict(http: aiohttp.ClientSession, url: str, mail: str) -> tuple[int, float]:
    """Return the status and the seconds; the status is 0 if there is no answer within the deadline."""
    started = time.perf_counter()
    try:
        timeout = aiohttp.ClientTimeout(DEADLINE_SECONDS)
        async with http.post(f"{url}/api/v1/predict", json={"email_content": mail}, timeout=timeout) as response:
            await response.read()
            return response.status, time.perf_counter() - started
    except (aiohttp.ClientError, TimeoutError):
        return 0, time.perf_counter() - started
