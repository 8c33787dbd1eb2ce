"""Bystander's mail beside a disturbance: its p99 divided by the p99 without the disturbance, in rounds."""

import asyncio
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from resilience.check import Check, at_most
from resilience.steady import Steady, steadily

RATE = 100
"""Mails a second that the bystander sends."""
MOST = 2
"""Largest allowed ratio of the p99 beside the disturbance to the p99 without."""


@dataclass
class Beside:
    """Ratios of the bystander's p99 by round, and the outcomes of its mail."""

    ratios: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    answers: Steady = field(default_factory=Steady)

    def note(self, without: Steady, beside: Steady) -> None:
        """Add the results of a round."""
        self.ratios.append(beside.p99_ms(200) / without.p99_ms(200))
        self.beside.append(beside.p99_ms(200))
        self.answers.answers += beside.answers


def look(url: str, bodies: list[bytes], seconds: float, key: str = "") -> Steady:
    """Send the bystander's mail for so many seconds, and return its outcomes."""

    async def looking() -> Steady:
        async with steadily(url, "production", bodies, RATE, key) as seen:
            await asyncio.sleep(seconds)
        return seen

    return asyncio.run(looking())


def checks(part: str, seen: Mapping[str, Beside]) -> list[Check]:
    """Return a check of each median ratio, and one of all mail."""
    found = []
    for name, each in seen.items():
        note = f"median of {len(each.ratios)}; {statistics.median(each.beside):.1f} ms"
        ratio = statistics.median(each.ratios)
        found.append(at_most(f"{part}: {name}: mail's p99 over that without", ratio, MOST, "x", note))
    failed = sum(each.answers.failed(200) for each in seen.values())
    mails = sum(len(each.answers.answers) for each in seen.values())
    return [*found, at_most(f"{part}: mails that failed beside", failed, 0, note=f"of {mails:,}")]
