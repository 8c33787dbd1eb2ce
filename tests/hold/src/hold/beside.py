"""Mail of a bystander beside something that somebody else does: its p99 over that without, in rounds."""

import asyncio
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from hold.check import Check, at_most
from hold.steady import Steady, steadily

RATE = 100
"""Mails a second of the bystander."""
MOST = 2
"""Times the p99 without that the p99 beside may be."""


@dataclass
class Beside:
    """The bystander's p99 beside it over that without, by rounds, and what became of its mail."""

    ratios: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    answers: Steady = field(default_factory=Steady)

    def note(self, without: Steady, beside: Steady) -> None:
        """Note a round."""
        self.ratios.append(beside.p99_ms(200) / without.p99_ms(200))
        self.beside.append(beside.p99_ms(200))
        self.answers.answers += beside.answers


def look(url: str, bodies: list[bytes], seconds: float, key: str = "") -> Steady:
    """Return what becomes of the bystander's mail for so long."""

    async def looking() -> Steady:
        async with steadily(url, "production", bodies, RATE, key) as seen:
            await asyncio.sleep(seconds)
        return seen

    return asyncio.run(looking())


def checks(part: str, seen: Mapping[str, Beside]) -> list[Check]:
    """Return a check of each ratio's median, and one of all mail."""
    found = []
    for name, each in seen.items():
        note = f"median of {len(each.ratios)}; {statistics.median(each.beside):.1f} ms"
        ratio = statistics.median(each.ratios)
        found.append(at_most(f"{part}: {name}: mail's p99 over that without", ratio, MOST, "x", note))
    failed = sum(each.answers.failed(200) for each in seen.values())
    mails = sum(len(each.answers.answers) for each in seen.values())
    return [*found, at_most(f"{part}: mails that failed beside", failed, 0, note=f"of {mails:,}")]
