"""Tests of comparing rows of the log with answers."""

import pytest

from resilience.soak_answers import Ledger, Request
from resilience.soak_rows import MOST_COPIES, Compared, LogComparison, Row
from resilience.soak_rules import Outage
from resilience.soak_schedule import HANG, KILL, RESTART, Target

SCORES = (0.1, 0.2, 0.3, 0.2)
FLUSH = 5.0
TRANSFORMER = Target("transformer", "staging", 0)
RIGHT: list[Row] = [("one", 0.1), ("many", 0.2), ("many", 0.3), ("many", 0.2)]


def request(mails: tuple[int, ...], request_id: str = "", environment: str = "staging") -> Request:
    return Request(mails, len(mails) > 1, environment, 0, request_id)


def ledger() -> Ledger:
    """Return a ledger of two requests that were answered at 100 s."""
    found = Ledger()
    found.note_answer(request((0,)), 100, 100.1, "one", "")
    found.note_answer(request((1, 2, 3)), 100, 100.1, "many", "")
    return found


def compared(rows: list[Row], outages: list[Outage] | None = None, sent: Ledger | None = None) -> Compared:
    comparison = LogComparison(sent or ledger(), outages or [], SCORES, FLUSH)
    comparison.environment("staging", rows)
    comparison.environment("production", [])
    return comparison.found


def differences(found: Compared) -> tuple[int, int, int]:
    return len(found.missing), len(found.unexplained), len(found.foreign)


def test_rows_that_equal_the_answers_differ_in_nothing() -> None:
    found = compared(RIGHT[::-1])
    assert differences(found) == (0, 0, 0)
    assert (found.rows, found.copies, found.unanswered, sum(found.lost.values())) == (4, 0, 0, 0)


@pytest.mark.parametrize("left_out", range(4))
def test_a_mail_without_a_row_is_missing(left_out: int) -> None:
    assert differences(compared(RIGHT[:left_out] + RIGHT[left_out + 1 :])) == (1, 0, 0)


def test_a_row_of_another_mail_is_no_row_of_this_one() -> None:
    assert differences(compared([("one", 0.3), *RIGHT[1:]])) == (1, 1, 0)
    assert differences(compared([("one", 0.1 + 1e-6), *RIGHT[1:]])) == (1, 1, 0)
    assert differences(compared([("one", 0.1 + 1e-10), *RIGHT[1:]])) == (0, 0, 0)


def test_rows_in_another_environment_are_foreign_there() -> None:
    comparison = LogComparison(ledger(), [], SCORES, FLUSH)
    comparison.environment("staging", [])
    comparison.environment("production", RIGHT)
    assert differences(comparison.found) == (2, 0, 2)


def test_a_killed_transformer_explains_rows_of_its_last_flush() -> None:
    found = compared([], [Outage(TRANSFORMER, KILL, 104, 108)])
    assert differences(found) == (0, 0, 0)
    assert sum(found.lost.values()) == 4


@pytest.mark.parametrize(
    "outage",
    [
        Outage(TRANSFORMER, KILL, 107, 110),
        Outage(TRANSFORMER, KILL, 99, 103),
        Outage(TRANSFORMER, RESTART, 104, 108),
        Outage(TRANSFORMER, HANG, 104, 108),
        Outage(Target("transformer", "production", 0), KILL, 104, 108),
        Outage(Target("predictor", "staging", 0), KILL, 104, 108),
        Outage(Target("gateway", "", 0), KILL, 104, 108),
    ],
)
def test_no_other_fault_explains_missing_rows(outage: Outage) -> None:
    assert differences(compared([], [outage])) == (2, 0, 0)


def test_a_transformer_that_hangs_before_it_is_killed_writes_nothing_meanwhile() -> None:
    kill = Outage(TRANSFORMER, KILL, 112, 115)
    assert differences(compared([], [kill])) == (2, 0, 0)
    assert differences(compared([], [kill, Outage(TRANSFORMER, HANG, 103, 111)])) == (0, 0, 0)


def test_a_second_row_needs_a_fault() -> None:
    assert differences(compared([*RIGHT, RIGHT[0]])) == (0, 1, 0)
    found = compared([*RIGHT, RIGHT[0]], [Outage(TRANSFORMER, HANG, 99, 105)])
    assert differences(found) == (0, 0, 0)
    assert found.copies == 1


def test_copies_are_bounded_even_beside_a_fault() -> None:
    hung = [Outage(TRANSFORMER, HANG, 99, 105)]
    assert differences(compared([*RIGHT[1:], *[RIGHT[0]] * MOST_COPIES], hung)) == (0, 0, 0)
    assert differences(compared([*RIGHT[1:], *[RIGHT[0]] * (MOST_COPIES + 1)], hung)) == (0, 1, 0)


def test_a_row_that_nobody_asked_for_is_foreign() -> None:
    assert differences(compared([*RIGHT, ("other", 0.1)])) == (0, 0, 1)


@pytest.mark.parametrize("request_id", ["gone", ""])
def test_a_mail_whose_client_has_gone_may_have_rows_and_need_not(request_id: str) -> None:
    sent = ledger()
    sent.note_cancelled(request((2,), request_id), 100, 100.1)
    assert differences(compared(RIGHT, sent=sent)) == (0, 0, 0)
    found = compared([*RIGHT, ("gone", 0.3)], sent=sent)
    assert differences(found) == (0, 0, 0) and found.unanswered == 1
    assert differences(compared([*RIGHT, ("gone", 0.1)], sent=sent)) == (0, 0, 1)
    too_many = [*RIGHT, *[("gone", 0.3)] * (MOST_COPIES + 1)]
    assert differences(compared(too_many, sent=sent)) == (0, 0, 1)


def test_a_failed_request_may_have_rows() -> None:
    sent = ledger()
    sent.note_failure(request((2,), "failed"), 100, 110, 504, "")
    assert differences(compared([*RIGHT, ("failed", 0.3)], sent=sent)) == (0, 0, 0)
