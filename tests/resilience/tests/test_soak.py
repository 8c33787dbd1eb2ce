"""Tests of which findings of a soak fall short."""

from pathlib import Path

from bench.servers import Servers
from resilience import soak
from resilience.check import Check
from resilience.soak_answers import Ledger, Request
from resilience.soak_fleet import Fleet
from resilience.soak_growth import Growth, Looks, Size
from resilience.soak_rows import Compared

MIB = 2.0**20
REQUEST = Request((0,), False, "staging", 0, "")


def short(checks: list[Check]) -> list[str]:
    return [check.name.removeprefix("soak: ") for check in checks if not check.ok]


def test_growth_within_and_beyond_each_bound() -> None:
    first = Size(100 * MIB, 50, 5)
    assert short(soak.growth([Growth("a", first, Size(119 * MIB, 80, 9))])) == []
    assert short(soak.growth([Growth("a", first, Size(121 * MIB, 80, 9))])) == ["growth of memory"]
    assert short(soak.growth([Growth("a", first, first), Growth("b", first, Size(100 * MIB, 81, 9))])) == [
        "more open files"
    ]
    assert short(soak.growth([Growth("a", first, Size(100 * MIB, 50, 10))])) == ["more threads"]


def test_each_difference_between_log_and_answers_falls_short(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert short(soak.rows(done, Compared())) == []
    assert short(soak.rows(done, Compared(missing=["x"]))) == ["answered mails without a row"]
    assert short(soak.rows(done, Compared(unexplained=["x"]))) == ["rows beyond one a mail that no fault explains"]
    assert short(soak.rows(done, Compared(foreign=["x"]))) == ["rows of mails that nobody sent"]
    assert short(soak.rows(done, Compared(unreadable=["x"]))) == ["files of the log that cannot be read"]
    lost = Compared()
    lost.lost["staging transformer 1"] = 100_000
    assert short(soak.rows(done, lost)) == ["rows lost by one killed transformer"]


def test_each_failure_that_nothing_explains_falls_short(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert short(soak.failures(done)) == []
    done.ledger.note_failure(REQUEST, 0, 1, 0, "reset")
    assert short(soak.failures(done)) == ["connections lost to what was not killed"]
    done.ledger.note_failure(REQUEST, 0, 12, 503, "down")
    assert short(soak.failures(done)) == [
        "connections lost to what was not killed",
        "errors that no fault explains",
        "longest request beside no hung gateway",
    ]


def test_wrong_answers_undocumented_statuses_and_too_little_mail_fall_short(tmp_path: Path) -> None:
    done = made(tmp_path)
    assert short(soak.answers(done)) == []
    done.sent = 50
    done.ledger.note_answer(REQUEST, 0, 1, "id", "another's")
    done.ledger.note_failure(REQUEST, 0, 1, 418, "", "no problem")
    assert short(soak.answers(done)) == [
        "mail sent",
        "wrong answers",
        "undocumented statuses",
        "errors that are no problem details",
    ]


def test_processes_that_end_and_mails_that_stay_fall_short(tmp_path: Path) -> None:
    done = made(tmp_path)
    done.fleet.died.append("gateway 1 ended")
    done.stuck = 3
    assert short(soak.processes(done)) == [
        "processes that ended by themselves or not as told",
        "mails that gateways hold after the last answer",
        "processes that lived for two thirds",
    ]


def made(folder: Path) -> soak.Run:
    """Return a soak of one second at a peak of 100 mails a second, in which nothing failed."""
    fleet = Fleet(Servers(folder), folder, folder)
    documented = {(REQUEST.path, status) for status in (200, 503)}
    return soak.Run(fleet, Ledger(), Looks(), documented, faults=[], peak=100, start=0, end=1, sent=60, answered=60)
