"""Tests of readable text: what nobody sees is gone, and letters that only look different are plain."""

import time

import pytest

from features.text import readable


@pytest.mark.parametrize(
    "invisible",
    [
        *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e"),
        *("\u200f", "\u202a", "\u202e", "\u2060", "\u2061", "\u2064", "\u2066", "\u2069", "\u206f", "\u3164", "\ufe00"),
        *("\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\U000e0001", "\U000e0041", "\U000e0100", "\U0001d173", "\u180b"),
        *("\u0335", "\u0336", "\u0338", "\u20dd", "\u20e3", "\u0489"),
    ],
)
def test_invisible_characters_are_gone(invisible: str) -> None:
    assert readable(f"vi{invisible}ag{invisible}ra") == "viagra"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\U0001d403\U0001d42b\U0001d428\U0001d429", "Drop"),
        ("\U0001d5d9\U0001d5e5\U0001d5d8\U0001d5d8", "FREE"),
        ("\U0001d4d5\U0001d58b\U0001d671\U0001d7d8\U0001d6fc", "FfB0\u03b1"),
        ("\u212c\u210a\u2115\u2124", "BgNZ"),
        ("\uff26\uff52\uff45\uff45\uff01\u3000\uff05\uff11", "Free! %1"),
        ("\u24bb\u24e1\u24d4\u24d4\u2460\u2469", "Free110"),
        ("\U0001f135\U0001f141\U0001f134\U0001f134", "FREE"),
        ("\U0001f155\U0001f161\U0001f154\U0001f154", "FREE"),
        ("\U0001f175\U0001f181\U0001f174\U0001f174", "FREE"),
        ("\u24a1\u24ad\u24a0\u24a0", "free"),
        ("\u1da0\u02b3\u1d49\u1d49", "free"),
        ("\u1d63\u1d64\u2099\u2081", "run1"),
        ("of\ufb01ce \ufb00 \ufb04 \ufb06", "office ff ffl st"),
        ("\u2163\u2170", "IVi"),
        ("\u212a\u017f", "Ks"),
        ("e\u0301 u\u0308 \u0438\u0306", "\u00e9 \u00fc \u0439"),
        ("a\u00a0b\u2003c\u202fd\u2800e", "a b c d e"),
        ("one\u2028two\u2029three", "one\ntwo\nthree"),
    ],
)
def test_letters_that_only_look_different_are_plain(text: str, plain: str) -> None:
    assert readable(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "plain \x08 ASCII\t\n",
        "Gr\u00fc\u00dfe, 1\u00ba, m\u00b2, \u00bd, \u2122, \u20ac, \u201cx\u201d \u2026",
        "\u3231\u9ad9\u6a4b \uff76\uff85 \u32a4",
        "\u043f\u0440\u0438\u0432\u0435\u0442 \u4f1a\u8b70 \ud68c\uc758 \u0e01\u0e33 \u05e9\u05c1",
        "\U0001f600 \u2764 \U0001f1e9\U0001f1ea",
    ],
)
def test_all_else_stays(text: str) -> None:
    assert readable(text) == text


def test_many_different_letters_are_replaced_in_one_pass() -> None:
    small = "".join(chr(0x1D41A + n) for n in range(26))
    assert readable(small + "\u200b" + small) == "abcdefghijklmnopqrstuvwxyz" * 2


@pytest.mark.parametrize(
    "unit", ["a\u0300", "\u0300\u0316", "a" + "\u0316\u0300" * 50, "\u200b", "\U0001d403", "\ufdfa"]
)
def test_time_is_linear(unit: str) -> None:
    started = time.process_time()
    readable(unit * (1_000_000 // len(unit)))
    assert time.process_time() - started < 2
