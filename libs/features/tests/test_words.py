"""Tests of what parts words and what belongs to them."""

import time

import pytest

from features import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one, two;three\nfour", ["one", "two", "three", "four"]),
        ("don't 'free' ''now'' o\u2019clock \u2018win\u2019", ["don't", "free", "'now'", "o'clock", "win"]),
        ("$5 5$ \u20ac5 5\u00a3 us$7", ["$5", "5$", "\u20ac5", "5\u00a3", "us$7"]),
        ("\u60a8\u597d\uff0c\u8fd9\u662f\u5e7f\u544a\uff01", ["\u60a8\u597d", "\u8fd9\u662f\u5e7f\u544a"]),
        ("\u300cfree\u300d\u3001win\u3002\u3000now\u30fb", ["free", "win", "now"]),
        ("\U0001f525free \u2705win\u2757\ufe0fnow\U0001f44d\U0001f3fdok", ["free", "win", "now", "ok"]),
        ("1\ufe0f\u20e3first \U0001f468\u200d\U0001f469family", ["1first", "family"]),
        (
            "free\u2014win\u2026now\u2022ok\u00b7\u00abyes\u00bb\u2192go\u00a9me",
            ["free", "win", "now", "ok", "yes", "go", "me"],
        ),
        ("\u00bfqu\u00e9? \u00a1s\u00ed!", ["qu\u00e9", "s\u00ed"]),
        ("\u3231\u9ad9\u6a4b \u337b", ["\u3231\u9ad9\u6a4b", "\u337b"]),
        ("vi\u200bag\u00adra a\u00a0b\u2003c\u2028d", ["viagra", "a", "b", "c", "d"]),
        ("\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", None),
        (
            "\u0633\u0644\u0627\u0645\u060c\u061f\u062f\u0646\u06cc\u0627",
            ["\u0633\u0644\u0627\u0645", "\u062f\u0646\u06cc\u0627"],
        ),
    ],
)
def test_words(text: str, expected: list[str] | None) -> None:
    assert words.shown(text).split() == (text.split() if expected is None else expected)


def test_many_marks_part_words_as_few_do() -> None:
    marks = [chr(point) for point in range(0x2190, 0x2190 + 4 * words.REPLACED_LIMIT)]
    text = "".join(f"{mark}a" for mark in marks)
    assert words.shown(text).split() == ["a"] * len(marks)


def test_many_marks_cost_little() -> None:
    text = "".join(map(chr, range(0x2000, 0x6000))) * 2
    start = time.process_time()
    words.shown(text)
    assert time.process_time() - start < 0.5


def test_hosts_as_words() -> None:
    assert words.of_hosts(["a.example"], ["1.2.3.4"]) == ["host:a.example", "host:1.2.3.4", "host:a", "host:example"]
    assert words.of_hosts([], []) == []
