"""Tests of excerpts: they look like short mail."""

import random

import numpy as np
import pytest

from trainer import excerpts

BODY = "\n".join(f"line{n} " + " ".join(f"word{n}x{m}" for m in range(9)) for n in range(60))
WHOLE = f"Received: from relay\nSubject: a =?us-ascii?Q?=0Asubject?=\nContent-Type: text/plain\n\n{BODY}\n".encode()
HTML = b"Subject: s\nContent-Type: text/html\n\n<html><body><p>one &amp; two</body></html>"


def drawn(raw: bytes, count: int = 300) -> list[str]:
    chosen = random.Random(0)
    return [excerpts.excerpt(raw, chosen) for _ in range(count)]


def bodies(found: list[str]) -> list[str]:
    return [one.removeprefix("Subject: a subject\n\n") for one in found]


def test_excerpts_are_short_pieces_from_a_line_on_and_cut_no_word() -> None:
    for body in bodies(drawn(WHOLE)):
        assert len(body) <= excerpts.LONGEST and f"\n{body}" in f"\n{BODY}"
        assert len(body.split()) == 1 or set(body.split()) <= set(BODY.split())


def test_excerpts_are_of_all_lengths_from_all_places() -> None:
    found = bodies(drawn(WHOLE))
    lengths = np.array([len(body) for body in found])
    assert (lengths < 45).mean() == pytest.approx(0.5, abs=0.15) and lengths.max() > 300
    assert len({body.split()[0] for body in found if len(body) > 10}) > 40


def test_half_of_the_excerpts_keep_the_subject_in_one_line() -> None:
    share = np.mean([one.startswith("Subject: a subject\n\n") for one in drawn(WHOLE)])
    assert share == pytest.approx(excerpts.SUBJECT_SHARE, abs=0.1)


def test_excerpt_of_html_is_what_a_reader_sees() -> None:
    assert {one.removeprefix("Subject: s\n\n") for one in drawn(HTML)} <= {"one & two", "one &", "one"}


def test_mail_without_text_has_an_empty_excerpt_or_its_subject() -> None:
    assert set(drawn(b"Subject: s\nContent-Type: image/png\n\nx")) == {"", "Subject: s\n\n"}
    assert set(drawn(b"")) == {""}


def test_one_long_word_is_cut() -> None:
    assert all(0 < len(one) <= excerpts.LONGEST for one in drawn(b"x" * 5000))
