"""Tests of dressing: whole HTML messages that show the text, keep its links, and tell nothing of its kind."""

import random
import re
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from features import markup
from trainer import dressing, frames, furniture, layout
from trainer.seen import Seen, seen

TEXT = """Hello Ann,

the plan for tomorrow is <attached> & 5 > 3.
See https://meet.example/a?b=1&c=2 first.

- bring a pen
- bring paper

[Open the plan](https://plan.example/x?y=%20z)

> was it late?"""
WORDS = ("Hello Ann,", "the plan for tomorrow is <attached> & 5 > 3.", "bring paper", "Open the plan", "was it late?")


def parsed(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=policy.default)


def html_of(raw: bytes) -> str:
    body = parsed(raw).get_body(("html",))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("frame", frames.FRAMES)
@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_every_frame_shows_the_whole_text_and_its_links(frame: frames.Frame, language: str) -> None:
    for seed in range(8):
        look = furniture.Look(random.Random(seed), language, "a <subject>")
        source = frame(look, layout.blocks(TEXT))
        shown = " ".join(markup.parse(source).shown.split())
        assert all(words in shown for words in WORDS), source
        assert 'href="https://plan.example/x?y=%20z"' in source


def test_dressed_text_is_a_whole_message_that_the_seed_determines() -> None:
    mails = [dressing.dress(TEXT, "Grüße & more", seed) for seed in range(200)]
    assert mails == [dressing.dress(TEXT, "Grüße & more", seed) for seed in range(200)] and len(set(mails)) == 200
    for mail in mails:
        message = parsed(mail)
        assert message["Subject"] == "Grüße & more" and not any(part.defects for part in message.walk())
        assert 'href="https://meet.example/a?b=1&amp;c=2"' in html_of(mail)
        assert max(map(len, mail.split(b"\r\n"))) < 999
    for wanted in (b"multipart/alternative", b"charset=iso-8859-1", b"base64", b"8bit", b"quoted-printable"):
        assert 10 < sum(wanted in mail for mail in mails) < 190


def test_there_are_at_least_eight_frames_and_all_are_drawn() -> None:
    marks = (
        "gmail_quote",
        "WordSection1",
        "elementToProof",
        "mj-column",
        "x-apple-disable",
        'dir="auto" style',
        "hero",
    )
    mails = "".join(html_of(dressing.dress(TEXT, "s", seed)) for seed in range(150))
    assert len(frames.FRAMES) >= 8 and all(mark in mails for mark in marks)


def test_copy_of_a_mail_keeps_its_words_and_links() -> None:
    raw = (
        b"Subject: News\nContent-Type: text/html\n\n<p>one two three</p>\n\n<p>four</p>"
        b"<a href=\"http://a.example/?x=1&amp;y=2\">five</a> <a href='https://b.example/z'>six</a>"
    )
    for seed in range(30):
        source = html_of(dressing.dressed(seen(raw), random.Random(f"copy/{seed}")))
        assert set(re.findall(r"\w+", markup.parse(source).shown)) >= {"one", "two", "three", "four", "five", "six"}
        assert 'href="http://a.example/?x=1&amp;y=2"' in source and 'href="https://b.example/z"' in source


@pytest.mark.parametrize(
    "raw", [b"", b"Subject: x\n\n", b"\xff\xfe\x00", b"[a](b) {c} %s {0}", b"Subject: =?x?=\n\n[[](("]
)
def test_any_mail_can_be_dressed(raw: bytes) -> None:
    for seed in range(30):
        assert parsed(dressing.dressed(seen(raw), random.Random(f"copy/{seed}"))).get_body(("html",)) is not None


def test_plain_copy_of_a_mail_keeps_its_links() -> None:
    found = Seen("News", "one two three\n\nfour", ("http://a.example/?x=1&y=2", "http://b.example/"))
    for seed in range(30):
        mail = dressing.plain_copy(found, random.Random(seed))
        body = parsed(mail).get_body(("plain",))
        assert body is not None and b"text/html" not in mail
        assert all(link in body.get_content() for link in found.links)


def test_seen_text_is_the_richer_of_html_and_plain_text() -> None:
    head = b"Subject: s\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n"
    middle = b"\n--b\nContent-Type: text/html\n\n"
    assert seen(head + b"see the web" + middle + b"<p>all of the words</p>\n--b--\n").text.strip() == "all of the words"
    assert seen(head + b"one two three four" + middle + b"<img>\n--b--\n").text == "one two three four"


def test_links_are_in_text_without_other_words() -> None:
    found = Seen("s", "one two\n\n> three", tuple(f"http://{n}.example/" for n in range(3)))
    mail = html_of(dressing.dressed(found, random.Random(1)))
    assert all(f'href="http://{n}.example/"' in mail for n in range(3))


def test_wrapped_lines_are_joined_and_meant_ones_are_kept() -> None:
    long = "these are words enough for a line that was wrapped for its width"
    text = (
        f"{long}\nand goes on\nhere\n\n> {long}\n> quoted\n- {long}\n  bullet\nBest,\nAnn\n{long}\n- a\n{'x' * 60}\ny"
    )
    found = [(block.kind.value, block.lines) for block in layout.blocks(text)]
    assert found == [
        ("paragraph", (f"{long} and goes on", "here")),
        ("quote", (f"{long} quoted",)),
        ("bullets", (f"{long} bullet",)),
        ("paragraph", ("Best,", "Ann", long)),
        ("bullets", ("a",)),
        ("paragraph", ("x" * 60, "y")),
    ]


def test_dressed_ham_and_spam_differ_by_their_text_alone() -> None:
    kinds = [[dressing.dressed(Seen("s", text, ()), random.Random(n)) for n in range(100)] for text in ("ham", "spam")]
    tags = [[len(re.findall("<[a-z]", html_of(mail))) for mail in mails] for mails in kinds]
    assert tags[0] == tags[1]


def test_some_messages_have_an_attachment() -> None:
    mails = [parsed(dressing.dress(TEXT, "s", seed)) for seed in range(300)]
    attached = [mail for mail in mails if [*mail.iter_attachments()]]
    assert 5 < len(attached) < 40 and not any(part.defects for mail in attached for part in mail.walk())
