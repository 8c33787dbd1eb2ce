"""Reader of large bodies in pieces, so that no body blocks the event loop for long.

A JSON parser builds all of a 16 MiB body in one go. With millions of empty mails or escapes that takes up to 0.7 s and
holds the interpreter lock, so a thread would not help. The API's bodies are one object of strings. So this reader takes
`PIECE_BYTES` at a time. It stops at the first fault, at the first mail over its limit, and after the last mail that one
request may hold.
"""

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import NoReturn

from gateway import problems
from gateway.http import body_hints

PIECE_BYTES = 32 * 1024
"""Bytes read in one turn of the event loop: a tenth of a millisecond of work, or one if all are escapes."""
ELEMENTS_A_PIECE = 64
"""Mails read in one turn of the event loop, if they are short."""
NAME_BYTES = 600
"""Bytes of a field's name that are read; the API's own names have fewer even as escapes."""
NAME_CHARACTERS = 100
"""Characters of a field's name that an answer repeats; a client may send a name of any length."""
SAME_FIELD = 16
"""Times that a body may give one field; the last value counts."""

_SPACE = re.compile(rb"[ \t\n\r]*+")
# No possessive quantifier around alternatives: Python before 3.11.5 matches those wrongly (cpython issue 106052).
_TEXT = re.compile(rb"""[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*""")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE_BYTES = 6
_VALUE = b'{["-0123456789tfn'
"""Characters that a JSON value may begin with."""

Pieces = Generator[None, None, "Mails"]


@dataclass(slots=True)
class Mails:
    """The mails of a body, and each mail's size in bytes of UTF-8."""

    contents: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


def read(body: bytes | bytearray, name: str, largest: int, most: int | None) -> Pieces:
    """Return the mails of a body; the generator yields between pieces.

    Lone surrogates, which JSON can express and Unicode cannot, become U+FFFD.

    Args:
        body: The body as received.
        name: The field that holds the mails.
        largest: Bytes of UTF-8 that a mail may have.
        most: Mails that the body may have; None if the field is one string.

    Raises:
        Problem: 422 if the body does not match the API, 413 if a mail is too large.
    """
    return (yield from PieceReader(body, name, largest, most).read())


class PieceReader:
    """Reader of one body: a position in it, and what was read before."""

    def __init__(self, body: bytes | bytearray, name: str, largest: int, most: int | None) -> None:
        self._body = body
        self._name = name
        self._largest = largest
        self._most = most
        self._at = 0
        self._yielded_at = 0
        self._found: Mails | None = None

    @property
    def position(self) -> int:
        """Return how many bytes have been read."""
        return self._at

    def read(self) -> Pieces:
        """Return the mails of the body; the generator yields between pieces."""
        yield from self._space()
        if self._next() != b"{":
            self._refuse_start()
        self._at += 1
        yield from self._space()
        if self._next() == b"}":
            self._at += 1
        else:
            yield from self._fields()
        yield from self._space()
        if self._at < len(self._body):
            self._refuse_json("trailing characters")
        if self._found is None:
            self._refuse(self._name, "missing")
        return self._found

    def _fields(self) -> Generator[None, None, None]:
        for _ in range(SAME_FIELD):
            self._take_name()
            yield from self._space()
            if self._next() != b":":
                self._refuse_json("expected `:`")
            self._at += 1
            yield from self._space()
            self._found = Mails()
            yield from self._value() if self._most is None else self._list(self._most)
            yield from self._space()
            self._at += 1
            if self._body[self._at - 1 : self._at] == b"}":
                return
            if self._body[self._at - 1 : self._at] != b",":
                self._at -= 1
                self._refuse_json("expected `,` or `}`")
            yield from self._space()
        self._tell(self._name, f"is given more than {SAME_FIELD} times; give it once")

    def _list(self, most: int) -> Generator[None, None, None]:
        if self._next() != b"[":
            self._refuse_value(self._name, "list_type")
        self._at += 1
        yield from self._space()
        if self._next() == b"]":
            self._refuse(self._name, "too_short")
        for n in range(most):
            if n % ELEMENTS_A_PIECE == ELEMENTS_A_PIECE - 1 or self._at - self._yielded_at > PIECE_BYTES:
                self._yielded_at = self._at
                yield
            yield from self._value(n)
            yield from self._space()
            self._at += 1
            if self._body[self._at - 1 : self._at] == b"]":
                return
            if self._body[self._at - 1 : self._at] != b",":
                self._at -= 1
                self._refuse_json("expected `,` or `]`")
            yield from self._space()
        self._tell(self._name, f"more than {most:,} mails; at most {most:,} in one request, send the rest in another")

    def _value(self, n: int | None = None) -> Generator[None, None, None]:
        """Read one mail."""
        if self._next() != b'"':
            self._refuse_value(self._name if n is None else f"{self._name}.{n}", "string_type")
        self._at += 1
        pieces: list[str] = []
        size, carried = 0, ""
        while True:
            piece = self._piece()
            text, carried = _joined(carried, self._decoded(piece))
            size += len(text) if text.isascii() else len(text.encode())
            if size > self._largest:
                raise problems.too_large("the mail" if n is None else f"mail {n}", self._largest)
            pieces.append(text)
            if self._next() == b'"':
                break
            self._yielded_at = self._at
            yield
        if carried:
            pieces.append("\ufffd")
            size += 3
        self._at += 1
        assert self._found is not None
        self._found.contents.append("".join(pieces))
        self._found.sizes.append(size)

    def _piece(self) -> bytes:
        """Read part of a string: to its end, or about one piece."""
        start, end = self._at, min(self._at + PIECE_BYTES, len(self._body))
        match = _TEXT.match(self._body, start, end)
        assert match is not None
        self._at = match.end()
        cut = end < len(self._body)
        if cut and self._at == end:
            self._step_back(start)
        elif self._next() != b'"' and not (cut and self._next() == b"\\" and end - self._at < _ESCAPE_BYTES):
            self._refuse_string()
        return bytes(self._body[start : self._at])

    def _step_back(self, start: int) -> None:
        """Leave an incomplete multi-byte character for the next piece."""
        for _ in range(4):
            if self._body[self._at] & 0xC0 != 0x80:
                return
            self._at = max(self._at - 1, start)
        self._refuse_json("invalid unicode code point")

    def _decoded(self, piece: bytes) -> str:
        try:
            text: str = piece.decode() if b"\\" not in piece else json.loads(b'"' + piece + b'"')
        except ValueError:
            self._refuse_json("invalid unicode code point")
        return text

    def _take_name(self) -> None:
        """Read a field's name; refuse all but the expected one."""
        if self._next() != b'"':
            self._refuse_json("key must be a string")
        start = self._at + 1
        match = _TEXT.match(self._body, start, min(start + NAME_BYTES, len(self._body)))
        assert match is not None
        self._at = match.end()
        try:
            name = json.loads(b'"' + bytes(self._body[start : self._at]) + b'"')
        except ValueError:
            name = "?"
        if self._next() != b'"' and len(name) < NAME_CHARACTERS:
            self._refuse_string()
        if name != self._name:
            shown = _SURROGATE.sub("\ufffd", name[:NAME_CHARACTERS])
            self._tell(shown, body_hints.unknown_field(self._name, name))
        self._at += 1

    def _space(self) -> Generator[None, None, None]:
        while True:
            end = min(self._at + PIECE_BYTES, len(self._body))
            match = _SPACE.match(self._body, self._at, end)
            assert match is not None
            self._at = match.end()
            if self._at < end or end == len(self._body):
                return
            yield

    def _next(self) -> bytes:
        return bytes(self._body[self._at : self._at + 1])

    def _refuse_start(self) -> NoReturn:
        if self._next() in (b"[", b'"'):
            self._tell("body", body_hints.not_an_object(bytes(self._body[:8192]).lstrip(), self._name))
        self._refuse_json("expected an object")

    def _refuse_string(self) -> NoReturn:
        if self._at >= len(self._body):
            self._refuse_json("EOF while parsing a string")
        is_escape = self._next() == b"\\"
        self._refuse_json("invalid escape" if is_escape else "control character found while parsing a string")

    def _refuse_value(self, where: str, kind: str) -> NoReturn:
        if not self._next() or self._next() not in _VALUE:
            self._refuse_json("expected value" if self._next() else "EOF while parsing a value")
        self._refuse(where, kind)

    def _refuse(self, where: str, kind: str) -> NoReturn:
        self._tell(where, body_hints.wrong_field(kind, self._name, "is not as described"))

    def _refuse_json(self, why: str) -> NoReturn:
        line = self._body.count(b"\n", 0, self._at) + 1
        column = self._at - self._body.rfind(b"\n", 0, self._at)
        error = f"Invalid JSON: {why} at line {line} column {column}"
        self._tell("body", body_hints.not_json(bytes(self._body[:8192]), self._name, error))

    def _tell(self, where: str, reason: str) -> NoReturn:
        raise problems.invalid_body([{"field": where, "reason": reason}])


def _joined(carried: str, text: str) -> tuple[str, str]:
    """Join a text to the half surrogate pair carried over; replace lone halves and carry a trailing one on."""
    if carried and text:
        pair = carried + text[0]
        is_pair = "\udc00" <= text[0] <= "\udfff"
        head = pair.encode("utf-16", "surrogatepass").decode("utf-16") if is_pair else "\ufffd" + text[0]
        text, carried = head + text[1:], ""
    if text.isascii():
        return text, carried
    if "\ud800" <= text[-1] <= "\udbff":
        text, carried = text[:-1], text[-1]
    return _SURROGATE.sub("\ufffd", text), carried
