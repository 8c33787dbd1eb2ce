"""Tests of which mails are sent and what a person is told; tests/ sends them through the real processes."""

import socket
from collections import Counter
from pathlib import Path

import pytest

from corpus import find_mails
from local.simulate import Tally, Traffic, main


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for kind in ("ham", "spam"):
        (tmp_path / kind).mkdir()
        for n in range(20):
            (tmp_path / kind / str(n)).write_text(f"{kind} {n}")
    return tmp_path


def traffic(corpus: Path, spam: float, seed: int | None = 1) -> Traffic:
    return Traffic(find_mails(corpus, 1), spam, rate=1, count=4000, seed=seed)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_spam_is_the_one_asked_for(corpus: Path, share: float) -> None:
    drawn = list(traffic(corpus, share).draw())
    spam = sum(mail.spam for mail in drawn) / len(drawn)
    assert spam == pytest.approx(share, abs=0 if share in (0, 1) else 0.03)


def test_every_mail_has_its_turn(corpus: Path) -> None:
    times = Counter(mail.path for mail in traffic(corpus, 0.5).draw())
    assert len(times) == 40
    assert max(times.values()) < 3 * min(times.values())


def test_a_seed_sends_the_same_mails_again(corpus: Path) -> None:
    assert list(traffic(corpus, 0.5).draw()) == list(traffic(corpus, 0.5).draw())
    assert list(traffic(corpus, 0.5, None).draw()) != list(traffic(corpus, 0.5, None).draw())


def test_a_line_tells_what_came_back() -> None:
    tally = Tally(30, Counter(spam=5, ham=15), Counter({"503 overloaded": 10}))
    assert tally.line(100, 2) == "[  2.0 s] 30 of 100 sent, 20 answered, 25.0% called spam, 10 x 503 overloaded"
    assert Tally().line(100, 0) == "[  0.0 s] 0 of 100 sent, 0 answered, none called spam"


def test_nothing_there_to_answer_is_said(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert main(["--corpus", str(corpus), "--url", url, "--mails", "3", "--rate", "1000"]) == 1
    assert f"nothing answers at {url}; start the system with `make run`" in capsys.readouterr().err


def test_no_corpus_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--corpus", str(tmp_path / "none")]) == 1
    assert "does not exist; set CORPUS_DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("--spam", "1.1", "no share"), ("--rate", "0", "no rate"), ("--mails", "0", "no number of mails")],
)
def test_wrong_options_are_named(
    corpus: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, reason: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--corpus", str(corpus), option, value])
    assert f"argument {option}: {value} is {reason}" in capsys.readouterr().err
