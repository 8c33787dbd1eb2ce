import json

import pytest
from pydantic import ValidationError

from gateway.http import bodies
from gateway.http.bodies import BatchPredictRequest, PredictRequest
from gateway.problems import Problem
from gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"not json", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (b"{}", "email_content"),
        (b'{"email_content": 5}', "email_content"),
        (b'{"email_content": null}', "email_content"),
        (b'{"email_content": "a", "more": 1}', "more"),
        (b'{"email_content": 5, "a": "\\ud800"}', "a"),
        (b"[" * 100_000, "body"),
    ],
)
def test_wrong_bodies_name_the_field(body: bytes, field: str) -> None:
    with pytest.raises(Problem) as raised:
        bodies.parse(PredictRequest, body)
    assert raised.value.status == 422
    assert field in [error["field"] for error in raised.value.members["errors"]]


def test_lone_surrogates_are_replaced() -> None:
    body = json.dumps({"email_content": "caf\udce9 \ud83d\ude00 ü"}).encode()
    assert bodies.parse(PredictRequest, body).email_content == "caf\ufffd \U0001f600 ü"


def test_a_batch_has_one_mail_at_least_and_a_thousand_at_most() -> None:
    with pytest.raises(Problem, match="emails"):
        bodies.parse(BatchPredictRequest, b'{"emails": []}')
    with pytest.raises(Problem, match=r"1,001 mails; at most 1,000") as raised:
        bodies.check_count(["a"] * 1001, 1000)
    assert raised.value.status == 422
    bodies.check_count(["a"] * 1000, 1000)


def test_a_mail_is_measured_in_bytes_of_utf8() -> None:
    assert bodies.sizes(["abc", "ü" * 2], 4) == [3, 4]
    with pytest.raises(Problem, match="mail 1 is larger than 4 bytes") as raised:
        bodies.sizes(["abc", "ü" * 3], 4)
    assert raised.value.status == 413


def test_settings_refuse_an_unknown_default_environment() -> None:
    with pytest.raises(ValidationError, match="DEFAULT_ENVIRONMENT=test is not in ENVIRONMENTS; known: staging"):
        GatewaySettings(environments={"staging": "http://127.0.0.1:1"}, default_environment="test")  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "body",
    [
        b'{"emails": [' + b"1," * 100_000 + b"1]}",
        b'{"emails": [], ' + b", ".join(b'"a%d": 1' % number for number in range(100_000)) + b"}",
        b'{"' + b"a" * 1_000_000 + b'": 1}',
    ],
    ids=["elements", "fields", "a long name"],
)
def test_a_body_wrong_in_many_places_is_refused_at_the_first(body: bytes) -> None:
    with pytest.raises(Problem) as raised:
        bodies.parse(BatchPredictRequest, body)
    assert len(raised.value.members["errors"]) == 1
    assert len(raised.value.detail) < 300
