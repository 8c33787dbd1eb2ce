"""Tests of transfer encodings, whole and broken."""

import base64
import binascii

import pytest

from features import mime, transfer


def plain(encoding: str, body: str) -> str:
    return mime.parse(f"Subject: s\nContent-Transfer-Encoding: {encoding}\n\n{body}").plain[0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("aGVsbG8=\nIGJpZyB3b3JsZA==\n", "hello big world"),
        ("aGVsbG8=IGJpZw==IHdvcmxk", "hello big world"),
        ("aGVsbG8gd29ybGQh*", "hello world!"),
        ("aGVs\nbG8g\n\nd29y bGQh", "hello world!"),
        ("aGVsbG8gd29ybGQhA", "hello world!"),
        ("aGVsbG8", "hello"),
        ("aGVsbG8==", "hello"),
        ("aGVsbG8=\n-- \nMailing list: join us\n", "hello"),
        ("aGVsbG8=\nMailing list\n", "hello"),
        ("\n\naGVsbG8=", "hello"),
        ("====", ""),
        ("", ""),
    ],
)
def test_base64(body: str, text: str) -> None:
    assert plain("base64", body) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("unsub= \nscribe", "unsubscribe"),
        ("unsub=\t \nscribe", "unsubscribe"),
        ("unsub=\nscribe", "unsubscribe"),
        ("unsub=\r\nscribe", "unsubscribe"),
        ("a=3Db=3db", "a=b=b"),
        ("50=% off =XY", "50=% off =XY"),
        ("caf=C3=A9 caf=c3=a9", "caf\u00e9 caf\u00e9"),
        ("caf=E9", "caf\u00e9"),
        ("caf\u00e9 =3D", "caf\u00e9 ="),
        ("end=", "end"),
        ("end=  ", "end"),
        ("=", ""),
    ],
)
def test_quoted_printable(body: str, text: str) -> None:
    assert plain("quoted-printable", body) == text


@pytest.mark.parametrize("name", ["x-uuencode", "X-UUE", "uuencode", "x-uue"])
def test_uuencode(name: str) -> None:
    text = "hello big world, " * 20
    lines = "".join(binascii.b2a_uu(text[at : at + 45].encode()).decode() for at in range(0, len(text), 45))
    assert plain(name, f"begin 644 a.txt\n{lines}`\nend\n") == text
    assert plain(name, f"begin 0644 a b.txt\n{lines}") == text
    assert plain(name, f"Look:\n\nbegin 644 a.txt\n{lines}`\nend\n") == f"Look:\n\n{text}"
    assert plain(name, f"begin-base64 644 a\n{base64.b64encode(text.encode()).decode()}\n====\n") == text


def test_uuencode_that_is_broken_or_none() -> None:
    assert plain("x-uuencode", "no file") == "no file"
    assert plain("x-uuencode", "begin 644 a\n#86)C\n\x7f\xff\xff\n#9&5F\n`\nend") == "abcdef"
    for trail in ("   ", "x", "  checksum"):
        assert plain("x-uuencode", f"begin 644 a\n#86)C{trail}\n`\nend") == "abc"


@pytest.mark.parametrize("name", ["BASE64", " base64 ", '"base64"', "base64;", "base64 (x)", "(x) base64"])
def test_names_in_any_dress(name: str) -> None:
    assert plain(name, "aGVsbG8=") == "hello"


@pytest.mark.parametrize("name", ["7bit", "8bit", "binary", "", "x-unknown"])
def test_other_names_leave_the_body(name: str) -> None:
    assert plain(name, "aGVsbG8=") == "aGVsbG8="
    assert transfer.decode("x", name, 10) is None
