"""Evidence about a candidate, and its outcome."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evidence.check import Check
from evidence.drift_state import DriftState
from evidence.health import Health
from evidence.models import Side
from evidence.offline import Offline
from evidence.shadow import ShadowResult
from evidence.thresholds import Thresholds

FORMAT = 1
"""Format version of evidence.json; `release promote` reads no other."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence with everything that is known about a candidate."""

    made: datetime
    start: datetime
    """Beginning of the period whose log was read; it ends at `made`."""
    candidate: Side
    production: Side
    offline: Offline | str
    """Comparison on the same labelled mails, or the reason why there is none."""
    shadow: ShadowResult
    drift: dict[str, DriftState | None]
    """Newest drift report by environment."""
    health: Health | str
    thresholds: Thresholds
    configured: dict[str, Any]
    """Thresholds as config.yaml sets them, so that a reader can tell whether they have changed since."""
    checks: list[Check]

    @property
    def refused(self) -> list[Check]:
        """Return the checks that prevent the promotion."""
        return [each for each in self.checks if each.outcome == "refused"]

    @property
    def outcome(self) -> str:
        """Return `accepted` or `refused`."""
        return "refused" if self.refused else "accepted"

    def as_json(self) -> dict[str, Any]:
        """Return the content of evidence.json."""
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
