"""Tests of templates: format, errors by file and line, and filled messages."""

import random
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from trainer import details, templates, vocabulary
from trainer.errors import TrainerError

NOTICE = """=== parcel-notice
Subject: {Your|A} parcel {tracking}
From: {shop}

Hi {first},

your order {order} {|{has left|left} {city}}.

- {product}: {price}
- {product}: {price}

[Track your parcel]({link})
=== second-one
Subject: Grüße
Form: plain

{first} {first} {badlink}
"""


def written(root: Path, text: str, place: str = "en/ham") -> Path:
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / "some.txt").write_text(text, encoding="utf-8")
    return root


def shown(raw: bytes) -> str:
    body = message_from_bytes(raw, policy=policy.default).get_body(("plain", "html"))
    assert body is not None
    return str(body.get_content())


def test_templates_have_name_language_kind_and_forms(tmp_path: Path) -> None:
    written(tmp_path, NOTICE)
    found = templates.load(written(tmp_path, NOTICE, "de/spam"))
    assert [(one.name, one.language, one.spam, one.forms) for one in found] == [
        ("parcel-notice", "en", 0, ("plain", "html")),
        ("second-one", "en", 0, ("plain",)),
        ("parcel-notice", "de", 1, ("plain", "html")),
        ("second-one", "de", 1, ("plain",)),
    ]


def test_filled_template_is_a_message_that_the_seed_determines(tmp_path: Path) -> None:
    notice = templates.load(written(tmp_path, NOTICE))[0]
    mails = [templates.fill(notice, seed) for seed in range(40)]
    assert mails == [templates.fill(notice, seed) for seed in range(40)] and len(set(mails)) == 40
    for mail in mails:
        parsed = message_from_bytes(mail, policy=policy.default)
        assert " parcel " in parsed["Subject"] and not parsed.defects
        assert "Track your parcel" in shown(mail) or "://" in shown(mail)
        assert not any(each.defects for each in parsed.walk())


def test_half_of_the_messages_are_html(tmp_path: Path) -> None:
    notice = templates.load(written(tmp_path, NOTICE))[0]
    share = sum(b"text/html" in templates.fill(notice, seed) for seed in range(400)) / 400
    assert 0.4 < share < 0.6


def test_plain_form_is_plain_and_repeats_details_but_not_lists(tmp_path: Path) -> None:
    second = templates.load(written(tmp_path, NOTICE))[1]
    for seed in range(20):
        mail = templates.fill(second, seed)
        first, again, link = shown(mail).split()
        assert b"text/html" not in mail and first == again and link.startswith("http")
        assert message_from_bytes(mail, policy=policy.default)["Subject"] == "Grüße"
    details_of = [details.Details(random.Random(seed), "en") for seed in range(20)]
    assert any(one("product") != one("product") for one in details_of)
    assert all(one("tracking") == one("tracking") for one in details_of)


def test_alternatives_nest_and_may_be_empty(tmp_path: Path) -> None:
    text = "=== a\nSubject: s\nForm: plain\n\nx {a|{b|c} d|} y\n"
    one = templates.load(written(tmp_path, text))[0]
    found = {shown(templates.fill(one, seed)).strip() for seed in range(60)}
    assert found == {"x a y", "x b d y", "x c d y", "x y"}


@pytest.mark.parametrize("language", vocabulary.LANGUAGES)
@pytest.mark.parametrize("name", details.NAMES)
def test_every_placeholder_has_different_values_in_each_language(language: str, name: str) -> None:
    found = {details.Details(random.Random(seed), language)(name) for seed in range(40)}
    assert len(found) > 3 and all(value.strip() == value and value for value in found)
    assert not any("{" in value or "\n" in value for value in found) and (
        name != "email" or all(map(str.isascii, found))
    )


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("Subject: s\n\nx\n", 1, "begins with a line '=== name'"),
        ("=== Bad Name\nSubject: s\n\nx\n", 1, "small letters and digits"),
        ("=== a\nSubject: s\n\n", 1, "no body"),
        ("=== a\nFrom: s\n\nx\n", 1, "no line 'Subject: …'"),
        ("=== a\nSubject: s\nTo: b\n\nx\n", 3, "'To: b' must be"),
        ("=== a\nSubject: s\nSubject: t\n\nx\n", 3, "one line each"),
        ("=== a\nSubject: s\nForm: rtf\n\nx\n", 3, "'rtf' must be one of plain, html"),
        ("=== a\nSubject: {nobody}\n\nx\n", 2, "unknown placeholder {nobody}; known: first, last"),
        ("\n=== a\nSubject: s\n\nx\n\ny {first} {one or other}\n", 7, "unknown placeholder {one or other}"),
        ("=== a\nSubject: s\n\nx\n{a|b\n\nc\n", 5, "'{' without its '}'"),
        ("=== a\nSubject: s\n\nx\n=== b\nSubject: t\n\nx\n}\n", 9, "'}' without its '{'"),
        ("=== a\nSubject: s\n\n{}\n", 4, "unknown placeholder {}"),
    ],
)
def test_malformed_template_is_one_line_with_file_and_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(TrainerError) as caught:
        templates.load(written(tmp_path, text))
    message = str(caught.value)
    assert f"some.txt, line {line}: " in message and reason in message and "\n" not in message


def test_same_name_twice_and_other_charsets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="'a' of en is there twice"):
        templates.load(written(tmp_path, "=== a\nSubject: s\n\nx\n" * 2))
    (tmp_path / "en/ham/some.txt").write_bytes(b"=== a\nSubject: \xff\n\nx\n")
    with pytest.raises(TrainerError, match="cannot be read as UTF-8"):
        templates.load(tmp_path)


def test_templates_of_the_package_can_be_filled() -> None:
    for template in templates.load():
        assert all(shown(templates.fill(template, seed)) for seed in range(2)), template.name
