"""Fixtures: a small corpus of made-up mails, different enough to learn from."""

import random
from pathlib import Path

import pytest

HAM = [
    "meeting",
    "patch",
    "kernel",
    "thread",
    "review",
    "list",
    "release",
    "server",
    "bug",
    "python",
    "compile",
    "wrote",
    "build",
    "lunch",
    "report",
    "code",
]
SPAM = [
    "free",
    "offer",
    "money",
    "click",
    "guarantee",
    "credit",
    "winner",
    "viagra",
    "loan",
    "cash",
    "order",
    "prize",
    "mortgage",
    "cheap",
    "unsubscribe",
]
BOTH = [
    "the",
    "and",
    "you",
    "with",
    "for",
    "this",
    "that",
    "have",
    "from",
    "your",
    "will",
    "not",
    "can",
    "all",
    "our",
    "about",
    "when",
]


def ham(seed: int) -> str:
    chosen = random.Random(seed)
    body = " ".join(chosen.choices(HAM + BOTH, k=60))
    return f"Received: from relay\nSubject: Re: {chosen.choice(HAM)}\nFrom: a@example.org\n\n> {body[:50]}\n{body}\n"


def spam(seed: int) -> str:
    chosen = random.Random(1000 + seed)
    body = " ".join(chosen.choices(SPAM + BOTH, k=60)).upper()
    link = f'<a href="http://10.0.0.{seed % 9}/{seed}">{body}</a>'
    return f"Subject: {chosen.choice(SPAM).upper()}!!!\nContent-Type: text/html\n\n<html><body>{link}</body></html>\n"


def fill(folder: Path, mails: list[str]) -> None:
    folder.mkdir(parents=True)
    for number, mail in enumerate(mails):
        (folder / f"{number:05d}.txt").write_text(mail)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    fill(root / "easy-ham-1", [ham(seed) for seed in range(60)])
    fill(root / "hard-ham", [ham(seed).replace("list", "offer") for seed in range(60, 80)])
    fill(root / "spam-1", [spam(seed) for seed in range(60)])
    (root / "spam-1" / "cmds").write_text("mv 1 2")
    (root / "data.js").write_text("")
    return root
