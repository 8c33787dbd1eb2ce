"""Tests of real-world mail, one clause of the parser a test."""

import base64
import codecs
import quopri

import pytest

from corpus.hostile import CODECS
from features import charsets, mime

BOUNDARY = 'Content-Type: multipart/mixed; boundary="b"\n\n'


def plain(source: str | bytes) -> str:
    return "\n".join(mime.parse(source).plain)


def test_text_without_header_block_is_one_plain_part() -> None:
    mail = mime.parse("Buy now: it is cheap\nReally")
    assert (mail.subject, mail.plain, mail.html, mail.parts) == ("", ["Buy now: it is cheap\nReally"], [], 1)


def test_header_like_first_line_of_plain_text_is_text() -> None:
    assert plain("Note: bring cake\n\nSee you") == "Note: bring cake\n\nSee you"


def test_mbox_separator_and_folded_subject() -> None:
    mail = mime.parse("From bob@example.org Mon Jan  1\nSubject: one\n two\nFrom: bob@example.org\n\nbody\n")
    assert (mail.subject, mail.plain) == ("one two", ["body\n"])


def test_only_the_first_header_of_a_name_counts() -> None:
    assert mime.parse("Subject: first\nSubject: second\n\nbody").subject == "first"


def test_header_names_are_found_in_any_case_and_beside_other_letters() -> None:
    mail = mime.parse("X-Name: \u0130stanbul\nSUBJECT: caf\u00e9\ncOnTeNt-TyPe: text/html\n\n<b>x</b>")
    assert (mail.subject, mail.html) == ("caf\u00e9", ["<b>x</b>"])


def test_line_endings_and_nuls() -> None:
    assert plain("Subject: a\r\n\r\none\r\ntwo\rthree\0") == "one\ntwo\nthree"


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?B?R3LDvMOfZQ==?=",
        "=?UTF-8?q?Gr=C3=BC=C3=9Fe?=",
        "=?iso-8859-1?Q?Gr=FC=DFe?=",
        "=?utf-8?B?R3LDvA==?=\n =?iso-8859-1?Q?=DFe?=",
    ],
)
def test_encoded_words(subject: str) -> None:
    assert mime.parse(f"Subject: {subject}\n\n").subject == "Gr\u00fc\u00dfe"


def test_underscore_in_an_encoded_word_is_a_blank() -> None:
    assert mime.parse("Subject: =?us-ascii?Q?free_money?= now\n\n").subject == "free money now"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252", "utf-16", "cp850", "mac-roman"])
def test_base64_and_quoted_printable_in_their_charset(charset: str) -> None:
    words = "Gr\u00fc\u00dfe \u00e0 tous"
    raw = words.encode(charset)
    head = f'Subject: x\nContent-Type: text/plain; charset="{charset}"\nContent-Transfer-Encoding: '
    assert plain(head + "base64\n\n" + base64.encodebytes(raw).decode()) == words
    assert plain(head + "quoted-printable\n\n" + quopri.encodestring(raw).decode()).rstrip("\n") == words


@pytest.mark.parametrize(
    ("charset", "words"),
    [("iso-2022-jp", "\u4f1a\u8b70"), ("iso-2022-kr", "\ud68c\uc758"), ("hz-gb-2312", "\u4f1a\u8bae")],
)
def test_seven_bit_charsets_are_not_mistaken_for_ascii(charset: str, words: str) -> None:
    raw = words.encode(charset)
    head = f"Subject: x\nContent-Type: text/plain; charset={charset}\n".encode()
    assert plain(head + b"\n" + raw) == words
    assert plain(head + b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(raw)) == words


def test_eight_bit_body_in_its_charset() -> None:
    head = b"Subject: x\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: 8bit\n\n"
    assert (
        plain(head + "\u043f\u0440\u0438\u0432\u0435\u0442".encode("koi8-r")) == "\u043f\u0440\u0438\u0432\u0435\u0442"
    )


def test_text_that_was_decoded_before_stays() -> None:
    assert plain("Subject: x\nContent-Type: text/plain; charset=utf-8\n\ncaf\u00e9") == "caf\u00e9"


def test_utf8_with_one_broken_byte_keeps_the_rest() -> None:
    head = b"Subject: x\nContent-Type: text/plain; charset=utf-8\n\n"
    assert plain(head + "\u00fc\u00fc\u00fc ".encode() + b"\xff") == "\u00fc\u00fc\u00fc \ufffd"


@pytest.mark.parametrize(
    "charset", ["unknown-8bit", "x-mac-klingon", "unicode_escape", "base64", "zip", "idna", "a" * 99]
)
def test_unknown_and_dangerous_charsets_are_read_as_windows_1252(charset: str) -> None:
    head = f"Subject: x\nContent-Type: text/plain; charset={charset}\n\n".encode()
    assert plain(head + b"\x93quoted\x94 \\u0041") == "\u201cquoted\u201d \\u0041"


def test_lone_surrogates_are_the_bytes_that_they_hide() -> None:
    assert plain(b"caf\xc3\xa9".decode("ascii", "surrogateescape")) == "caf\u00e9"
    assert plain("half \ud83d of an emoji") == "half \ufffd of an emoji"


def test_multipart_in_reading_order() -> None:
    body = "preamble\n--b\nContent-Type: text/plain\n\none\n--b\nContent-Type: text/html\n\n<p>two\n--b--\nepilogue"
    mail = mime.parse(f"Subject: x\n{BOUNDARY}{body}")
    assert (mail.plain, mail.html, mail.parts, mail.attachments) == (["one"], ["<p>two"], 2, 0)


def test_part_without_headers_is_plain_text() -> None:
    assert plain(f"Subject: x\n{BOUNDARY}--b\n\nbare\n--b--") == "bare"


def test_attachments_are_counted_and_not_read() -> None:
    pdf = "--b\nContent-Type: application/pdf\n\n%PDF\n"
    text = "--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nsecret\n"
    mail = mime.parse(f"Subject: x\n{BOUNDARY}{pdf}{text}--b--")
    assert (mail.plain, mail.parts, mail.attachments) == ([], 2, 2)


def test_forwarded_message_is_read() -> None:
    inner = "Subject: inner\nContent-Type: text/plain\n\nforwarded words\n"
    assert plain(f"Subject: x\n{BOUNDARY}--b\nContent-Type: message/rfc822\n\n{inner}--b--") == "forwarded words"


@pytest.mark.parametrize("content_type", ["multipart/mixed", 'multipart/mixed; boundary="other"', "", "nonsense"])
def test_broken_mime_shows_its_raw_text(content_type: str) -> None:
    assert "words" in plain(f"Subject: x\nContent-Type: {content_type}\n\n--b\n\nwords\n--b--")


def test_html_without_label_is_html() -> None:
    assert mime.parse("Subject: x\nContent-Type: text\n\n<HTML>x").html == ["<HTML>x"]


def test_broken_base64_gives_what_can_be_read() -> None:
    head = "Subject: x\nContent-Transfer-Encoding: base64\n\n"
    assert plain(head + "aGVsbG8gd29ybGQh*") == "hello world!"
    assert plain(head + "aGVsbG8gd29ybGQhA") == "hello world!"


def test_header_block_that_breaks_off_ends_there() -> None:
    assert plain("Subject: x\nno header here\nmore") == "no header here\nmore"


def test_source_of_all_parts_has_one_limit() -> None:
    part = "--b\nContent-Type: text/html\n\n" + "a" * (mime.SOURCE_LIMIT // 2 + 10) + "\n"
    mail = mime.parse(f"Subject: x\n{BOUNDARY}{part * 4}--b--")
    assert sum(map(len, mail.html)) == mime.SOURCE_LIMIT


@pytest.mark.parametrize("name", sorted({*CODECS, "utf.8", "x-made-up", "8859_2", ""}))
def test_every_label_means_a_charset_of_mail(name: str) -> None:
    assert charsets.codec_of(name) in charsets.CODECS


def test_charsets_of_mail_are_text_and_no_escapes() -> None:
    assert not charsets.CODECS & {"unicode_escape", "raw-unicode-escape", "punycode", "idna", "undefined", "mbcs"}
    assert all(isinstance(b"x".decode(name, "replace"), str) for name in charsets.CODECS)


def test_made_up_charsets_are_looked_for_nowhere() -> None:
    looked_for: list[str] = []
    watch = looked_for.append
    codecs.register(watch)
    try:
        for number in range(100):
            mime.parse(f"Subject: x\nContent-Type: text/plain; charset=x-{number}\n\n\xe4")
    finally:
        codecs.unregister(watch)
    assert not looked_for
