"""Request bodies, read and parsed within limits."""

import json
import re
from collections.abc import Sequence
from time import perf_counter
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from gateway import problems
from gateway.http import body_hints, large_body
from gateway.http.large_body import Mails
from gateway.http.request_record import record_of
from gateway.http.turns import Turns
from gateway.settings import GatewaySettings
from httpserver import EXTENSION, Exchange

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")

FIELD_CHARACTERS = 100
"""Characters of a field's name that an answer repeats; a client may send a name of any length."""
ERROR_LIMIT = 20


class UnknownField(Exception):
    """The body has a field of this name, which the API does not know."""


def _refuse(name: str) -> None:
    raise UnknownField(name)


class _Request(BaseModel):
    """A body that is refused at its first fault.

    pydantic would make an error for each unknown field and each wrong element: millions for a body of 16 MiB.
    """

    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra={"additionalProperties": False})

    __pydantic_extra__: dict[Annotated[str, BeforeValidator(_refuse)], Any]


class PredictRequest(_Request):
    """One mail."""

    email_content: str = Field(
        description="Plain text or a whole raw RFC 5322 message, 1 MiB of UTF-8 at most.",
        examples=["Subject: Meeting\n\nSee you at ten."],
    )


class BatchPredictRequest(_Request):
    """Several mails, 1 to 1,000."""

    emails: Annotated[list[str], FailFast()] = Field(
        min_length=1,
        description="As `email_content` of a single request; answered in this order.",
        examples=[["Subject: Meeting\n\nSee you at ten.", "You have won $1,000,000!!!"]],
    )


Body = TypeVar("Body", bound=BaseModel)
Buffer = TypeVar("Buffer", bytes, bytearray)


INLINE_BYTES = 32 * 1024
"""Bytes of the largest body that is read in one go: a millisecond of work, whatever it holds."""
READ_SECONDS = 0.0005
"""Seconds of one turn of the event loop spent on a large body; a piece begun within them is finished."""
LARGE = "large body"
"""Kind of turn that a piece of a large body waits for."""


class ArrivingRoom(Protocol):
    """Room for the bytes of unfinished bodies, which wait in memory.

    A body that arrives in one piece, as most do, never waits and is not counted.
    """

    def arriving(self, size: int) -> None:
        """Count bytes that have arrived.

        Raises:
            Problem: 503 if there is no room.
        """

    def arrived(self, size: int) -> None:
        """Release bytes."""


async def read_body(request: Request, settings: GatewaySettings, room: ArrivingRoom, turns: Turns) -> bytes | bytearray:
    """Return the request's body; a large one arrives in pieces, each of which waits for its turn.

    Raises:
        Problem: 415 if the body is encoded, 413 if it announces or sends more than `MAX_BODY_BYTES`, 408 if it takes
            longer than `MAX_BODY_SECONDS`, 503 if too many others are arriving. The rest is not read.
    """
    limit = settings.max_body_bytes
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise problems.encoded_body(encoding)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise problems.too_large("the body", limit)
    message = await request.receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        return _within(body, limit)
    chunks = bytearray()
    exchange: Exchange | None = request.scope.get("extensions", {}).get(EXTENSION)
    try:
        while message["type"] == "http.request":
            if exchange is not None and exchange.body_is_late:
                record_of(request.scope).body_late = True
                raise problems.too_slow("the body", settings.max_body_seconds)
            room.arriving(len(message.get("body", b"")))
            chunks += message.get("body", b"")
            _within(chunks, limit)
            if not message.get("more_body", False):
                return chunks
            if len(chunks) > INLINE_BYTES:
                await turns.next(LARGE)
            message = await request.receive()
    finally:
        room.arrived(len(chunks))
    raise ClientDisconnect


def _within(body: Buffer, limit: int) -> Buffer:
    if len(body) > limit:
        raise problems.too_large("the body", limit)
    return body


async def read_mails(model: type[Body], body: bytes | bytearray, settings: GatewaySettings, turns: Turns) -> Mails:
    """Return the mails of a body. A large body is read in pieces, each of which waits for its turn.

    Raises:
        Problem: 422 if the body does not match the API, 413 if a mail is larger than `MAX_MAIL_BYTES`.
    """
    is_batch = issubclass(model, BatchPredictRequest)
    if len(body) > INLINE_BYTES:
        most = settings.max_emails if is_batch else None
        return await _in_turns(large_body.read(body, _only_field(model), settings.max_mail_bytes, most), turns)
    read = parse(model, bytes(body))
    contents = read.emails if isinstance(read, BatchPredictRequest) else [getattr(read, _only_field(model))]
    if is_batch:
        check_count(contents, settings.max_emails)
    return Mails(contents, sizes(contents, settings.max_mail_bytes))


async def _in_turns(pieces: large_body.Pieces, turns: Turns) -> Mails:
    while True:
        await turns.next(LARGE)
        until = perf_counter() + READ_SECONDS
        try:
            next(pieces)
            while perf_counter() < until:
                next(pieces)
        except StopIteration as end:
            found: Mails = end.value
            return found


def parse(model: type[Body], body: bytes) -> Body:
    """Return the body as one of the API's requests.

    Lone surrogates, which JSON can express and Unicode cannot, become U+FFFD.

    Raises:
        Problem: 422 if the body does not match the request.
    """
    try:
        return model.model_validate_json(body)
    except UnknownField as unknown:
        reason = body_hints.unknown_field(_only_field(model), str(unknown))
        raise problems.invalid_body([{"field": str(unknown)[:FIELD_CHARACTERS], "reason": reason}]) from None
    except ValidationError as error:
        if _SURROGATE_ESCAPE.search(body) and (mended := _without_surrogates(body)):
            return parse(model, mended)
        raise problems.invalid_body(_errors(error, body, _only_field(model))) from None


def _without_surrogates(body: bytes) -> bytes | None:
    """Return the same JSON without lone surrogates, or None if it has none or is invalid."""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    mended, changes = _SURROGATE.subn("\ufffd", text)
    return mended.encode() if changes else None


def _only_field(model: type[BaseModel]) -> str:
    """Return the one field that each body of the API has."""
    (name,) = model.model_fields
    return name


def _errors(error: ValidationError, body: bytes, field: str) -> list[dict[str, str]]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        {"field": _field(each["loc"]), "reason": _reason(each["type"], each["msg"], body, field)}
        for each in found[:ERROR_LIMIT]
    ]


def _reason(kind: str, message: str, body: bytes, field: str) -> str:
    if kind == "json_invalid":
        return body_hints.not_json(body, field, message)
    if kind == "model_type":
        return body_hints.not_an_object(body, field)
    return body_hints.wrong_field(kind, field, message)


def _field(steps: tuple[int | str, ...]) -> str:
    return ".".join(map(str, steps))[:FIELD_CHARACTERS] or "body"


def check_count(emails: Sequence[str], limit: int) -> None:
    """Check that a request does not hold too many mails.

    Raises:
        Problem: 422 if there are more than `limit`.
    """
    if len(emails) > limit:
        reason = f"{len(emails):,} mails; at most {limit:,} in one request, send the rest in another"
        raise problems.invalid_body([{"field": "emails", "reason": reason}])


def sizes(emails: Sequence[str], limit: int) -> list[int]:
    """Return each mail's size in bytes of UTF-8.

    Raises:
        Problem: 413 if a mail is larger than `limit`.
    """
    found = [len(email) if email.isascii() else len(email.encode()) for email in emails]
    for i, size in enumerate(found):
        if size > limit:
            raise problems.too_large(f"mail {i}" if len(found) > 1 else "the mail", limit)
    return found
