"""Tests of parts: contiguous lines or sentences with the wanted share of a mail's words."""

import random

import numpy as np

from trainer import parts
from trainer.seen import Seen

TEXT = "\n".join(" ".join(f"w{n}x{m}" for m in range(9)) + "." for n in range(60))
WHOLE = Seen("a subject", TEXT, ("http://a.example/", "http://b.example/"))


def drawn(found: Seen, count: int = 300) -> list[Seen]:
    return [parts.part(found, random.Random(seed)) for seed in range(count)]


def test_parts_are_contiguous_and_have_the_wanted_share_of_words() -> None:
    words = TEXT.split()
    shares = []
    for one in drawn(WHOLE):
        found = one.text.split()
        start = words.index(found[0])
        assert words[start : start + len(found)] == found
        shares.append(len(found) / len(words))
    assert min(shares) >= parts.SMALLEST and max(shares) < parts.LARGEST + 0.02
    assert np.mean(shares) == np.clip(np.mean(shares), 0.3, 0.4)


def test_parts_come_from_all_places_and_some_keep_subject_and_links() -> None:
    found = drawn(WHOLE)
    assert len({one.text.split()[0] for one in found}) > 40
    assert 0.6 < np.mean([one.subject == "a subject" for one in found]) < 0.8
    assert {len(one.links) for one in found} == {0, 1, 2}


def test_one_long_line_is_cut_and_an_empty_mail_gives_an_empty_part() -> None:
    line = Seen("", " ".join(f"w{n}" for n in range(100)), ())
    assert all(5 <= len(one.text.split()) <= 61 for one in drawn(line))
    assert max(len(one.text.split()) for one in drawn(Seen("", "w " * 20, ()))) <= 12
    assert {one.text for one in drawn(Seen("s", "", ()))} == {""}
    assert {one.text for one in drawn(Seen("s", "word", ()))} == {"word"}
