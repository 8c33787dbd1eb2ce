"""Comparison of a soak's inference log with the answers that clients got.

- Each answered mail has a row. One may be missing if `kill -9` ended a transformer of its environment before it had
  written the row. The request must then have been in progress within one flush before the kill, plus any hang of the
  transformer.
- It has only one row. More are explained if the request's environment or gateway had a fault meanwhile, because the
  request may then have been sent twice. There are `MOST_COPIES` at most.
- A mail whose client got no answer or left has up to `MOST_COPIES` rows.
- There are no other rows, and no row has another probability than the model gives.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from inferencelog import open_store, read_window
from resilience.soak_answers import TOLERANCE, Ledger
from resilience.soak_rules import Outage, met_fault
from resilience.soak_schedule import ENVIRONMENTS, HANG, KILL

MOST_COPIES = 4
"""Most rows of one mail: an attempt, two retries, and a copy that finds out whether a replica still hangs."""
LOG_HOURS = 25
"""Hours of the log that are read, longer than any soak."""
MOST_ROWS = 100_000_000
"""Most rows that are read, more than any soak makes."""
SLACK_SECONDS = 1.0
"""Seconds beyond a flush until its file is written."""

Row = tuple[str, float]
"""Request id and probability."""


@dataclass
class Compared:
    """Differences between log and answers."""

    rows: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Answered mails without a row, by the killed transformer that may have had it."""
    missing: list[str] = field(default_factory=list)
    """Answered mails without a row that no kill explains."""
    copies: int = 0
    """Number of further rows of answered mails that faults explain."""
    unexplained: list[str] = field(default_factory=list)
    """Further rows of answered mails that nothing explains."""
    unanswered: int = 0
    """Number of rows of mails whose clients got no answer."""
    foreign: list[str] = field(default_factory=list)
    """Rows of mails that nobody sent."""
    unreadable: list[str] = field(default_factory=list)
    """Files of the log that cannot be read."""


def read(uri: str, environment: str, compared: Compared) -> list[Row]:
    """Return all rows of an environment, and record files that cannot be read."""
    now = datetime.now(UTC)
    columns = ("request_id", "spam_probability")
    start, end = now - timedelta(hours=LOG_HOURS), now + timedelta(hours=1)
    window = read_window(open_store(uri), environment, start, end, columns, MOST_ROWS)
    compared.unreadable += [f"{path}: {why}" for path, why in window.unreadable.items()]
    if strange := window.other_environment + window.other_hour:
        compared.foreign.append(f"{environment}: {strange} rows of another environment or hour than their folder")
    table = window.table
    return list(zip(table["request_id"].to_pylist(), table["spam_probability"].to_pylist(), strict=True))


class Numbers:
    """Numbers of mails by probability; mails of equal probability share a number."""

    def __init__(self, scores: Sequence[float]) -> None:
        ordered = np.sort(np.asarray(scores))
        starts = np.concatenate(([True], np.diff(ordered) > TOLERANCE))
        self._scores = ordered[starts]

    def of(self, probabilities: Iterable[float]) -> list[int]:
        """Return the number of each probability; -1 if the model gives it to no mail."""
        found = np.fromiter(probabilities, float)
        places = np.clip(np.searchsorted(self._scores, found - 2 * TOLERANCE), 0, len(self._scores) - 1)
        near = np.abs(self._scores[places] - found) <= 2 * TOLERANCE
        numbers: list[int] = np.where(near, places, -1).tolist()
        return numbers


class LogComparison:
    """Comparison of the log with the ledger, environment by environment."""

    def __init__(self, ledger: Ledger, outages: Sequence[Outage], scores: Sequence[float], flush: float) -> None:
        self._ledger = ledger
        self._outages = outages
        self._numbers = Numbers(scores)
        self._of_mail = self._numbers.of(scores)
        self._losses = list(losses(outages, flush))
        self.found = Compared()

    def of_log(self, uri: str) -> Compared:
        """Compare all rows of a log."""
        for environment in ENVIRONMENTS:
            self.environment(environment, read(uri, environment, self.found))
        return self.found

    def environment(self, environment: str, rows: Sequence[Row]) -> None:
        """Compare the rows of one environment."""
        self.found.rows += len(rows)
        by_id: dict[str, Counter[int]] = {}
        for (request_id, _), number in zip(rows, self._numbers.of(row[1] for row in rows), strict=True):
            by_id.setdefault(request_id, Counter())[number] += 1
        for (where, request_id), (start, end, gateway, mails) in self._ledger.answered.items():
            if where == environment:
                wanted = Counter(self._of_mail[mail] for mail in mails)
                given = by_id.pop(request_id, Counter())
                self._answered(f"{environment}, {request_id}", wanted, given, (start, end, environment, gateway))
        self._rest(environment, by_id)

    def _answered(
        self, name: str, wanted: Counter[int], given: Counter[int], life: tuple[float, float, str, int]
    ) -> None:
        start, end, environment, gateway = life
        if missing := (wanted - given).total():
            killed = [loss.outage for loss in self._losses if loss.explains(start, end, environment)]
            if killed:
                self.found.lost[f"{killed[0].target} at {killed[0].start:.1f}"] += missing
            else:
                self.found.missing.append(f"{name}: {missing} of {wanted.total()} mails")
        if more := (given - wanted).total():
            bounded = all(n <= MOST_COPIES * wanted[number] for number, n in given.items())
            if bounded and met_fault(start, end, environment, gateway, self._outages):
                self.found.copies += more
            else:
                self.found.unexplained.append(f"{name}: {given.total()} rows of {wanted.total()} mails")

    def _rest(self, environment: str, by_id: dict[str, Counter[int]]) -> None:
        """Find the requests of rows that belong to no answer."""
        nameless: Counter[int] = Counter()
        for each in self._ledger.unanswered:
            if each.request.environment == environment:
                allowed = Counter({self._of_mail[mail]: 0 for mail in each.request.mails})
                for mail in each.request.mails:
                    allowed[self._of_mail[mail]] += MOST_COPIES
                if not each.request.id:
                    nameless += allowed
                elif given := by_id.pop(each.request.id, None):
                    self._note(f"{environment}, {each.request.id}", given, allowed)
        for request_id, given in by_id.items():
            self._note(f"{environment}, {request_id}", given, nameless)
            nameless -= given

    def _note(self, name: str, given: Counter[int], allowed: Counter[int]) -> None:
        if more := given - allowed:
            self.found.foreign.append(f"{name}: {more.total()} rows")
        self.found.unanswered += (given & allowed).total()


@dataclass(frozen=True)
class Loss:
    """Loss of a killed transformer: rows of requests that were in progress from `since` until its end."""

    outage: Outage
    since: float

    def explains(self, start: float, end: float, environment: str) -> bool:
        """Return whether a mail of this request may be among them."""
        return environment == self.outage.target.environment and start <= self.outage.start and end >= self.since


def losses(outages: Sequence[Outage], flush: float) -> Iterator[Loss]:
    """Yield what each killed transformer may have lost; a hanging one does not write meanwhile."""
    for killed in outages:
        if killed.kind == KILL and killed.target.tier == "transformer":
            since = killed.start - flush - SLACK_SECONDS
            hung = [each for each in outages if each.kind == HANG and each.target == killed.target]
            before = [each.start - flush for each in hung if each.end >= since and each.start <= killed.start]
            yield Loss(killed, min([since, *before]))
