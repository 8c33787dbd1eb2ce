"""Schedule of a soak's faults: which process is killed, stopped or restarted, and when, all from one seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

ENVIRONMENTS = ("staging", "production")
REPLICAS = 2
TIERS = ("gateway", "transformer", "predictor")

KILL, HANG, RESTART = "kill -9", "hang", "SIGTERM"
KINDS = (KILL, HANG, RESTART)

T = TypeVar("T")

PAUSE_SECONDS = (3.0, 9.0)
"""Range of the seconds between two faults."""
QUIET_SECONDS = 5.0
"""Seconds without faults at the start and at the end, so that a soak begins and ends with everything up."""
HANG_SECONDS = (1.0, 12.0)
"""Range of a hang in seconds; some exceed the 5 s that a hop waits beside another replica, some the deadline (10 s)."""
DOWN_SECONDS = (0.0, 2.0)
"""Range of the seconds between a process's end and the start of the next one."""
BOTH_SHARE = 0.15
"""Share of faults that hit both replicas of a tier, within `BOTH_WITHIN_SECONDS` of each other."""
BOTH_WITHIN_SECONDS = 1.0


@dataclass(frozen=True, order=True)
class Target:
    """One process of the system.

    Args:
        tier: One of `TIERS`.
        environment: One of `ENVIRONMENTS`; empty for a gateway, which serves all of them.
        replica: Its number, from 0.
    """

    tier: str
    environment: str
    replica: int

    def __str__(self) -> str:
        return f"{self.environment} {self.tier} {self.replica + 1}".strip()

    @property
    def twins(self) -> list["Target"]:
        """Return the other replicas of its tier and environment."""
        numbers = (number for number in range(REPLICAS) if number != self.replica)
        return [Target(self.tier, self.environment, number) for number in numbers]


@dataclass(frozen=True)
class Fault:
    """Fault of one process.

    Args:
        at: Seconds from the start of the soak.
        target: Process that has the fault.
        kind: One of `KINDS`.
        seconds: Seconds that the process hangs, or stays away before the next one is started.
    """

    at: float
    target: Target
    kind: str
    seconds: float


def targets() -> list[Target]:
    """Return every process of the system."""
    gateways = [Target("gateway", "", number) for number in range(REPLICAS)]
    hops = [
        Target(tier, environment, number)
        for tier in TIERS[1:]
        for environment in ENVIRONMENTS
        for number in range(REPLICAS)
    ]
    return gateways + hops


def survivors(seed: int) -> frozenset[Target]:
    """Return one process of each tier that hangs but is never ended, so that its growth can be measured."""
    chance = random.Random(f"survivors {seed}")
    return frozenset(chance.choice([each for each in targets() if each.tier == tier]) for tier in TIERS)


def schedule(seed: int, seconds: float) -> list[Fault]:
    """Return the faults of a soak in order of time; equal arguments give equal faults.

    The longest hang of each survivor comes first, so that later growth is not the effect of a longer one.
    """
    chance = random.Random(f"faults {seed}")
    spared = survivors(seed)
    last = seconds - QUIET_SECONDS - HANG_SECONDS[1]
    faults = [Fault(QUIET_SECONDS, target, HANG, HANG_SECONDS[1]) for target in sorted(spared) if last > QUIET_SECONDS]
    at = QUIET_SECONDS + HANG_SECONDS[1] + chance.uniform(*PAUSE_SECONDS)
    turns = _in_turn(chance, targets())
    kinds = {tier: _in_turn(chance, KINDS) for tier in TIERS}

    def fault(at: float, target: Target) -> Fault:
        kind = HANG if target in spared else next(kinds[target.tier])
        return Fault(at, target, kind, chance.uniform(*(HANG_SECONDS if kind == HANG else DOWN_SECONDS)))

    while at < last:
        first = next(turns)
        faults.append(fault(at, first))
        if chance.random() < BOTH_SHARE:
            later = at + chance.uniform(0, BOTH_WITHIN_SECONDS)
            faults += [fault(later, twin) for twin in first.twins]
        at += chance.uniform(*PAUSE_SECONDS)
    return sorted(faults, key=lambda fault: fault.at)


def _in_turn(chance: random.Random, all_of_them: Sequence[T]) -> Iterator[T]:
    """Yield all items in random order, repeatedly, so that even a short soak meets each of them."""
    while True:
        yield from chance.sample(all_of_them, len(all_of_them))
