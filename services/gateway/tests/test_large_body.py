"""Large bodies: reading in pieces gives the same mails as the parser, and no piece is large."""

import asyncio
import json
import random
from itertools import pairwise
from typing import Any

import pytest
from bombs import MANY, MIB, ONE, Bomb
from starlette.requests import Request
from waiting import turns

from gateway.http import bodies, large_body
from gateway.http.bodies import BatchPredictRequest, PredictRequest
from gateway.http.large_body import PIECE_BYTES, Mails, PieceReader
from gateway.http.turns import Turns
from gateway.problems import Problem
from gateway.settings import GatewaySettings

SIZE = 2 * MIB
MODELS = {"email_content": (PredictRequest, None), "emails": (BatchPredictRequest, 20)}
TEXTS = [
    "",
    "a",
    "See you at ten.\r\n",
    "ü",
    "中文",
    "\U0001f600",
    "\ud83d",
    "\ude00",
    "\ud83d\ud83d\ude00",
    "\ude00\ud83d",
    '"',
    "\\",
    "\\ud83d",
    "\x7f\x00\x1f",
]


def whole(body: bytes, name: str, largest: int = MIB) -> Mails:
    """Return the mails as the parser reads them in one go."""
    model, most = MODELS[name]
    read = bodies.parse(model, body)
    contents = [read.email_content] if isinstance(read, PredictRequest) else read.emails
    if most:
        bodies.check_count(contents, most)
    return Mails(contents, bodies.sizes(contents, largest))


def pieced(body: bytes, name: str, largest: int = MIB) -> Mails:
    """Return the mails as read in pieces."""
    pieces = large_body.read(body, name, largest, MODELS[name][1])
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            found: Mails = end.value
            return found


def outcome(read: object, body: bytes, name: str) -> object:
    try:
        return read(body, name)  # type: ignore[operator]
    except Problem as problem:
        return problem.status


def body_of(chance: random.Random, name: str) -> bytes:
    """Return a valid body, written in one of many ways."""

    def text() -> str:
        return "".join(chance.choices(TEXTS, k=chance.randrange(6)))

    value = text() if name == "email_content" else [text() for _ in range(chance.randint(1, 20))]
    ascii_only = chance.random() < 0.5
    written = json.dumps({name: value}, ensure_ascii=ascii_only, indent=chance.choice([None, 1]))
    return written.encode("utf-8", "surrogatepass" if ascii_only else "replace")


@pytest.fixture(params=[1, 2, 3, 7, 64, PIECE_BYTES])
def piece_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Set the piece size, also so small that a piece ends at every place of a body."""
    monkeypatch.setattr(large_body, "PIECE_BYTES", max(request.param, 12))
    return int(request.param)


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize("name", MODELS)
def test_right_bodies_are_read_alike(name: str) -> None:
    chance = random.Random(name)
    for _ in range(300):
        body = body_of(chance, name)
        shifted = b" " * chance.randrange(13) + body
        assert pieced(shifted, name) == whole(shifted, name), shifted


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize("name", MODELS)
def test_bodies_with_a_wrong_byte_are_judged_alike(name: str) -> None:
    chance = random.Random(name)
    for _ in range(1500):
        body = bytearray(body_of(chance, name))
        at = chance.randrange(len(body))
        if chance.random() < 0.5:
            body[at] = chance.choice(b' "\\{}[],:u0dD8a\x00\x80\xff\n1')
        else:
            del body[at : at + chance.randint(1, 3)]
        assert outcome(pieced, bytes(body), name) == outcome(whole, bytes(body), name), bytes(body)


@pytest.mark.parametrize(
    ("name", "body", "field", "reason"),
    [
        ("email_content", b'{"more": 1}', "more", "unknown; known: email_content"),
        ("email_content", b'{"emails": ["a"]}', "emails", "several mails go to POST /api/v1/batch-predict"),
        ("emails", b'{"email_content": "a"}', "email_content", "one mail goes to POST /api/v1/predict"),
        ("email_content", b"{}", "email_content", "is missing; send"),
        ("email_content", b'{"email_content": ["a"]}', "email_content", "must be one string, the mail"),
        ("emails", b'{"emails": "a"}', "emails", "must be a list of strings"),
        ("emails", b'{"emails": []}', "emails", "holds no mail"),
        ("emails", b'{"emails": ["a", 5, "b"]}', "emails.1", "must be a string, the mail"),
        (
            "emails",
            b'{"emails": [' + b'"a",' * 20 + b'"a"]}',
            "emails",
            "more than 20 mails; at most 20 in one request",
        ),
        ("email_content", b"[]", "body", "is a JSON list"),
        ("email_content", b'"{}"', "body", "was encoded twice"),
        ("email_content", b"", "body", "is empty"),
        ("email_content", b"Subject: a\n\nb", "body", "looks like a raw mail"),
        ("email_content", b'{"email_content": "a\nb"}', "body", "line break or another control character"),
        ("email_content", b'{\n"email_content": "a" "b"}', "body", "at line 2 column 22"),
        ("email_content", b'{"email_content": "\xff"}', "body", "is not UTF-8"),
        ("email_content", b"{" + b'"email_content": "a",' * 99 + b'"email_content": "a"}', "email_content", "once"),
    ],
)
def test_what_is_wrong_is_told_as_in_a_small_body(name: str, body: bytes, field: str, reason: str) -> None:
    with pytest.raises(Problem) as raised:
        pieced(body, name)
    (error,) = raised.value.members["errors"]
    assert error["field"] == field
    assert reason in error["reason"]
    assert raised.value.status == 422


def test_a_mail_is_refused_as_soon_as_it_is_over_its_limit() -> None:
    for name, body, what in (
        ("email_content", b'{"email_content": "' + b"a" * SIZE, "the mail"),
        ("emails", b'{"emails": ["b", "' + b"\\u4e2d" * SIZE, "mail 1"),
    ):
        reader = PieceReader(body, name, 1000, MODELS[name][1])
        with pytest.raises(Problem, match=f"{what} is larger than 1,000 bytes") as raised:
            for _ in reader.read():
                pass
        assert raised.value.status == 413
        assert reader.position <= PIECE_BYTES + len(b'{"email_content": "')


BOMBS = [*(("email_content", key) for key in ONE), *(("emails", key) for key in MANY)]


@pytest.mark.parametrize(("name", "bomb"), BOMBS)
def test_no_piece_of_a_bomb_is_large_and_no_bomb_builds_much(name: str, bomb: str) -> None:
    made: Bomb = (ONE | MANY)[bomb]
    reader = PieceReader(made(SIZE), name, MIB, None if name == "email_content" else 1000)
    pieces, ends = reader.read(), [0]
    found: object = None
    while found is None:
        try:
            next(pieces)
        except StopIteration as end:
            found = end.value
        except Problem as problem:
            found = problem
        ends.append(reader.position)
    assert max(end - begin for begin, end in pairwise(ends)) <= 2 * PIECE_BYTES
    if isinstance(found, Mails):
        assert found.sizes == [len(content.encode()) for content in found.contents]
        assert len(found.sizes) <= 1000
        assert max(found.sizes) <= MIB
    else:
        assert isinstance(found, Problem)
        assert found.status in (413, 422)
        assert len(found.detail) < 700


@pytest.mark.parametrize("name", MODELS)
def test_a_bomb_is_refused_whichever_way_it_is_read(name: str) -> None:
    for key, made in (ONE if name == "email_content" else MANY).items():
        body = made(20_000)
        in_one_go, in_pieces = outcome(whole, body, name), outcome(pieced, body, name)
        if in_one_go != in_pieces:
            assert key in ("same field", "same field, many"), (key, in_one_go, in_pieces)


class NoLimit:
    """Room for any number of bytes."""

    def arriving(self, size: int) -> None: ...

    def arrived(self, size: int) -> None: ...


async def test_pieces_of_a_large_body_arrive_in_turns() -> None:
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b" " * bodies.INLINE_BYTES, "more_body": received < 20}

    request = Request({"type": "http", "headers": [], "state": {}}, receive)
    settings = GatewaySettings(environments={"staging": "http://127.0.0.1:1"})  # type: ignore[dict-item]
    hourly = Turns(1, pause_seconds=3600)
    reading = asyncio.create_task(bodies.read_body(request, settings, NoLimit(), hourly))
    await turns(50)
    # The first two pieces need no turn, one gets a turn, and the next waits.
    assert received == 3
    reading.cancel()
