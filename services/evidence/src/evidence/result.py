"""Everything that is known about a candidate, and what follows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evidence.check import Check
from evidence.drift_state import DriftState
from evidence.health import Health
from evidence.models import Side
from evidence.offline import Offline
from evidence.shadow import Shadow
from evidence.thresholds import Thresholds

FORMAT = 1
"""Of evidence.json; `release promote` reads no other."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The whole of it."""

    made: datetime
    start: datetime
    """Of the period whose log was read, to `made`."""
    candidate: Side
    production: Side
    offline: Offline | str
    """Or why there is none."""
    shadow: Shadow
    drift: dict[str, DriftState | None]
    """Environment -> its newest report."""
    health: Health | str
    thresholds: Thresholds
    configured: dict[str, Any]
    """The thresholds as config.yaml has them, for who asks whether they are those of today."""
    checks: list[Check]

    @property
    def refused(self) -> list[Check]:
        """The checks that stand in the way."""
        return [each for each in self.checks if each.outcome == "refused"]

    @property
    def outcome(self) -> str:
        """`accepted` or `refused`."""
        return "refused" if self.refused else "accepted"

    def as_json(self) -> dict[str, Any]:
        """The content of evidence.json."""
        return {
            "format": FORMAT,
            "outcome": self.outcome,
            "made": self.made.isoformat(),
            "start": self.start.isoformat(),
            "candidate": self.candidate.as_json(),
            "production": self.production.as_json(),
            "checks": [each.as_json() for each in self.checks],
            "thresholds": self.thresholds.as_json(),
            "configured": self.configured,
            "offline": {"not_compared": self.offline} if isinstance(self.offline, str) else self.offline.as_json(),
            "shadow": self.shadow.as_json(),
            "drift": {environment: state and state.as_json() for environment, state in self.drift.items()},
            "health": {"not_proven": self.health} if isinstance(self.health, str) else self.health.as_json(),
        }
