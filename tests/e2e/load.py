"""Steady load on the gateway with every request counted; it runs in a pod on Python and aiohttp alone.

Mail comes from a file of JSON lines, `{"content": …, "spam": …}`. Requests leave when they are due, whether or not
earlier ones have been answered, and latency counts from then. Standard input takes two commands, one a line: `phase
NAME` starts a new count, and `stop` (or the end of the input) ends the load. Standard output is JSON lines: the count
so far each second, and the result of each phase.

Several clients send in turn, each over its own connections. A single client would open only as many connections as it
has requests in progress. Where those few ended would be chance, and would say nothing about how the gateway spreads.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp

TICK_SECONDS = 1.0
EXAMPLES = 5
"""Failures of a phase that are reported in full."""

Mail = dict[str, Any]


@dataclass(slots=True)
class Phase:
    """Result of the requests that were due during a phase."""

    name: str
    started: float = field(default_factory=time.monotonic)
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Number of requests by status code, or by name of the error if there was no answer."""
    without_retry_after: int = 0
    """Number of answers 503 that did not say when to come back."""
    models: Counter[str] = field(default_factory=Counter)
    environments: Counter[str] = field(default_factory=Counter)
    """Number of answers by environment; under a canary it is not always the one that was asked."""
    predictions: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """Latencies in seconds of requests that were answered with 200."""
    refused_seconds: list[float] = field(default_factory=list)
    """Latencies in seconds of answers 503."""
    failures: list[str] = field(default_factory=list)

    def failed(self, outcome: str, detail: str) -> None:
        """Count a request without an answer 200."""
        self.outcomes[outcome] += 1
        if len(self.failures) < EXAMPLES:
            at = time.strftime("%H:%M:%S")
            self.failures.append(f"{at} {outcome}: {detail[:300]}")

    def result(self) -> dict[str, Any]:
        """Return the phase as the tests read it; latencies are in milliseconds."""
        return {
            "phase": self.name,
            "duration": round(time.monotonic() - self.started, 2),
            "sent": self.sent,
            "outcomes": dict(self.outcomes),
            "without_retry_after": self.without_retry_after,
            "models": dict(self.models),
            "environments": dict(self.environments),
            "predictions": dict(self.predictions),
            "latency_ms": milliseconds(self.seconds),
            "refused_ms": milliseconds(self.refused_seconds),
            "failures": self.failures,
        }


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum of latencies, in milliseconds; empty without any."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    at = {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}
    return {name: round(value * 1000, 2) for name, value in at.items()}


class SteadyLoad:
    """Load on one environment at a rate."""

    def __init__(self, options: argparse.Namespace, clients: Iterable[aiohttp.ClientSession]) -> None:
        self._options = options
        self._clients = cycle(clients)
        self._bodies = bodies(options)
        self._headers = {"Content-Type": "application/json", "X-Environment": options.environment}
        self._headers |= {"Connection": "close"} if options.close else {}
        self._path = "/api/v1/batch-predict" if options.batch else "/api/v1/predict"
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._sent = 0
        self.phase = Phase("start")

    async def run(self) -> None:
        """Send until told to stop or until the limits are reached, then wait for requests in progress."""
        end = time.monotonic() + self._options.max_seconds
        due = time.monotonic()
        while not self._stopped.is_set() and self._sent < self._options.max_requests and time.monotonic() < end:
            due += 1 / self._options.rate
            await asyncio.sleep(max(0, due - time.monotonic()))
            self._start(due)
        await asyncio.gather(*self._under_way)
        self.report()

    def next_phase(self, name: str) -> None:
        """Report the phase so far and begin another; requests in progress still belong to the old one."""
        self.report()
        self.phase = Phase(name)

    def stop(self) -> None:
        """Stop sending."""
        self._stopped.set()

    def report(self) -> None:
        """Print the result of the phase once all its requests have been answered."""
        phase, waited_for = self.phase, set(self._under_way)

        async def printed() -> None:
            await asyncio.gather(*waited_for)
            write(phase.result())

        self._keep(asyncio.create_task(printed()))

    async def settled(self) -> None:
        """Wait until everything is answered and reported."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def tick(self) -> None:
        """Print the progress every second."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            phase = self.phase
            write(
                {
                    "tick": phase.name,
                    "sent": phase.sent,
                    "outcomes": dict(phase.outcomes),
                    "waiting": len(self._under_way),
                }
            )

    def _start(self, due: float) -> None:
        self._sent += 1
        self.phase.sent += 1
        self._keep(asyncio.create_task(self._ask(next(self._clients), self.phase, next(self._bodies), due)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, client: aiohttp.ClientSession, phase: Phase, body: bytes, due: float) -> None:
        try:
            async with client.post(self._options.url + self._path, data=body, headers=self._headers) as response:
                read = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            phase.failed(type(error).__name__, str(error))
            return
        self._count(phase, response, read, time.monotonic() - due)

    def _count(self, phase: Phase, response: aiohttp.ClientResponse, body: bytes, seconds: float) -> None:
        if response.status != 200:
            phase.failed(str(response.status), body.decode(errors="replace"))
            if response.status == 503:
                phase.refused_seconds.append(seconds)
                phase.without_retry_after += "Retry-After" not in response.headers
            return
        answer = json.loads(body)
        phase.outcomes["200"] += 1
        phase.seconds.append(seconds)
        phase.models[answer["model_version"]] += 1
        phase.environments[answer["environment"]] += 1
        phase.predictions.update(each["prediction"] for each in answer.get("predictions", [answer]))


def bodies(options: argparse.Namespace) -> Iterator[bytes]:
    """Yield request bodies with real mail, drawn at random; the same seed gives the same bodies."""
    source = random.Random(options.seed)
    mails = [json.loads(line) for line in options.mails.read_text().splitlines()]
    kinds = {spam: [mail["content"] for mail in mails if mail["spam"] is spam] for spam in (True, False)}

    def draw() -> str:
        drawn: str = source.choice(kinds[source.random() < options.spam])
        return drawn

    while True:
        if options.batch:
            yield json.dumps({"emails": [draw() for _ in range(options.batch)]}).encode()
        else:
            yield json.dumps({"email_content": draw()}).encode()


def write(line: dict[str, Any]) -> None:
    """Print a JSON line at once."""
    print(json.dumps(line), flush=True)


async def follow(commands: asyncio.StreamReader, load: SteadyLoad) -> None:
    """Execute the commands of standard input."""
    while line := (await commands.readline()).decode().strip():
        command, _, argument = line.partition(" ")
        if command == "phase":
            load.next_phase(argument)
        elif command == "stop":
            break
        else:
            raise SystemExit(f"unknown command {command!r}; known: phase NAME, stop")
    load.stop()


async def main() -> None:
    """Run the load that the command line describes."""
    options = parser().parse_args()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as stack:
        load = SteadyLoad(options, [await stack.enter_async_context(client(options)) for _ in range(options.clients)])
        await beside(load.run, load.tick, lambda: follow(commands, load))
        await load.settled()


def client(options: argparse.Namespace) -> aiohttp.ClientSession:
    """Return one of the clients."""
    connector = aiohttp.TCPConnector(limit=options.connections, keepalive_timeout=60)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=options.timeout))


async def beside(work: Callable[[], Awaitable[None]], *others: Callable[[], Awaitable[None]]) -> None:
    """Do the work, and the others until it is done."""
    tasks = [asyncio.ensure_future(other()) for other in others]
    try:
        await work()
    finally:
        for task in tasks:
            task.cancel()


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(description="Steady load on the gateway, every request counted.")
    found.add_argument("--url", required=True)
    found.add_argument("--environment", required=True)
    found.add_argument("--mails", type=Path, required=True, help="JSON lines of content and spam")
    found.add_argument("--spam", type=float, default=0.31, help="share of spam (%(default)s)")
    found.add_argument("--seed", type=int, default=1)
    found.add_argument("--rate", type=float, required=True, help="requests a second")
    found.add_argument("--batch", type=int, default=0, help="mails of a batch-predict request; 0: single mails")
    found.add_argument("--connections", type=int, default=64, help="of each client, at most (%(default)s)")
    found.add_argument("--clients", type=int, default=1, help="that take turns (%(default)s)")
    found.add_argument("--close", action="store_true", help="a connection for each request")
    found.add_argument("--timeout", type=float, default=30, help="seconds for one request (%(default)s)")
    found.add_argument("--max-requests", type=int, required=True)
    found.add_argument("--max-seconds", type=float, required=True)
    return found


if __name__ == "__main__":
    asyncio.run(main())
