"""Result of looking through a corpus: its mails, and what was left out."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from corpus.errors import shown
from corpus.mails import MailFile

EXAMPLES = 2
"""Most names given for one reason to skip."""


@dataclass(slots=True)
class Survey:
    """Mails of a corpus, and the other files there."""

    root: Path
    mails: list[MailFile] = field(default_factory=list)
    """Mails in the order of their names."""
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Names of the files and mails left out, by reason."""
    cut: int = 0
    """Number of mails larger than `SIZE_LIMIT`, of which only the beginning is read."""

    def count(self, spam: bool) -> int:
        """Return how many mails are of a kind."""
        return sum(mail.spam is spam for mail in self.mails)

    def skip(self, reason: str, path: Path, number: int = 0) -> None:
        """Note that a file was left out, or one mail of it."""
        name = shown(path.relative_to(self.root)) if path != self.root else shown(Path(path.name))
        self.skipped[reason].append(f"{name}#{number}" if number else name)

    def remarks(self) -> str:
        """Return one line that says what was left out and why; empty if nothing was."""
        parts = []
        if self.skipped:
            reasons = ", ".join(_reason(*each) for each in sorted(self.skipped.items()))
            parts.append(f"skipped {sum(map(len, self.skipped.values()))}: {reasons}")
        if self.cut:
            parts.append(f"read only the first MiB of {self.cut} larger mails")
        return "; ".join(parts)


def _reason(reason: str, names: list[str]) -> str:
    more = ", …" if len(names) > EXAMPLES else ""
    return f"{len(names)} {reason} ({', '.join(names[:EXAMPLES])}{more})"
