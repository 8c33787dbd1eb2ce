"""Tests of header blocks: where they end, what parameters say and how subjects are decoded."""

import base64
import time

import pytest

from features import headers, mime

BODY = "Content-Type: text/html\n\n<b>x</b>"


@pytest.mark.parametrize(
    "source",
    [
        f"Subject: hello\n{BODY}",
        f"\ufeffSubject: hello\n{BODY}",
        f"\n\n \nSubject: hello\n{BODY}",
        f"From bob@x.example Mon Jan  1\nSubject: hello\n{BODY}",
        f">From bob@x.example Mon Jan  1\nSubject: hello\n{BODY}",
        f"\nFrom bob@x.example Mon Jan  1\n\nSubject: hello\n{BODY}",
        f"Subject : hello\n{BODY.replace(':', ' :')}",
        f"Subject\t: hello\n{BODY}",
        f"Subject:hello\n{BODY.replace(': ', ':')}",
        f"SUBJECT: hello\n{BODY.upper().replace('<B>X</B>', '<b>x</b>')}",
        f"Subject:\n hello\n{BODY}",
        f"Subject:\n\thello\n{BODY}",
        f"Subject: hello\n \t\n{BODY}",
        "Subject: hello\nX: y\n \nContent-Type:\n text/html\n\n<b>x</b>",
        f"this: that\nthis is no header\nSubject: hello\n{BODY}",
        f"From: a@x.example\nno header\nno header either\nSubject: hello\n{BODY}",
        f"From: a@x.example\nhttp://x.example/\nSubject: hello\n{BODY}",
        f"Subject: hello\nSubject: second\n{BODY}",
        f"X-Subject: second\nSubjects: third\nSubject: hello\n{BODY}",
        f"Subject: hello\n{BODY}".replace("\n", "\r"),
        f"Subject: hello\n{BODY}".replace("\n", "\r\n"),
        f"Subject: hello\n{BODY}".replace("\n", "\r\r\n"),
        "Subject: hello\nContent-Type: text/html;\ncharset=utf-8\n\n<b>x</b>",
        'Subject: hello\nContent-Type: text/html\ncharset="utf-8"\nDate: x\n\n<b>x</b>',
        "Subject: hello\nContent-Type: text/html\nContent-Type: text/plain\n\n<b>x</b>",
        "Subject: hello\nContent-Type: text/html\n<b>x</b>",
    ],
)
def test_blocks_in_any_shape(source: str) -> None:
    for form in (source, source.encode(), source.encode().decode("latin-1")):
        mail = mime.parse(form)
        assert (mail.subject.strip(), mail.html, mail.plain) == ("hello", ["<b>x</b>"], [])


@pytest.mark.parametrize(
    "source",
    ["Note: bring cake", "see http://x.example/\nFrom: b", "http://x.example/\nFrom: b", "", ": x\nFrom: b\n\n"],
)
def test_text_is_no_block(source: str) -> None:
    assert mime.parse(source).plain == [source]


def test_a_block_without_an_end_has_no_body() -> None:
    assert headers.split("Subject: x\nFrom: y") == ("Subject: x\nFrom: y", "")


def test_text_that_follows_without_a_blank_line_is_body() -> None:
    assert headers.split("Subject: x\nHello Bob,\nNote: cake\n")[1] == "Hello Bob,\nNote: cake\n"


def test_a_link_is_no_header() -> None:
    assert headers.split("Subject: x\nhttp://x.example/\nmore")[1] == "http://x.example/\nmore"


def test_a_block_is_read_up_to_its_limit_and_ends_where_it_ends() -> None:
    head, body = headers.split("X: y\n" * 20_000 + "Subject: x\n\nbody")
    assert len(head) <= headers.HEAD_LIMIT
    assert body == "body"


@pytest.mark.parametrize(
    ("value", "kind", "charset", "boundary"),
    [
        ("text/html", "text/html", "", ""),
        ("TEXT/HTML; CHARSET=UTF-8", "text/html", "UTF-8", ""),
        ("text/html (rich); charset=utf-8", "text/html", "utf-8", ""),
        ("(a (nested) comment) text/html; charset=utf-8 (x)", "text/html", "utf-8", ""),
        ("text/html; charset=utf-8(Unicode)", "text/html", "utf-8", ""),
        ('text/html; (")") charset="utf-8"', "text/html", "utf-8", ""),
        ("text / html ; charset = utf-8", "text/html", "utf-8", ""),
        ("text/html charset=utf-8", "text/html", "utf-8", ""),
        ("text/html;charset='utf-8'", "text/html", "utf-8", ""),
        ('text/html;; charset="utf-8', "text/html", "utf-8", ""),
        ("text/html; charset*=us-ascii'en'koi8-r", "text/html", "koi8-r", ""),
        ("text/html; charset*=koi8-r", "text/html", "koi8-r", ""),
        ("text/html; charset*0=koi8; charset*1=-r", "text/html", "koi8-r", ""),
        ("text/html; charset*0*=''koi8%2D; charset*1*=%72", "text/html", "koi8-r", ""),
        ('text/html; name="a;charset=x"; charset=koi8-r', "text/html", "koi8-r", ""),
        ("text/html; charset=koi8-r; charset=utf-8", "text/html", "koi8-r", ""),
        ("text/html; xcharset=a; charset=koi8-r", "text/html", "koi8-r", ""),
        ('multipart/mixed; boundary="a b"', "multipart/mixed", "", "a b"),
        ('multipart/mixed; boundary="a b  "', "multipart/mixed", "", "a b"),
        ('multipart/mixed; boundary="a\\"b"', "multipart/mixed", "", 'a"b'),
        ('multipart/mixed; boundary="a;b(c)"', "multipart/mixed", "", "a;b(c)"),
        ("multipart/mixed; boundary=a(1)", "multipart/mixed", "", "a(1)"),
        ("multipart/mixed; boundary='a'", "multipart/mixed", "", "'a'"),
        ("multipart/mixed; boundary=a=b", "multipart/mixed", "", "a=b"),
        ('multipart/mixed; boundary*0="ab"; boundary*1="cd"', "multipart/mixed", "", "abcd"),
        ("multipart/mixed; boundary*1=cd; boundary*0=ab", "multipart/mixed", "", "abcd"),
        ("multipart/mixed; boundary*0*=us-ascii''a%62; boundary*1=%63", "multipart/mixed", "", "ab%63"),
        ("multipart/mixed; boundary*=us-ascii''ab%20cd", "multipart/mixed", "", "ab cd"),
        ('multipart/mixed;\n\tboundary="x"', "multipart/mixed", "", "x"),
        ('multipart/mixed boundary="x"', "multipart/mixed", "", "x"),
        ('multipart/mixed; type="text/html"; boundary="x', "multipart/mixed", "", "x"),
        ("", "", "", ""),
        (";;;", "", "", ""),
    ],
)
def test_content_types(value: str, kind: str, charset: str, boundary: str) -> None:
    assert headers.content_type(value) == (kind, charset, boundary)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


EURO = "\u20ac".encode()


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("=?iso-8859-1?Q?Big sale caf=E9?=", "Big sale caf\u00e9"),
        ("=?utf-8?B?0L/R?=\n =?utf-8?B?gNC4?=", "\u043f\u0440\u0438"),
        (f"=?utf-8?B?{b64(EURO[:1])}?= =?UTF-8?B?{b64(EURO[1:])}?=", "\u20ac"),
        (f"=?utf-8?Q?=E2=82?= =?utf-8?B?{b64(EURO[2:])}?=", "\u20ac"),
        (f"=?gb2312?B?{b64(bytes([0xD6]))}?=\n\t=?gb2312?B?{b64(bytes([0xEC]))}?=", "\u6731"),
        ("=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"),
        ("=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"),
        ("=?utf-8?Q?a?= =?iso-8859-1?Q?=E4?=", "a\u00e4"),
        ("=?utf-8?Q?a?= b =?utf-8?Q?c?= d", "a b c d"),
        ("x=?utf-8?Q?a?=y", "xay"),
        ("=?utf-8*en?Q?a_b?=", "a b"),
        ("=?utf-8?q?What??=", "What?"),
        ("=?utf-8?q?a=3Fb?c?=", "a?b?c"),
        ("=?utf-8?Q?=C3=A4?=", "\u00e4"),
        ("=?utf-8?Q?=3D?=", "="),
        ("=?utf-8?Q?a=?=", "a"),
        ("=?utf-8?B?cw==?=", "s"),
        ("=?utf-8?B?c w = =?=", "s"),
        ("=?utf-8?B?cw?=", "s"),
        ("=?x-sjis?B?ie+LYw==?=", "\u4f1a\u8b70"),
        ("=?iso-2022-jp?B?GyRCMnE1RBsoQg==?=", "\u4f1a\u8b70"),
        ("=?unknown?Q?caf=E9?=", "caf\u00e9"),
        ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        ("=?utf-8?Q?open", "=?utf-8?Q?open"),
        ("=?utf-8?Q??= x", " x"),
        ("=?utf-8?Q?a=0Ab?=", "a b"),
        ("one\n two", "one two"),
    ],
)
def test_subjects(value: str, subject: str) -> None:
    assert mime.parse(f"Subject: {value}\n\n").subject == subject


@pytest.mark.parametrize(
    "form", ["{head}\n\n{text}", "Content-Type: multipart/mixed; boundary=b\n\n--b\n{head}\n\n{text}\n--b--"]
)
@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("euc-kr", "\ud68c\uc758"),
        ("koi8-r", "\u043f\u0440\u0438\u0432\u0435\u0442"),
        ("gb2312", "\u6731\u57fa"),
        ("shift_jis", "\u4f1a\u8b70"),
        ("windows-1251", "\u043f\u0440\u0438"),
        ("iso-2022-jp", "\u4f1a\u8b70"),
        ("utf-8", "\u043f\u0440\u0438"),
    ],
)
def test_a_raw_subject_is_in_the_charset_of_the_text(charset: str, text: str, form: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}"
    raw = f"Subject: {text}\n".encode(charset) + form.format(head=head, text=text).encode(charset)
    for source in (raw, raw.decode("latin-1")):
        mail = mime.parse(source)
        assert (mail.subject, mail.plain) == (text, [text])


def test_a_raw_subject_is_in_the_charset_that_the_html_names() -> None:
    raw = b"Subject: \xd0\xd2\nContent-Type: text/html\n\n<meta charset=koi8-r>\xd0\xd2"
    assert mime.parse(raw).subject == "\u043f\u0440"


def test_raw_text_beside_an_encoded_word() -> None:
    raw = b"Subject: \xd0\xd2 =?utf-8?Q?x?=\nContent-Type: text/plain; charset=koi8-r\n\n"
    assert mime.parse(raw).subject == "\u043f\u0440 x"


def test_a_subject_is_limited_after_it_is_decoded() -> None:
    words = "=?utf-8?Q?" + "=C3=A4" * 10 + "?=\n "
    assert mime.parse(f"Subject: {words * 20}\n\n").subject == "\u00e4" * 200
    assert len(mime.parse(f"Subject: {'a' * 5000}\n\n").subject) == headers.SUBJECT_LIMIT


@pytest.mark.parametrize(
    "value",
    [
        'text/html; (x) a="' + '\\"' * 32_000,
        "text/html; (" + "\\(" * 32_000,
        "text/html; " + "(" * 64_000,
        "text/html; " + '("' * 32_000,
        "text/html; " + ';a="' * 16_000,
        "text/html" + "; boundary*0" * 5_000,
        "text/html; boundary" + " " * 64_000,
        "text/html; " + "boundary=" * 7_000,
    ],
)
def test_time_of_a_content_type_is_linear(value: str) -> None:
    started = time.process_time()
    headers.content_type(value)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("unit", ["=?", "=?a?q?", "=?a?q?x ", "=?=?q?", "?=", "=?a?q?=?= ", "=?a?b?\xff?= "])
def test_time_of_a_subject_is_linear(unit: str) -> None:
    started = time.process_time()
    headers.subject(unit * 100_000, "koi8-r")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "unit",
    ["a: b;\nc=d\n", "no header\nTo: b\n", "no header\n", "\n \n", "a: b\n\t\n", ";\n", "From x\n", "a :\n", "\n\n"],
)
def test_time_of_a_block_is_linear(unit: str) -> None:
    started = time.process_time()
    mime.parse("Subject: x\n" + unit * (2_000_000 // len(unit)))
    assert time.process_time() - started < 2
