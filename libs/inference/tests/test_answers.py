from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from inference import read_bounded
from inference.answers import error_text, model_sha256, model_version, printable, read_answer, threshold

SHA256 = "ab" * 32


async def test_answers_are_read_up_to_their_limit() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"abcd"

    assert await read_bounded(chunks(), 12) == b"abcdabcdabcd"
    with pytest.raises(ValueError, match="longer than 11 bytes"):
        await read_bounded(chunks(), 11)


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": ""}, {"id": "mine"}])
def test_an_answer_may_repeat_its_requests_id(answer: dict[str, Any]) -> None:
    assert read_answer(orjson.dumps(answer), "mine") == answer


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"garbage", "unexpected character"),
        (b'{"outputs": [NaN]}', "unexpected character"),
        (b'{"id": "mine"', "unexpected end"),
        (b'{"id": "another"}', "it answers another request"),
        (b'{"id": ["mine"]}', "it answers another request"),
        (b'{"error": "but with status 200"}', "it is an error with status 200: but with status 200"),
    ],
)
def test_other_answers_are_refused(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_answer(body, "mine")


def test_a_long_error_is_shortened() -> None:
    with pytest.raises(ValueError, match="status 200") as raised:
        read_answer(orjson.dumps({"error": "x" * 10_000}), "mine")
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("version", ["7", "v" * 128, "2026-11-30 a"])
def test_a_version_is_printable_text(version: str) -> None:
    assert model_version(version) == version


@pytest.mark.parametrize("version", [7, None, "", "7\n", "7\nlevel=error", "7" * 129])
def test_no_other_version_is_passed_on(version: object) -> None:
    with pytest.raises(ValueError, match="model_version is no text of 1 to 128 printable characters"):
        model_version(version)


@pytest.mark.parametrize(("parameters", "expected"), [({}, ""), ({"model_sha256": SHA256}, SHA256)])
def test_a_digest_is_optional(parameters: dict[str, Any], expected: str) -> None:
    assert model_sha256(parameters) == expected


@pytest.mark.parametrize("wrong", ["ab\r\nSet-Cookie: x", "AB" * 32, "ab" * 33])
def test_no_other_digest_is_passed_on(wrong: str) -> None:
    with pytest.raises(ValueError, match="model_sha256 is no SHA-256"):
        model_sha256({"model_sha256": wrong})


@pytest.mark.parametrize(("parameters", "expected"), [({}, None), ({"threshold": None}, None), ({"threshold": 1}, 1.0)])
def test_a_threshold_is_optional(parameters: dict[str, Any], expected: float | None) -> None:
    assert threshold(parameters) == expected


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 5, "0.5", "", True, False, [0.5], {"is": 0.5}, 10**30])
def test_no_other_threshold_is_passed_on(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a number between 0 and 1") as raised:
        threshold({"threshold": wrong})
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"error": "asleep"}', "asleep"), (b'{"error": 7}', "7"), (b"{}", None), (b"[]", None), (b"asleep", None)],
)
def test_the_protocols_error_is_found(body: bytes, expected: str | None) -> None:
    assert error_text(body) == expected


def test_what_cannot_be_printed_is_masked() -> None:
    assert printable("a\r\n\u202eb") == "a???b"
