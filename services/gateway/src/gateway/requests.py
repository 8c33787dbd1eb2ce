"""Bodies and headers of requests, read within limits."""

import json
import re
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from gateway import problems

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class PredictRequest(BaseModel):
    """One mail."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email_content: str = Field(
        description="Plain text or a whole raw RFC 5322 message, 1 MiB of UTF-8 at most.",
        examples=["Subject: Meeting\n\nSee you at ten."],
    )


class BatchPredictRequest(BaseModel):
    """Several mails, 1 to 1,000."""

    model_config = ConfigDict(extra="forbid", strict=True)

    emails: list[str] = Field(
        min_length=1,
        description="As `email_content` of a single request; answered in this order.",
        examples=[["Subject: Meeting\n\nSee you at ten.", "You have won $1,000,000!!!"]],
    )


Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body.

    Raises:
        Problem: It announces or sends more than `limit` bytes (413); the rest is not read.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise problems.too_large("the body", limit)
    message = await request.receive()
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise problems.too_large("the body", limit)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = await request.receive()
    raise ClientDisconnect


def parse(model: type[Body], body: bytes) -> Body:
    """The body as one of the API's requests.

    Lone surrogates, which JSON can express and Unicode cannot, become U+FFFD.

    Raises:
        Problem: It is none (422).
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if _SURROGATE_ESCAPE.search(body) and (mended := _without_surrogates(body)):
            return parse(model, mended)
        raise problems.invalid_body(_errors(error)) from None


def _without_surrogates(body: bytes) -> bytes | None:
    """The same JSON without lone surrogates; None when it has none or is no JSON."""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    mended, changes = _SURROGATE.subn("\ufffd", text)
    return mended.encode() if changes else None


def _errors(error: ValidationError) -> list[dict[str, str]]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [{"field": ".".join(map(str, each["loc"])) or "body", "reason": each["msg"]} for each in found[:20]]


def check_count(emails: Sequence[str], limit: int) -> None:
    """Refuse more mails than one request may hold.

    Raises:
        Problem: There are more (422).
    """
    if len(emails) > limit:
        reason = f"{len(emails):,} mails; at most {limit:,} in one request, send the rest in another"
        raise problems.invalid_body([{"field": "emails", "reason": reason}])


def sizes(emails: Sequence[str], limit: int) -> list[int]:
    """Bytes of each mail in UTF-8.

    Raises:
        Problem: A mail is larger than `limit` (413).
    """
    found = [len(email) if email.isascii() else len(email.encode()) for email in emails]
    for i, size in enumerate(found):
        if size > limit:
            raise problems.too_large(f"mail {i}" if len(found) > 1 else "the mail", limit)
    return found
