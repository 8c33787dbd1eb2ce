"""Tests of the verdicts on everyday mail.

The mails in `everyday` were written by us for this test. Nothing of them is in the templates that the model learns
from.
"""

import re

import aiohttp
import pytest
from conftest import ROOT, System

FOLDER = ROOT / "tests" / "system" / "everyday"
TEMPLATES = ROOT / "tools" / "trainer" / "src" / "trainer" / "templates"
RUN = 6
"""Words in a row that no two mails share by chance."""


def mails_of(kind: str) -> dict[str, str]:
    """Return the mails of a file by their names."""
    pieces = re.split(r"^=== (.*)\n", (FOLDER / f"{kind}.txt").read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def runs(text: str) -> set[str]:
    """Return each sequence of `RUN` words."""
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


async def called_spam(http: aiohttp.ClientSession, system: System, mails: dict[str, str]) -> set[str]:
    """Return the names of the mails that are called spam."""
    async with http.post(f"{system.url}/api/v1/batch-predict", json={"emails": list(mails.values())}) as response:
        assert response.status == 200
        answer = await response.json()
    return {name for name, each in zip(mails, answer["predictions"], strict=True) if each["prediction"] == "spam"}


async def test_everyday_ham_is_delivered(http: aiohttp.ClientSession, shared: System) -> None:
    ham = mails_of("ham")
    assert len(ham) == 30
    called = await called_spam(http, shared, ham)
    assert len(called) <= 1, called


async def test_everyday_spam_is_caught(http: aiohttp.ClientSession, shared: System) -> None:
    spam = mails_of("spam")
    assert len(spam) == 30
    called = await called_spam(http, shared, spam)
    assert len(called) >= 18, set(spam) - called


@pytest.mark.parametrize("kind", ["ham", "spam"])
def test_no_everyday_mail_is_learned(kind: str) -> None:
    learned = set().union(*(runs(file.read_text()) for file in TEMPLATES.rglob("*.txt")))
    assert not {name: shared for name, mail in mails_of(kind).items() if (shared := runs(mail) & learned)}


async def test_examples_of_the_readme_are_judged_as_a_reader_would(http: aiohttp.ClientSession, shared: System) -> None:
    spam = {"readme": "Win a free prize! Click here now!", "api": "You have won $1,000,000!!!"}
    ham = {text: text for text in ("Hello world", "Test email", "See you at ten.")}
    assert await called_spam(http, shared, spam | ham) == set(spam)


HAM_WORDS = "meeting notes patch kernel list thanks wrote release build server " * 270
EVASIONS = {
    "empty comment": "<!-->",
    "style without end": "<style>",
    "much style": f"<style>{'.a{color:#123;margin:0 1px}' * 640}</style>",
    "hidden text": f'<div style="display:none">{HAM_WORDS}</div>',
    "white text": f'<font color="#ffffff">{HAM_WORDS}</font>',
    "comment": f"<!--{HAM_WORDS}-->",
}


async def test_markup_that_hides_words_changes_no_verdict(http: aiohttp.ClientSession, shared: System) -> None:
    spam = [mail for mail in mails_of("spam").values() if "<html>" in mail]
    dressed = {
        f"{name} {number}": mail.replace("<html>", f"<html>{evasion}", 1)
        for name, evasion in EVASIONS.items()
        for number, mail in enumerate(spam)
    }
    assert len(spam) >= 2
    assert await called_spam(http, shared, dressed) == set(dressed)
