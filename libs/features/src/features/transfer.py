"""Transfer encodings of mail (RFC 2045, and uuencode), read as far as they can be.

Text is raw: each character is a byte of the mail.
"""

import binascii
import re

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_OTHERS = bytes(byte for byte in range(256) if byte not in _ALPHABET)
_FOREIGN = re.compile(r"[^A-Za-z0-9+/=\s]|\S[ \t]++(?=\S)")
_SOFT_BREAK = re.compile(r"=[ \t]++(?=\n|\Z)")
_BEGIN = re.compile(r"^begin(?:-base64)?[ \t]+[0-7]{3,4}[ \t]*[^\n]*\n", re.MULTILINE)
_UU = ("x-uuencode", "uuencode", "x-uue", "uue")


def decode(body: str, encoding: str, room: int) -> bytes | None:
    """Return the bytes of an encoded body, None if it is not encoded.

    Args:
        body: Raw body.
        encoding: Name of the encoding in lower case.
        room: Characters that are wanted of it.
    """
    if encoding == "base64":
        return base64(body[: 2 * room + 1000])
    if encoding == "quoted-printable":
        return quoted_printable(body[: 3 * room])
    if encoding in _UU:
        return uuencode(body[: 2 * room + 1000])
    return None


def base64(body: str) -> bytes:
    """Decode base64: other characters are left out, and encoded pieces can follow each other.

    Text after the padding, such as a mailing list's footer, is no piece.
    """
    first, _, rest = body.partition("=")
    found = _piece(first)
    if rest.strip("=\n \t"):
        foreign = _FOREIGN.search(rest)
        whole = rest if not foreign else rest[: rest.rfind("\n", 0, foreign.start()) + 1]
        found += b"".join([_piece(piece) for piece in whole.split("=") if piece])
    return found


def _piece(text: str) -> bytes:
    data = text.encode("latin-1").translate(None, _OTHERS)
    return binascii.a2b_base64(data[: len(data) // 4 * 4] + _last_quantum(data))


def _last_quantum(data: bytes) -> bytes:
    rest = data[len(data) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def quoted_printable(body: str, *, header: bool = False) -> bytes:
    """Decode quoted-printable; what is no escape stays as it is."""
    if "= " in body or "=\t" in body:
        body = _SOFT_BREAK.sub("=", body)
    return binascii.a2b_qp(body.encode("latin-1"), header=header)


def uuencode(body: str) -> bytes:
    """Decode the uuencoded file in a body; text without one stays as it is."""
    begin = _BEGIN.search(body)
    if not begin:
        return body.encode("latin-1")
    if begin[0].startswith("begin-base64"):
        return base64(body[begin.end() :].partition("\n====")[0])
    found = [body[: begin.start()].encode("latin-1")]
    for line in body[begin.end() :].split("\n"):
        if line.rstrip() == "end":
            break
        found.append(_line(line.encode("latin-1")))
    return b"".join(found)


def _line(line: bytes) -> bytes:
    """Return the bytes of one uuencoded line; its first character says how many."""
    if not line:
        return b""
    size = ((line[0] - 32) & 63) * 4 + 5
    try:
        return binascii.a2b_uu(line[: size // 3])
    except binascii.Error:
        return b""
