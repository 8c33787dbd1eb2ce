"""Rounds of an overload, and the checks of all of them."""

import statistics
from dataclasses import dataclass, field

from resilience.check import Check, at_least, at_most
from resilience.flood import Counted
from resilience.steady import Steady


@dataclass
class Round:
    """One round: a peak, the flood after it, its probes, and the time until the system answered as before."""

    peak: float
    flood: Counted
    probes: Steady
    recovery: float

    @property
    def share(self) -> float:
        """Return the goodput of the flood in percent of the peak."""
        return 100 * self.flood.rate("200") / self.peak

    @property
    def offered(self) -> float:
        """Return the offered load in units of the peak."""
        return self.flood.rate() / self.peak


@dataclass
class Memory:
    """Bytes in use of each process, after the first flood and after the last."""

    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def growth(self, name: str) -> float:
        """Return the growth in percent."""
        return 100 * (self.last[name] / self.first[name] - 1)


def served(rounds: list[Round]) -> list[Check]:
    """Check how much is served under a flood, and how much more is offered."""
    offered = [one.offered for one in rounds]
    shares = [one.share for one in rounds]
    total = sum((one.flood for one in rounds), Counted())
    return [
        at_least("overload: offered", statistics.median(offered), 3, "x peak", f"{total}; {ranged(offered)}"),
        at_least("overload: goodput", statistics.median(shares), 90, "% of peak", ranged(shares)),
    ]


def refused(rounds: list[Round]) -> list[Check]:
    """Check how the rest is refused."""
    probes = Steady([answer for one in rounds for answer in one.probes.answers])
    unpolite = sum(one.probes.unpolite for one in rounds)
    note = f"{len(probes.milliseconds(503)):,} refusals seen by a client of its own"
    other = sum(n for one in rounds for status, n in one.flood.statuses.items() if status not in ("200", "503"))
    return [
        at_most("overload: p99 of a refusal", probes.p99_ms(503), 50, "ms", note),
        at_most("overload: refusals without Retry-After or problem", unpolite, 0),
        at_most("overload: neither answered nor refused", other + probes.failed(200, 503), 0),
    ]


def kept(rounds: list[Round], memory: Memory) -> list[Check]:
    """Check what must be as before afterwards."""
    most = max(memory.first, key=memory.growth)
    mib = f"{most}, {memory.first[most] / 2**20:.0f} to {memory.last[most] / 2**20:.0f} MiB"
    slowest = max(one.recovery for one in rounds)
    return [
        at_most("overload: memory after the last flood", memory.growth(most), 5, "% over the first", mib),
        at_most("overload: recovery", slowest, 2, "s", f"slowest of {len(rounds)}"),
    ]


def ranged(values: list[float]) -> str:
    """Return the number of values, the lowest and the highest."""
    return f"median of {len(values)}, {min(values):.3g} to {max(values):.3g}"
