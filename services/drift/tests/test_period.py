"""Tests of windows as people name them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from drift.period import HOUR, Period, parse_period

NOW = datetime(2026, 11, 24, 14, 20, 30, tzinfo=UTC)


def test_by_default_the_last_full_hour() -> None:
    found = parse_period("", NOW)
    assert found == Period(datetime(2026, 11, 24, 13, tzinfo=UTC), datetime(2026, 11, 24, 14, tzinfo=UTC))
    assert found.folder("production") == "environment=production/date=2026-11-24/hour=13"


def test_the_last_full_hour_is_one_of_utc_and_crosses_midnight() -> None:
    now = datetime(2026, 11, 25, 5, 45, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert parse_period("", now).folder("a") == "environment=a/date=2026-11-24/hour=23"


@pytest.mark.parametrize(("text", "length"), [("60m", HOUR), ("6h", 6 * HOUR), ("2d", 48 * HOUR)])
def test_durations_end_now(text: str, length: timedelta) -> None:
    assert parse_period(text, NOW) == Period(NOW - length, NOW)


def test_times_may_be_of_any_zone() -> None:
    found = parse_period("2026-11-24T14:00:00+01:00/2026-11-24T14:00:00Z", NOW)
    assert found == parse_period("", NOW) and found.start.tzinfo is UTC


@pytest.mark.parametrize("text", ["0m", "m", "5", "5s", "a/b", "2026-11-24T14:00Z", "2026-11-24/2026-11-25"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|zone"):
        parse_period(text, NOW)


def test_an_hour_off_the_clock_is_no_partition() -> None:
    start = datetime(2026, 11, 24, 13, 42, tzinfo=UTC)
    assert Period(start, start + HOUR).folder("a") == "environment=a/date=2026-11-24/hour=13-134200-144200"
