"""The commands of the README and of the client pages, run as they stand against the real system."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, System, system
from documents import DOCS, Block, blocks
from test_access import make_key

PAGES = [ROOT / "README.md", DOCS / "api.md", DOCS / "clients.md"]
ADDRESS = "localhost:8080"
ELIDED = "…"
SPAM_ASSASSIN = "spam-assassin"
"""Part of the path of the corpus whose model the pages' figures are of."""
ABOUT = 0.01
"""By how much a figure may differ: processors do not all round alike."""


def commands(*, with_key: bool = False) -> list[Any]:
    """Return the blocks that ask the gateway."""
    found = [(page, block) for page in PAGES for block in blocks(page) if asks(block, with_key)]
    return [pytest.param(block, id=f"{page.stem}-{number}") for number, (page, block) in enumerate(found)]


def asks(block: Block, with_key: bool) -> bool:
    return block.language in ("sh", "python") and ADDRESS in block.text and ("$KEY" in block.text) == with_key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, mails: list[str]) -> Path:
    """Make the folder in which a reader would run the commands, with a mail in a file and a folder of mail."""
    found = tmp_path_factory.mktemp("reader")
    (found / "mail.eml").write_bytes(mails[0].encode("latin-1"))
    (found / "mails").mkdir()
    for number, mail in enumerate(mails[:120]):
        (found / "mails" / f"{number:03}.eml").write_bytes(mail.encode("latin-1"))
    return found


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[tuple[System, str]]:
    """Start a system that requires keys; yield it and a key."""
    found = tmp_path_factory.mktemp("keyed")
    key = make_key(found / "keys.json", "reader", "staging,production")
    with system(found, model, {"API_KEYS_FILE": str(found / "keys.json")}) as running:
        yield running, key


def said(block: Block, running: System, folder: Path, **environ: str) -> str:
    """Run a block and return what it prints."""
    text = block.text.replace(ADDRESS, running.url.removeprefix("http://"))
    command = ["bash", "-euo", "pipefail", "-c", text] if block.language == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


def answers(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects that commands have printed one after another."""
    found = []
    while text := text.strip():
        answer, end = json.JSONDecoder().raw_decode(text)
        found.append(answer)
        text = text[end:]
    return found


@pytest.mark.parametrize("block", commands())
def test_a_command_answers_as_its_page_shows(block: Block, shared: System, folder: Path, corpus: Path) -> None:
    printed = said(block, shared, folder)
    if block.language == "python":
        assert re.search(r"\b(ham|spam) (0|1|[0-9.]+(e-[0-9]+)?)$", printed, re.MULTILINE)
        return
    (answer,) = answers(printed)
    if block.answer:
        assert_as_shown(shown(block.answer), answer, figures=SPAM_ASSASSIN in str(corpus))
    else:
        assert answer["prediction"] in ("ham", "spam")


@pytest.mark.parametrize("block", commands(with_key=True))
def test_a_command_with_a_key_is_answered(block: Block, keyed: tuple[System, str], folder: Path) -> None:
    running, key = keyed
    found = answers(said(block, running, folder, KEY=key))
    assert found
    assert all(answer["prediction"] in ("ham", "spam") for answer in found)
    assert all(answer["status"] == 401 for answer in answers(said(block, running, folder, KEY="")))


def test_each_page_has_commands() -> None:
    assert {found.id.rpartition("-")[0] for found in commands()} == {page.stem for page in PAGES}
    assert len(commands(with_key=True)) == 1


def shown(answer: str) -> Any:
    """Return a page's JSON, which may leave something out: `{…}`, and the rest of a list."""
    return json.loads(answer.replace("{…}", f'{{"{ELIDED}": 0}}').replace(", …]", f', "{ELIDED}"]'))


def assert_as_shown(expected: Any, answer: Any, *, figures: bool, at: str = "the answer") -> None:
    """Compare keys, texts and figures; what the page leaves out may be anything.

    Args:
        figures: Whether verdicts and figures are those of the model that the page is of.
    """
    if expected == ELIDED:
        return
    if isinstance(expected, dict):
        if ELIDED in expected:
            return
        assert isinstance(answer, dict), at
        assert expected.keys() == answer.keys(), at
        for key, value in expected.items():
            assert_as_shown(value, answer[key], figures=figures, at=f"{at}.{key}")
    elif isinstance(expected, list):
        assert_list_as_shown(expected, answer, figures=figures, at=at)
    elif isinstance(expected, float | int) and not isinstance(expected, bool):
        assert isinstance(answer, float | int), at
        assert not figures or answer == pytest.approx(expected, abs=ABOUT), at
    elif at.endswith(".prediction"):
        assert answer == expected or not figures, at
    else:
        assert answer == expected, at


def assert_list_as_shown(expected: list[Any], answer: list[Any], *, figures: bool, at: str) -> None:
    """Compare two lists; of a list that goes on, compare each element shown with the one of its name."""
    if expected[-1:] != [ELIDED]:
        assert len(expected) == len(answer), at
        for number, (one, other) in enumerate(zip(expected, answer, strict=True)):
            assert_as_shown(one, other, figures=figures, at=f"{at}[{number}]")
        return
    named = {element["name"]: element for element in answer}
    for one in expected[:-1]:
        assert_as_shown(one, named[one["name"]], figures=figures, at=f"{at}[{one['name']}]")
