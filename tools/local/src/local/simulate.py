"""Command `simulate`: real mail through the running system, so that a person can watch drift appear."""

import argparse
import asyncio
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from corpus import CorpusError, MailFile, find_mails, read_mail
from local.greeting import key_header

PROGRESS_SECONDS = 1.0
UNDER_WAY = 64
"""Most requests in progress; if the system answers more slowly, further mail waits."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Mails to send, drawn from a corpus with replacement."""

    mails: Sequence[MailFile]
    spam: float
    """Share of spam, 0 to 1."""
    rate: float
    """Mails a second."""
    count: int
    seed: int | None
    """Seed to draw the same mails again; None draws other mails each time."""

    def draw(self) -> Iterator[MailFile]:
        """Yield the mails in the order in which they are sent."""
        source = random.Random(self.seed)
        kinds = {spam: [mail for mail in self.mails if mail.spam is spam] for spam in (True, False)}
        for _ in range(self.count):
            yield source.choice(kinds[source.random() < self.spam])


@dataclass(slots=True)
class Tally:
    """Counts of the answers so far."""

    sent: int = 0
    called: Counter[str] = field(default_factory=Counter)
    """Number of answers by prediction, "spam" or "ham"."""
    failures: Counter[str] = field(default_factory=Counter)

    def line(self, count: int, seconds: float) -> str:
        """Return the counts as a line for a person."""
        answered = self.called.total()
        share = f"{self.called['spam'] / answered:.1%}" if answered else "none"
        failed = "".join(f", {n} x {why}" for why, n in self.failures.most_common(3))
        return f"[{seconds:5.1f} s] {self.sent:,} of {count:,} sent, {answered:,} answered, {share} called spam{failed}"


async def simulate(base: str, environment: str, traffic: Traffic) -> Tally:
    """Send the traffic at its rate whatever the answers, and return the counts; progress goes to standard error."""
    tally = Tally()
    begin = time.monotonic()
    connector = aiohttp.TCPConnector(limit=UNDER_WAY)
    async with aiohttp.ClientSession(base, connector=connector, headers=key_header()) as session:
        progress = asyncio.create_task(_report(tally, traffic.count, begin))
        async with asyncio.TaskGroup() as group:
            for number, mail in enumerate(traffic.draw()):
                await asyncio.sleep(begin + number / traffic.rate - time.monotonic())
                tally.sent += 1
                group.create_task(_send(session, environment, mail, tally))
        progress.cancel()
    print(tally.line(traffic.count, time.monotonic() - begin), file=sys.stderr, flush=True)
    return tally


async def _send(session: aiohttp.ClientSession, environment: str, mail: MailFile, tally: Tally) -> None:
    body = {"email_content": read_mail(mail).decode("latin-1")}
    try:
        async with session.post("/api/v1/predict", json=body, headers={"X-Environment": environment}) as response:
            answer = await response.json(content_type=None)
            if response.status == 200:
                tally.called[answer["prediction"]] += 1
            else:
                tally.failures[f"{response.status} {answer.get('detail', '')}"] += 1
    except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
        tally.failures[type(error).__name__] += 1


async def _report(tally: Tally, count: int, begin: float) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        print(tally.line(count, time.monotonic() - begin), file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code.

    It is 0 if every mail was answered, 1 if some were not or none could be sent, and 2 for wrong options.
    """
    options = _parser().parse_args(arguments)
    try:
        mails = find_mails(options.corpus, 1)
    except CorpusError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    traffic = Traffic(mails, options.spam, options.rate, options.mails, options.seed)
    tally = asyncio.run(simulate(options.url, options.environment, traffic))
    if tally.failures["ClientConnectorError"] == tally.sent:
        print(f"simulate: nothing answers at {options.url}; start the system with `make run`", file=sys.stderr)
    return 1 if tally.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway (%(default)s)")
    parser.add_argument("--environment", default="staging", help="(%(default)s)")
    parser.add_argument("--corpus", type=Path, required=True, help="labelled mail: folders, mailboxes or tables")
    parser.add_argument("--spam", type=_share, default=0.31, help="share of spam, 0 to 1 (%(default)s, the corpus's)")
    parser.add_argument("--rate", type=_positive, default=100, help="mails a second (%(default)s)")
    parser.add_argument("--mails", type=_count, default=2000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="for the same mails again (default: others each time)")
    return parser


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; expected 0 to 1")
    return share


def _positive(text: str) -> float:
    if not 0 < (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no rate; expected more than 0")
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of mails; expected 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
