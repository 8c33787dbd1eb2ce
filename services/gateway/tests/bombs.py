"""Bombs: bodies that cost a JSON parser much and their sender nothing."""

from collections.abc import Callable

MIB = 1024 * 1024


def filled(head: bytes, unit: bytes, tail: bytes, size: int) -> bytes:
    """Return a body of about this size: a unit repeated between head and tail."""
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


Bomb = Callable[[int], bytes]


def bomb(head: bytes, unit: bytes, tail: bytes) -> Bomb:
    """Return a bomb of any size."""
    return lambda size: filled(head, unit, tail, size)


ONE: dict[str, Bomb] = {
    "surrogates": bomb(b'{"email_content": "', b"\\ud800", b'"}'),
    "low surrogates": bomb(b'{"email_content": "', b"\\udfff", b'"}'),
    "pairs": bomb(b'{"email_content": "', b"\\ud83d\\ude00", b'"}'),
    "escapes": bomb(b'{"email_content": "', b"\\u0041", b'"}'),
    "quotes": bomb(b'{"email_content": "', b'\\"', b'"}'),
    "backslashes": bomb(b'{"email_content": "', b"\\\\", b'"}'),
    "newlines": bomb(b'{"email_content": "', b"\\n", b'"}'),
    "letters": bomb(b'{"email_content": "', b"a", b'"}'),
    "wide letters": bomb(b'{"email_content": "', "中".encode(), b'"}'),
    "space": bomb(b'{"email_content": "a"', b" ", b"}"),
    "space after": bomb(b'{"email_content": "a"}', b"\n", b""),
    "space before": bomb(b"", b"\t", b'{"email_content": "a"}'),
    "a list": bomb(b'{"email_content": [', b'"",', b'""]}'),
    "a number": bomb(b'{"email_content": ', b"1", b"}"),
    "a fraction": bomb(b'{"email_content": 0.', b"1", b"}"),
    "same field": bomb(b"{", b'"email_content": "",', b'"email_content": ""}'),
    "other fields": bomb(b'{"email_content": "a"', b',"b": 1', b"}"),
    "a long name": bomb(b'{"', b"a", b'": 1}'),
    "a long name of surrogates": bomb(b'{"', b"\\ud800", b'": 1}'),
    "lists in lists": bomb(b'{"email_content": ', b"[", b""),
    "objects in objects": bomb(b"", b'{"email_content":', b""),
    "only lists": bomb(b"", b"[", b""),
    "a string": bomb(b'"', b"\\ud800", b'"'),
    "only digits": bomb(b"", b"1", b""),
    "no end": bomb(b'{"email_content": "', b"a", b""),
    "no UTF-8": bomb(b'{"email_content": "', b"\x80", b'"}'),
    "control characters": bomb(b'{"email_content": "', b"\x01", b'"}'),
    "wrong escapes": bomb(b'{"email_content": "', b"\\x", b'"}'),
    "zeros": bomb(b"", b"\0", b""),
}
MANY: dict[str, Bomb] = {
    "empty mails": bomb(b'{"emails": [', b'"",', b'""]}'),
    "short mails": bomb(b'{"emails": [', b'"\\\\",', b'"a"]}'),
    "empty mails with space": bomb(b'{"emails": [', b'"" ,\n', b'""]}'),
    "mails of surrogates": bomb(b'{"emails": ["', b"\\ud800" * 1000 + b'","', b'"]}'),
    "numbers": bomb(b'{"emails": [', b"1,", b"1]}"),
    "nothing": bomb(b'{"emails": [', b"null,", b"null]}"),
    "empty lists": bomb(b'{"emails": [', b"[],", b"[]]}"),
    "empty objects": bomb(b'{"emails": [', b"{},", b"{}]}"),
    "same field, many": bomb(b"{", b'"emails": [""],', b'"emails": [""]}'),
    "one mail, then numbers": bomb(b'{"emails": ["a",', b"1e9,", b"1]}"),
}
