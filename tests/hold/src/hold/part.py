"""What each part of the suite is given, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hold.check import Check


@dataclass(frozen=True)
class Plan:
    """What a run is made of.

    Args:
        model: Folder of a model bundle.
        corpus: Folder whose folders hold mails, a file each.
        scratch: Folder for logs and findings; made anew.
        seconds: How long the overload lasts, all its floods together.
        fuzz_minutes: How long the features library is fuzzed.
        cases: How many requests are made of the API's description, at least.
        soak_minutes: How long the soak lasts.
        seed: Where the soak's faults and requests come from.
    """

    model: Path
    corpus: Path
    scratch: Path
    seconds: float
    fuzz_minutes: float
    cases: int
    soak_minutes: float
    seed: int

    def folder(self, name: str) -> Path:
        """A folder of the part's own."""
        made = self.scratch / name
        made.mkdir(parents=True, exist_ok=True)
        return made


Part = Callable[[Plan], list[Check]]
"""Runs everything of one kind and says what it found; prints its progress by `say`."""


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)
