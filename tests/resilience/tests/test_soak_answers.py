"""Tests of which answers of a soak are right."""

import json
from typing import Any

import pytest

from resilience.soak_answers import Ledger, Request, Truth, fault_of, fault_of_problem

TRUTH = Truth(mails=[b'"a"', b'"b"'], scores=[0.2, 0.9], threshold=0.5, sha256="ab")
HEADERS = {"X-Request-ID": "id", "X-Model-SHA256": "ab"}
ORIGIN = {"threshold": 0.5, "request_id": "id"}
SINGLE = Request((1,), False, "staging", 0, "id")
BATCH = Request((1, 0), True, "production", 0, "")


def single(**changed: Any) -> dict[str, Any]:
    return {"prediction": "spam", "spam_probability": 0.9, **ORIGIN, "environment": "staging"} | changed


def batch(*mails: int, **changed: Any) -> dict[str, Any]:
    verdicts = [{"prediction": ("ham", "spam")[mail], "spam_probability": TRUTH.scores[mail]} for mail in mails]
    return {"predictions": verdicts, "count": len(mails), **ORIGIN, "environment": "production"} | changed


def test_bodies_are_json() -> None:
    assert json.loads(SINGLE.body(TRUTH)) == {"email_content": "b"}
    assert json.loads(BATCH.body(TRUTH)) == {"emails": ["b", "a"]}


def test_right_answers_have_no_fault() -> None:
    assert not fault_of(SINGLE, TRUTH, HEADERS, single())
    assert not fault_of(SINGLE, TRUTH, HEADERS, single(spam_probability=0.9 + 5e-10))
    assert not fault_of(BATCH, TRUTH, HEADERS, batch(1, 0))


@pytest.mark.parametrize(
    "changed",
    [
        {"spam_probability": 0.9 + 2e-9},
        {"spam_probability": float("nan")},
        {"prediction": "ham"},
        {"environment": "production"},
        {"threshold": 0.6},
        {"request_id": "other"},
    ],
)
def test_an_answer_of_another_mail_model_or_request_is_wrong(changed: dict[str, Any]) -> None:
    assert fault_of(SINGLE, TRUTH, HEADERS, single(**changed))


@pytest.mark.parametrize("answer", [batch(0, 1), batch(1), batch(1, 0, 0), batch(1, 0, count=3)])
def test_a_batch_in_another_order_or_number_is_wrong(answer: dict[str, Any]) -> None:
    assert fault_of(BATCH, TRUTH, HEADERS, answer)


@pytest.mark.parametrize("changed", [{"X-Request-ID": "other"}, {"X-Model-SHA256": "cd"}, {"X-Model-SHA256": ""}])
def test_headers_must_say_the_same(changed: dict[str, str]) -> None:
    assert fault_of(SINGLE, TRUTH, HEADERS | changed, single())


def test_an_error_is_a_problem_and_a_503_says_when_to_come_back() -> None:
    body = json.dumps({"status": 503, "detail": "full", "request_id": "id"}).encode()
    headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
    assert not fault_of_problem(503, headers, body)
    assert fault_of_problem(503, headers | {"Retry-After": ""}, body)
    assert fault_of_problem(502, headers, body)
    assert fault_of_problem(503, headers | {"Content-Type": "text/plain"}, body)


def test_one_id_for_two_requests_is_wrong() -> None:
    ledger = Ledger()
    ledger.note_answer(SINGLE, 0, 1, "id", "")
    assert not ledger.wrong
    ledger.note_answer(SINGLE, 0, 1, "id", "")
    assert len(ledger.wrong) == 1
