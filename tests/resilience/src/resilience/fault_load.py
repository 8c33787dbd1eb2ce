"""Load beside faults: mails of known probability at a steady rate, and the outcome of each."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ENVIRONMENT = "production"
RATE = 40
"""Requests a second."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one request; `wrong` means that the answer is not the mail's own."""

    sent: float
    seconds: float
    status: int
    wrong: bool
    detail: str


@dataclass
class FaultLoad:
    """Load at a steady rate of mails with known probability, and the outcome of each."""

    session: aiohttp.ClientSession
    url: str
    mails: Sequence[str]
    right: dict[str, float] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    async def learn(self) -> None:
        """Learn the probability of each mail from a quiet pass."""
        for mail in self.mails:
            status, answer = await self._post(mail)
            if status != 200:
                raise SystemExit(f"no answer in the quiet pass: {answer}")
            self.right[mail] = float(answer["spam_probability"])

    async def send(self, mail: str) -> None:
        """Send one mail and compare its answer."""
        sent = time.monotonic()
        status, answer = await self._post(mail)
        wrong = status == 200 and abs(answer["spam_probability"] - self.right[mail]) > 1e-6
        self.outcomes.append(Outcome(sent, time.monotonic() - sent, status, wrong, str(answer.get("detail", ""))))

    async def _post(self, mail: str) -> tuple[int, dict[str, Any]]:
        headers = {"X-Environment": ENVIRONMENT}
        try:
            async with self.session.post(self.url, json={"email_content": mail}, headers=headers) as response:
                return response.status, await response.json(content_type=None)
        except aiohttp.ClientError as error:
            return 0, {"detail": f"the gateway gave no answer: {error}"}

    async def steadily(self) -> None:
        """Send until cancelled, then wait for requests in progress."""
        running: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        try:
            while True:
                task = asyncio.create_task(self.send(self.mails[number % len(self.mails)]))
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
                due += 1 / RATE
                await asyncio.sleep(max(due - loop.time(), 0))
        finally:
            await asyncio.gather(*running)

    def failed(self, start: float, end: float = float("inf")) -> list[Outcome]:
        """Return the outcomes other than 200 of requests sent between these times."""
        return [each for each in self.outcomes if start <= each.sent < end and each.status != 200]
