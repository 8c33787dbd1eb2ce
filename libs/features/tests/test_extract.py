"""Tests of what the model sees of a mail: named numbers and words."""

import base64
import math
import quopri
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import features
from corpus.hostile import FAMILIES
from features import mime

MIB = 1 << 20


def number(name: str, source: str | bytes) -> float:
    return features.extract(source).values[features.NAMES.index(name)]


def words(source: str | bytes) -> set[str]:
    return set(features.extract(source).text.split())


def test_names_are_15_to_40_and_described() -> None:
    assert 15 <= len(features.NAMES) <= 40
    assert tuple(features.DESCRIPTIONS) == features.NAMES
    assert all(features.DESCRIPTIONS.values())


MAIL = "Subject: FREE Offer!!\n\n"
HTML = "Subject: x\nContent-Type: text/html\n\n"
TWO_PARTS = 'Subject: x\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\nhi\n'


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("subject_length", MAIL, 12),
        ("subject_capitals_share", MAIL, 5 / 9),
        ("subject_marks", MAIL, 2),
        ("text_length", MAIL + "one two", 7),
        ("words", MAIL + "One, two - three", 3),
        ("word_length_mean", MAIL + "one two ab", 8 / 3),
        ("longest_word", MAIL + "a unsubscribe b", 11),
        ("lines", MAIL + "a\nb\nc", 3),
        ("quoted_lines", MAIL + "> a\nb > c\n>> d", 2),
        ("capitals_share", MAIL + "ABcd 12", 0.5),
        ("capital_words", MAIL + "BUY it NOW, (FREE) OK McDonald", 3),
        ("digits_share", MAIL + "12ab", 0.5),
        ("symbols_share", MAIL + "a.b-", 0.5),
        ("exclamation_marks", MAIL + "now!!! or never!", 4),
        ("currency_signs", MAIL + "$5 \u20ac6 \u00a37 \u00a58", 4),
        ("non_ascii_share", MAIL + "\u00fca\u00fca", 0.5),
        ("exclamation_marks", MAIL + "\uff01 \u2757", 2),
        ("links", MAIL + "http://a.example/x HTTPS://b.example http://a.example/x", 2),
        ("link_hosts", MAIL + "http://a.example/x http://A.example/y?z http://u@a.example:80", 1),
        ("ip_links", MAIL + "http://10.0.0.1/x http://[::1] http://1.2.3.example/", 2),
        ("mail_addresses", MAIL + "bob@example.org, eve@example.org", 2),
        ("html_share", HTML + "<b>x</b>", 1),
        ("html_share", MAIL + "<b>x</b>", 0),
        ("markup_share", HTML + "<b>abcd</b>", 1 - 4 / 11),
        ("tags", HTML + "<p><b>x</b></p>", 2),
        ("images", HTML + "<IMG src=a><image><img>", 3),
        ("form_fields", HTML + "<form><input name=a><select><textarea></form>", 3),
        ("html_comments", HTML + "<!-- a -->b<!-- c -->", 2),
        ("parts", TWO_PARTS + "--b\nContent-Type: image/gif\n\nR0\n--b--", 2),
        ("attachments", TWO_PARTS + "--b\nContent-Type: image/gif\n\nR0\n--b--", 1),
        ("hidden_words", HTML + "a<p hidden>b c</p>", 2),
        ("longest_link", MAIL + "http://a.example/xy http://b.example", 12),
        ("you_share", MAIL + "You win! Ihre Meinung", 0.5),
        ("you_share", MAIL + "young", 0),
        ("you_share", MAIL + "you " * 100 + "me " * 200, 0.5),
        ("longest_plain_line", MAIL + "ab\nabcd\nabc", 4),
        ("longest_plain_line", HTML + "abcd", 0),
        ("host_digits", MAIL + "http://a12.b3.example http://1.2.3.4", 3),
        ("odd_links", MAIL + "http://u@a.example http://a.example:81 http://1.2.3.4 http://a.example", 3),
        ("money_amounts", MAIL + "$5, 6 $ and 7.50 \u20ac, 8 Euro or 9 million, no $ and no dollars", 5),
        ("subject_share", MAIL + "A free lunch", 0.5),
        ("generic_greeting", MAIL + "Dear valued customer,", 1),
        ("generic_greeting", MAIL + "Dear Anna,", 0),
        ("host_entropy", MAIL + "http://abcdabcd.ex.am", 2),
        ("host_entropy", MAIL + "http://aaaa.ex.am", 0),
    ],
)
def test_numbers(name: str, source: str, expected: float) -> None:
    assert number(name, source) == pytest.approx(expected)


def test_every_number_is_tested() -> None:
    marker = next(mark for mark in test_numbers.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert {case[0] for case in marker.args[1]} == set(features.NAMES)


def test_words_of_subject_text_and_links() -> None:
    source = (
        HTML.replace("Subject: x", "Subject: Cheap pills")
        + '<A href="http://www.Shop.example/buy/now?id=7">Don\'t WAIT, $5</A>'
    )
    assert words(source) >= {
        *("cheap", "subject:cheap", "subject:pills", "don't", "wait", "$5"),
        *("host:www.shop.example", "host:www", "host:shop", "host:example"),
    }


def test_text_does_not_starve_html(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ["lorem ips " * features.TEXT_LIMIT], ['<a href="http://shop.example/">pills</a>']
    monkeypatch.setattr("features.mime.parse", lambda _: mime.ParsedMail("x", *parts))
    assert words("") == {"lorem", "ips", "pills", "x", "subject:x", *(f"host:{n}" for n in HOST_WORDS)}
    assert number("text_length", "") == features.TEXT_LIMIT + len("\npills")


HOST_WORDS = ("shop.example", "shop", "example")


@pytest.mark.parametrize(
    "greeting",
    [
        *("Dear Customer", "dear account owner", "Hello friend!", "Attention: Sir/Madam", "Dear bob@example.org,"),
        *("Dear PayPal user is a name", "Hi bob.b+c@example.org"),
        *("Sehr geehrter Kunde,", "Sehr geehrte Damen und Herren", "Lieber Nutzer", "Liebe Kundin"),
        *("Cher client,", "Ch\u00e8re cliente,", "Bonjour cher ami", "Estimado cliente:"),
        *("Estimada usuaria,", "Hola amigo"),
    ],
)  # fmt: skip
def test_greeting_to_anyone(greeting: str) -> None:
    assert number("generic_greeting", f"{MAIL}{greeting}\nyour parcel") == ("PayPal" not in greeting)


@pytest.mark.parametrize(
    "greeting", ["Dear Bob", "Hi Userova", "Highly valued customer", "Sehr geehrte Frau Kunz", "x"]
)
def test_greeting_to_a_person(greeting: str) -> None:
    assert number("generic_greeting", f"{MAIL}{greeting}\nyour parcel") == 0


def test_each_word_once_in_order_of_appearance() -> None:
    assert features.extract("b a b A c").text == "b a c"


def test_typographic_marks_part_words_as_plain_ones_do() -> None:
    assert words("\u201cFree\u201d \u2014 don\u2019t\u2026wait") == {"free", "don't", "wait"}


def test_letters_outside_ascii_are_made_small() -> None:
    assert words("\u00dcBER \u041f\u0420\u0418\u0412\u0415\u0422") == {
        "\u00fcber",
        "\u043f\u0440\u0438\u0432\u0435\u0442",
    }


def test_transport_headers_are_not_seen() -> None:
    headers = "Received: from relay.example by mx.example\nList-Id: <list.example>\nX-Mailer: Bulk\n"
    assert features.extract(headers + MAIL + "body") == features.extract(MAIL + "body")


def test_nothing_gives_numbers_of_nothing() -> None:
    for source in ("", b"", "\0", "\n\n", "Subject:\n\n"):
        extracted = features.extract(source)
        assert extracted.text == ""
        assert all(math.isfinite(value) for value in extracted.values)


TEXT = "Sch\u00f6ne Gr\u00fc\u00dfe! Visit http://shop.example/now \u2013 only \u20ac5 <today> & tomorrow"


def _html(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\u20ac", "&euro;")
    return f"<html><body><p>{escaped}</p></body></html>"


VARIANTS: dict[str, Callable[[], str | bytes]] = {
    "eight bit": f"Subject: s\nContent-Type: text/plain; charset=utf-8\n\n{TEXT}".encode,
    "windows": lambda: b"Subject: s\nContent-Type: text/plain; charset=windows-1252\n\n" + TEXT.encode("cp1252"),
    "base64": lambda: (
        b"Subject: s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(TEXT.encode())
    ),
    "quoted printable": lambda: (
        b"Subject: s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        + quopri.encodestring(TEXT.encode())
    ),
    "carriage returns": lambda: f"Subject: s\r\nContent-Type: text/plain\r\n\r\n{TEXT}",
    "encoded subject": lambda: f"Subject: =?utf-8?B?cw==?=\n\n{TEXT}",
    "html": lambda: f"Subject: s\nContent-Type: text/html; charset=utf-8\n\n{_html(TEXT)}",
    "multipart": lambda: (
        'Subject: s\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n'
        f"{TEXT}\n--b--\n"
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_mail_in_any_wrapping_has_the_same_words(variant: str) -> None:
    assert words(VARIANTS[variant]()) == words(f"Subject: s\n\n{TEXT}")


@given(st.one_of(st.text(), st.text(st.characters()), st.binary()))
def test_never_raises_and_always_finite(source: str | bytes) -> None:
    extracted = features.extract(source)
    assert len(extracted.values) == len(features.NAMES)
    assert all(math.isfinite(value) and value >= 0 for value in extracted.values)
    extracted.text.encode()
    split = extracted.text.split()
    assert len(split) == len(set(split))


PIECES = [
    *(
        "\n",
        "\n\n",
        "\r\n",
        ": ",
        ";",
        "=",
        '"',
        "--",
        "\0",
        "\ud800",
        "\u00fc",
        "&#",
        "&amp;",
        "<!--",
        "-->",
        "<",
        ">",
    ),
    *("Subject: ", "Content-Type: ", "multipart/mixed", "message/rfc822", "text/html", "; boundary=b", "; charset="),
    *("utf-16", "iso-2022-jp", "unicode_escape", "hz", "Content-Transfer-Encoding: ", "base64", "quoted-printable"),
    *("--b\n", "--b--\n", "=?utf-8?B?", "=?x?q?", "?=", "R3I=", "=C3", "http://", "http://1.2.3.4", "word", " "),
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_never_raises_on_pieces_of_mail(source: str) -> None:
    extracted = features.extract(source)
    assert all(math.isfinite(value) and value >= 0 for value in extracted.values)
    features.extract(source.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("kind", FAMILIES)
def test_hostile_mail_of_a_mebibyte_costs_little(kind: str) -> None:
    source = FAMILIES[kind](MIB)
    start = time.process_time()
    extracted = features.extract(source)
    # Linear steps need about 0.05 s; one quadratic step over a mebibyte would need minutes.
    assert time.process_time() - start < 2.0
    assert len(extracted.text) < 4 * MIB // 10
    assert all(math.isfinite(value) for value in extracted.values)
