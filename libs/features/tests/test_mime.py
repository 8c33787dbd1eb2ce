"""Tests of real-world mail, one clause of the parser a test."""

import base64
import codecs
import quopri

import pytest

from corpus.hostile import CODECS
from features import labels, mime

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


@pytest.mark.parametrize("value", ["attachment", "ATTACHMENT; filename=a", "attachment filename=a", "attachment(x)"])
def test_attachments_in_any_dress(value: str) -> None:
    assert mime.parse(f"Subject: x\nContent-Disposition: {value}\n\nsecret").attachments == 1


def test_japanese_mail_without_a_label_is_read() -> None:
    mail = mime.parse(b"Subject: \x1b$B2q5D\x1b(B\n\n\x1b$B2q5D\x1b(B")
    assert (mail.subject, mail.plain) == ("\u4f1a\u8b70", ["\u4f1a\u8b70"])


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
    assert labels.codec_of(name) in labels.CODECS


def test_charsets_of_mail_are_text_and_no_escapes() -> None:
    assert not labels.CODECS & {"unicode_escape", "raw-unicode-escape", "punycode", "idna", "undefined", "mbcs"}
    assert all(isinstance(b"x".decode(name, "replace"), str) for name in labels.CODECS)


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


TEXTS = {
    "western": "sch\u00f6ne Gr\u00fc\u00dfe \u00e0 tous",
    "marks": "\u201cdon\u2019t\u201d \u2013 5 \u20ac\u2026",
    "cyrillic": "\u043f\u0440\u0438\u0432\u0435\u0442",
    "chinese": "\u4f1a\u8b70",
    "emoji": "\U0001f600 free",
    "mixed": "caf\u00e9 \u043f\u0440\u0438",
    "ascii": "plain",
}
WRAPS = {
    "text": "{text}",
    "unlabelled": "Subject: {text}\n\n{text}",
    "labelled": "Subject: {text}\nContent-Type: text/plain; charset=utf-8\n\n{text}",
    "html": "Subject: {text}\nContent-Type: text/html; charset=utf-8\n\n{text}",
    "html with meta": "Subject: {text}\nContent-Type: text/html\n\n<meta charset=utf-8>{text}",
    "parts": f"Subject: {{text}}\n{BOUNDARY}--b\nContent-Type: text/plain; charset=utf-8\n\n{{text}}\n--b--\n",
    "mark": "\ufeffSubject: {text}\nContent-Type: text/plain; charset=utf-8\n\n{text}",
    "boundary": 'Content-Type: multipart/mixed; boundary="\u00fc"\n\n--\u00fc\n\n{text}\n--\u00fc--',
    "line ends": "Subject: {text}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}",
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("text", TEXTS)
def test_bytes_their_latin1_text_and_their_text_are_one_mail(text: str, wrap: str) -> None:
    source = WRAPS[wrap].format(text=TEXTS[text])
    expected = mime.parse(source.encode())
    assert TEXTS[text] in "\n".join([*expected.plain, *expected.html])
    assert mime.parse(source.encode().decode("latin-1")) == expected
    assert mime.parse(source) == expected
    assert mime.parse(source.encode().decode("ascii", "surrogateescape")) == expected


@pytest.mark.parametrize(
    "charset", ["koi8-r", "windows-1251", "gb2312", "shift_jis", "euc-kr", "iso-8859-5", "iso-2022-jp"]
)
def test_bytes_in_any_charset_and_their_latin1_text_are_one_mail(charset: str) -> None:
    text = "\u043f\u0440\u0438\u0432\u0435\u0442"
    raw = f"Subject: {text}\nContent-Type: text/plain; charset={charset}\n\n{text}".encode(charset)
    mail = mime.parse(raw)
    assert (mail.subject, mail.plain) == (text, [text])
    assert mime.parse(raw.decode("latin-1")) == mail


def test_a_mail_in_utf_16_is_read() -> None:
    for codec, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        raw = mark + "Subject: x\n\n\u00fc".encode(codec)
        assert mime.parse(raw).plain == mime.parse(raw.decode("latin-1")).plain == ["\u00fc"]


def test_invisible_characters_and_plain_letters() -> None:
    mail = mime.parse("Subject: =?utf-8?Q?vi=E2=80=8Bagra?=\n\n\U0001d403\u00adrop \uff26ree")
    assert (mail.subject, mail.plain) == ("viagra", ["Drop Free"])


def parts(head: str, body: str) -> list[str]:
    return mime.parse(f"Subject: x\nContent-Type: {head}\n\n{body}").plain


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("multipart/mixed; boundary=b", "--b\n\none\n--b\n\ntwo\n--b--\n"),
        ("multipart/mixed; boundary=b", "--b\n\none\n--b\n\ntwo"),
        ("multipart/mixed; boundary=b", "preamble\n--b\n\none\n--b  \n\ntwo\n--b--\t\nepilogue\n--b\n\nthree"),
        ("multipart/mixed; boundary=b", "--bc\n--b\n\none\n--b\n\ntwo\n--b--"),
        ("multipart/mixed; boundary=b-", "--b-\n\none\n--b-\n\ntwo\n--b---"),
        ("multipart/mixed; boundary=b.*", "--b.*\n\none\n--b.*\n\ntwo\n--b.*--"),
        ('multipart/mixed; boundary="b c"', "--b c\n\none\n--b c\n\ntwo\n--b c--"),
        ('multipart/mixed; boundary="b "', "--b\n\none\n--b\n\ntwo\n--b--"),
        ("multipart/mixed; boundary=b", "--b\nContent-Type: text/plain\n\none\n--b\r\n\r\ntwo\r\n--b--\r\n"),
        ("multipart/mixed; boundary=b", "--b\n\none\n--b\n\ntwo\n--b-- end\n--b\n\nthree"),
        ("multipart/x-unknown; boundary=b", "--b\n\none\n--b\n\ntwo\n--b--"),
        ("MULTIPART/MIXED; BOUNDARY=b", "--b\n\none\n--b\n\ntwo\n--b--"),
        (
            "multipart/mixed; boundary=b",
            "--b\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\n\none\n--b1--\n--b\n\ntwo\n--b--",
        ),
        (
            "multipart/mixed; boundary=b",
            "--b\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\n\none\n--b\n\ntwo\n--b--",
        ),
        (
            "multipart/mixed; boundary=b1",
            "--b1\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b1\n\ntwo\n--b1--",
        ),
        (
            "multipart/mixed; boundary=b",
            "--b\nContent-Type: multipart/mixed; boundary=b--x\n\n--b--x\n\none\n--b--x--\n--b\n\ntwo\n--b--",
        ),
        (
            "multipart/digest; boundary=b",
            "--b\n\nSubject: i\n\none\n--b\n\nSubject: j\n\ntwo\n--b--",
        ),
    ],
)
def test_parts_between_boundary_lines(head: str, body: str) -> None:
    assert parts(head, body) == ["one", "two"]


def test_a_line_that_begins_like_the_boundary_is_text() -> None:
    assert parts("multipart/mixed; boundary=b", "--b\n\none\n--bc\ntwo\n--b--") == ["one\n--bc\ntwo"]


INNER = "Subject: i\nContent-Type: text/plain; charset=utf-8\n\ninner \u00fc\n"
BASE64 = base64.b64encode(INNER.encode()).decode()


@pytest.mark.parametrize("kind", ["message/rfc822", "MESSAGE/RFC822", "message/global", "message/rfc822 (mail)"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("base64", BASE64),
        ("quoted-printable", quopri.encodestring(INNER.encode()).decode()),
        ("8bit", INNER),
        ("7bit", f"\n\n{INNER}"),
        ("8bit", INNER.replace("\n", "\r\n")),
    ],
)
def test_a_forwarded_message_in_any_encoding(kind: str, encoding: str, body: str) -> None:
    inner = f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\nContent-Disposition: attachment\n\n{body}"
    for source in (f"Subject: x\n{inner}", f"Subject: x\n{BOUNDARY}--b\n{inner}\n--b--"):
        mail = mime.parse(source.encode())
        assert (mail.subject, [text.strip() for text in mail.plain], mail.parts) == ("x", ["inner \u00fc"], 1)


def test_a_forwarded_multipart_is_opened() -> None:
    inner = "Subject: i\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--c\n\ntwo\n--c--\n"
    head = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64"
    body = base64.b64encode(inner.encode()).decode()
    assert plain(f"Subject: x\n{BOUNDARY}--b\n{head}\n\n{body}\n--b--") == "one\ntwo"


def test_an_encoded_multipart_is_opened() -> None:
    body = base64.b64encode(b"--b\n\none\n--b--\n").decode()
    assert plain(f"Subject: x\nContent-Transfer-Encoding: base64\n{BOUNDARY}{body}") == "one"


@pytest.mark.parametrize("depth", [1, 5, mime.DEPTH_LIMIT - 1])
def test_deep_parts_are_read(depth: int) -> None:
    boxes = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(depth))
    assert parts("multipart/mixed; boundary=b", f"--b\n{boxes}\ndeep\n") == ["deep\n"]


def test_parts_have_a_limit() -> None:
    mail = mime.parse(f"Subject: x\n{BOUNDARY}" + "--b\n\nx\n" * 1000)
    assert mail.parts == mime.PART_LIMIT


def test_long_source_does_not_hide_what_follows() -> None:
    style = "<style>" + ".a{color:red}\n" * 20_000 + "</style>"
    html = f"Subject: x\nContent-Type: text/html\n\n{style}<p>Cheap pills</p>"
    assert mime.parse(html).html[0].endswith("<p>Cheap pills</p>")
    alternative = f"--b\n\n{'lorem ' * 20_000}\n--b\nContent-Type: text/html\n\n<p>Cheap pills</p>\n--b--"
    assert mime.parse(f"Subject: x\n{BOUNDARY}{alternative}").html == ["<p>Cheap pills</p>"]
