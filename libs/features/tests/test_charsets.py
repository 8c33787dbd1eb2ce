"""Tests of charsets: which codec a label means, and how bytes are read that do not keep to theirs."""

import pytest

from features import charsets


@pytest.mark.parametrize(
    ("label", "text", "raw"),
    [
        ("us-ascii", "\u201cx\u201d \u20ac", b"\x93x\x94 \x80"),
        ("iso-8859-1", "\u2013 \u2122 \xe9", b"\x96 \x99 \xe9"),
        ("ISO_8859-1:1987", "caf\xe9", b"caf\xe9"),
        ("latin1", "\x81\x8d", b"\x81\x8d"),
        ("iso-8859-9", "\u201c\u015f", b"\x93\xfe"),
        ("latin5", "\u011f", b"\xf0"),
        ("iso-8859-15", "\u20ac", b"\xa4"),
        ("iso-8859-8-i", "\u05e9\u05dc\u05d5\u05dd", b"\xf9\xec\xe5\xed"),
        ("iso-8859-8-e", "\u05e9", b"\xf9"),
        ("logical", "\u05e9", b"\xf9"),
        ("tis-620", "\u0e01\u2026", b"\xa1\x85"),
        ("iso-8859-11", "\u0e01\u2026", b"\xa1\x85"),
        ("koi8-ru", "\u043f\u0440\u0438\u0432\u0435\u0442", b"\xd0\xd2\xc9\xd7\xc5\xd4"),
        ("koi", "\u043f", b"\xd0"),
        ("cp1251", "\u043f", b"\xef"),
        ("x-cp1251", "\u043f", b"\xef"),
        ("win-1251", "\u043f", b"\xef"),
        ("win1251", "\u043f", b"\xef"),
        ("windows1251", "\u043f", b"\xef"),
        ("cp-1251", "\u043f", b"\xef"),
        ("Windows_1251", "\u043f", b"\xef"),
        ("koi8r", "\u043f", b"\xd0"),
        ("cp936", "\u9555", b"\xe9F"),
        ("cn-gb", "\u9555", b"\xe9F"),
        ("x-euc-cn", "\u9555", b"\xe9F"),
        ("gb_18030", "\u9555", b"\xe9F"),
        ("ks_c_5601", "\ub620", b"\x8cc"),
        ("x-windows-949", "\ub620", b"\x8cc"),
        ("x-euc-kr", "\ub620", b"\x8cc"),
        ("utf 8", "\u00fc", b"\xc3\xbc"),
        ("utf-16-le", "x\u4f1a", b"x\0\x1aO"),
        ("cp-850", "\u00fc", b"\x81"),
        ("cp866", "\u043f", b"\xaf"),
        ("gb2312", "\u6731\u9555\u57fa", b"\xd6\xec\xe9F\xbb\xf9"),
        ("x-gbk", "\u9555", b"\xe9F"),
        ("chinese", "\u9555", b"\xe9F"),
        ("gb18030", "\u3400", "\u3400".encode("gb18030")),
        ("big5", "\u5497", "\u5497".encode("big5hkscs")),
        ("cn-big5", "\u4e2d", b"\xa4\xa4"),
        ("shift_jis", "\u3231\u9ad9\u6a4b \u2460", b"\x87\x8a\xee\xe0\x8b\xb4 \x87\x40"),
        ("x-sjis", "\u4f1a\u8b70", b"\x89\xef\x8bc"),
        ("Shift-JIS", "\u4f1a", b"\x89\xef"),
        ("ms_kanji", "\u4f1a", b"\x89\xef"),
        ("cp932", "\u2460", b"\x87\x40"),
        ("euc-kr", "\ub620\ubc29\uac01\ud558", b"\x8cc\xb9\xe6\xb0\xa2\xc7\xcf"),
        ("ks_c_5601-1987", "\ub620", b"\x8cc"),
        ("ksc5601", "\ub620", b"\x8cc"),
        ("cp949", "\ub620", b"\x8cc"),
        ("euc-jp", "\u4f1a\u8b70 \uff76", b"\xb2\xf1\xb5\xc4 \x8e\xb6"),
        ("x-euc-jp", "\u2460\u3231\u9ad9", b"\xad\xa1\xad\xea\xfc\xe2"),
        ("eucjp", "\u4e02", b"\x8f\xb0\xa1"),
        ("utf8", "\u00fc", b"\xc3\xbc"),
        ("unicode-1-1-utf-8", "\u00fc", b"\xc3\xbc"),
        ("unicode", "x\u4f1a", b"x\0\x1aO"),
        ("utf-16", "x\u4f1a", b"\xfe\xff\0xO\x1a"),
        ("utf-16be", "x\u4f1a", b"\0xO\x1a"),
        ("utf-32", "x\u4f1a", "x\u4f1a".encode("utf-32")),
        ("cp437", "\u00fc", b"\x81"),
        ("cp850", "\u00fc", b"\x81"),
        ("macintosh", "\u00fc", b"\x9f"),
        ("x-mac-cyrillic", "\u0430", b"\xe0"),
        (" koi8-r ", "\u043f", b"\xd0"),
        ("", "\u201cx\u201d", b"\x93x\x94"),
    ],
)
def test_a_label_means_the_superset_that_senders_use(label: str, text: str, raw: bytes) -> None:
    assert charsets.decode(raw, label) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b$B2q5D\x1b(B", "\u4f1a\u8b70"),
        (b"\x1b$@2q5D\x1b(J", "\u4f1a\u8b70"),
        (b"\x1b$B2q5D\x1b(I6E\x1b(B", "\u4f1a\u8b70\uff76\uff85"),
        (b"\x1b(I6E", "\uff76\uff85"),
        (b"\x1b$B-!|b\x1b(B x", "\u2460\u9ad9 x"),
        (b"\x1b$(D0!\x1b(B", "\u4e02"),
        (b"\x1b$B2q\nx\x1b(B", "\u4f1a\n\ufffd"),
        (b"plain", "plain"),
        ("gr\u00fc\u00dfe".encode(), "gr\u00fc\u00dfe"),
    ],
)
def test_iso_2022_jp_and_what_passes_for_it(raw: bytes, text: str) -> None:
    for label in ("iso-2022-jp", "ISO-2022-JP", "csiso2022jp", "iso-2022-jp-1", "iso-2022-jp-2"):
        assert charsets.decode(raw, label) == text


@pytest.mark.parametrize("label", ["", "us-ascii", "utf-8", "x-unknown"])
def test_iso_2022_jp_under_another_label(label: str) -> None:
    assert charsets.decode(b"a \x1b$B2q5D\x1b(B b", label, html=True) == "a \u4f1a\u8b70 b"
    assert charsets.decode(b"\x1b[1mred\x1b[0m", label) == "\x1b[1mred\x1b[0m"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Gr+APwA3w-e", "gr\u00fc\u00dfe"),
        (b"1 +- 1 +AOQ-", "1 + 1 \u00e4"),
        (b"+ZeVnLA and", "\u65e5\u672c and"),
        (b"a + b", "a + b"),
        (b"+A", ""),
        (b"caf\xe9", "caf\u00e9"),
    ],
)
def test_utf_7_where_it_is_declared(raw: bytes, text: str) -> None:
    assert charsets.decode(raw, "utf-7").lower() == text


def test_a_byte_order_mark_wins_over_the_label() -> None:
    for codec in ("utf-8-sig", "utf-16"):
        assert charsets.decode("\u043f\u0440".encode(codec), "koi8-r") == "\u043f\u0440"
    assert charsets.decode(b"\xfe\xff\x04\x3f", "utf-8") == "\u043f"


def test_valid_utf8_wins_over_the_label() -> None:
    assert charsets.decode("\u0433\u043e\u0434".encode(), "koi8-r") == "\u0433\u043e\u0434"


def test_utf8_that_is_cut_or_broken_stays_utf8() -> None:
    raw = "\u00fc\u00fc\u00fc".encode()
    assert charsets.decode(raw[:-1], "koi8-r") == "\u00fc\u00fc"
    for label in ("utf-8", "", "iso-8859-1"):
        assert charsets.decode(raw + b" \xff", label) == "\u00fc\u00fc\u00fc \ufffd"


@pytest.mark.parametrize("label", ["utf-8", "utf-8x", "iso-2022-jp", "iso-8859-1"])
def test_a_wrong_label_does_not_spoil_western_text(label: str) -> None:
    assert charsets.decode(b"caf\xe9 fran\xe7ais", label) in ("caf\u00e9 fran\u00e7ais", "caf\ufffd fran\ufffdais")


META = "\u043f\u0440\u0438\u0432\u0435\u0442".encode("koi8-r")


@pytest.mark.parametrize(
    "head",
    [
        b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">',
        b"<META CONTENT='text/html;CHARSET=KOI8-R' HTTP-EQUIV=content-type>",
        b"<meta charset=koi8-r>",
        b'<html><head><title>x</title><meta charset = "koi8-r"/>',
        b"<meta\ncharset='koi8-r'\n>",
        b'<?xml version="1.0" encoding="koi8-r"?>',
        b'<meta name=viewport content="width=1"><meta charset=koi8-r>',
    ],
)
def test_html_names_its_charset_where_the_header_does_not(head: bytes) -> None:
    assert charsets.decode(head + META, "", html=True).endswith("\u043f\u0440\u0438\u0432\u0435\u0442")
    assert charsets.decode(head + META, "x-unknown", html=True).endswith("\u043f\u0440\u0438\u0432\u0435\u0442")
    assert not charsets.decode(head + META, "windows-1251", html=True).endswith("\u043f\u0440\u0438\u0432\u0435\u0442")
    assert not charsets.decode(head + META, "").endswith("\u043f\u0440\u0438\u0432\u0435\u0442")


def test_meta_of_utf_16_means_utf_8() -> None:
    assert charsets.decode(b"<meta charset=utf-16>\xc3\xbc", "", html=True).endswith("\u00fc")
    assert charsets.decode(b"<meta charset=utf-16>\xc3\xbc\xc3\xbc\xff", "", html=True).endswith("\u00fc\u00fc\ufffd")
