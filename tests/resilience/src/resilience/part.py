"""Part of the suite: its arguments and its results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resilience.check import Check


@dataclass(frozen=True)
class Plan:
    """Settings of a run.

    Args:
        model: Folder of a model bundle.
        corpus: Folder whose folders hold mails, one file each.
        scratch: Folder for logs and findings; created anew.
        seconds: Seconds of overload, over all its floods together.
        fuzz_minutes: Minutes of fuzzing the features library.
        cases: Fewest requests made from the API's description.
        soak_minutes: Minutes of the soak.
        seed: Seed of the soak's faults and requests.
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
        """Create a folder for a part and return it."""
        made = self.scratch / name
        made.mkdir(parents=True, exist_ok=True)
        return made


Part = Callable[[Plan], list[Check]]
"""Function that runs all checks of one kind and returns them; it prints its progress by `say`."""


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)
