"""Period of the log that is compared with the baseline."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from inferencelog.schema import partition

HOUR = timedelta(hours=1)
_UNITS = {"m": timedelta(minutes=1), "h": HOUR, "d": timedelta(days=1)}
_LAST = re.compile(r"([1-9][0-9]{0,4})([mhd])")

EXPECTED = "a duration up to now such as 60m, 6h or 7d, or START/END as ISO times with a zone (2026-11-24T13:00:00Z)"


@dataclass(frozen=True, slots=True)
class Period:
    """Period with start <= time < end, in UTC."""

    start: datetime
    end: datetime

    @property
    def is_one_hour(self) -> bool:
        """Return whether the period is exactly one partition of the log."""
        return self.end - self.start == HOUR and self.start == _full_hour(self.start)

    def folder(self, environment: str) -> str:
        """Return the folder of the period's report.

        It is named like the partition in the log. If the period is not one hour, it also carries the exact times.
        """
        hour = partition(environment, self.start)
        if self.is_one_hour:
            return hour
        date = "" if self.start.date() == self.end.date() else f"{self.end:%Y%m%dT}"
        return f"{hour}-{self.start:%H%M%S}-{date}{self.end:%H%M%S}"


def parse_period(text: str, now: datetime) -> Period:
    """Return the period that a person names.

    Args:
        text: `EXPECTED`, or "" for the last full hour.
        now: Current time, with a time zone.

    Raises:
        ValueError: If the text has another form, or if the period ends before it starts.
    """
    now = now.astimezone(UTC)
    if not text:
        return Period(_full_hour(now) - HOUR, _full_hour(now))
    if last := _LAST.fullmatch(text):
        return Period(now - int(last[1]) * _UNITS[last[2]], now)
    start, slash, end = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no window; expected {EXPECTED}")
    found = Period(_time(start), _time(end))
    if found.end <= found.start:
        raise ValueError(f"the window ends at {end}, not after its start at {start}")
    return found


def _full_hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; expected {EXPECTED}") from None
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; append Z for UTC, or +01:00 and the like")
    return time.astimezone(UTC)
