"""Answers of the Open Inference Protocol v2: bounded reading, and checks that both hops make.

An answer is checked before anything of it is passed on. The checks raise what `UNREADABLE` names.
"""

from collections.abc import AsyncIterable
from typing import Any

import orjson

from contract import tensors
from contract.limits import LONGEST_VERSION, SHA256, is_probability

REASON_CHARACTERS = 500
"""Characters of a server's own message that are passed on."""
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""Errors of reading an answer that is not what it should be."""


async def read_bounded(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """Return all bytes of an answer.

    Raises:
        ValueError: The answer exceeds `limit`; at most one chunk beyond it is read.
    """
    read: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise ValueError(f"it is longer than {limit:,} bytes")
        read.append(chunk)
    return read[0] if len(read) == 1 else b"".join(read)


def read_answer(body: bytes, request_id: str) -> dict[str, Any]:
    """Return the answer to this request.

    Raises:
        ValueError, TypeError: The body is no JSON object, an error, or the answer to another request.
    """
    answer: dict[str, Any] = orjson.loads(body)
    if "error" in answer:
        raise ValueError(f"it is an error with status 200: {str(answer['error'])[:REASON_CHARACTERS]}")
    if answer.get("id") not in (None, "", request_id):
        raise ValueError("it answers another request")
    return answer


def model_version(version: object) -> str:
    """Return a valid model version, which appears in answers, log lines and the inference log."""
    if not isinstance(version, str) or not 0 < len(version) <= LONGEST_VERSION or not version.isprintable():
        raise ValueError(f"model_version is no text of 1 to {LONGEST_VERSION} printable characters")
    return version


def model_sha256(parameters: dict[str, Any]) -> str:
    """Return the digest of the model's bundle, or "" if the answer has none."""
    sha256: str = parameters.get(tensors.MODEL_SHA256, "")
    if sha256 and not SHA256.fullmatch(sha256):
        raise ValueError("model_sha256 is no SHA-256")
    return sha256


def threshold(parameters: dict[str, Any]) -> float | None:
    """Return the threshold, or None if the answer has none."""
    found = parameters.get(tensors.THRESHOLD)
    if found is None:
        return None
    if not is_probability(found):
        raise ValueError(f"threshold {str(found)[:50]!r} is not a number between 0 and 1")
    return float(found)


def error_text(body: bytes) -> str | None:
    """Return the protocol's `error` of an answer, or None if it has none."""
    try:
        return str(orjson.loads(body)["error"])[:REASON_CHARACTERS]
    except (ValueError, LookupError, TypeError):
        return None


def printable(text: str) -> str:
    """Return a text on one line, with a question mark for each character that cannot be printed."""
    return "".join(each if each.isprintable() else "?" for each in text)
