"""Tests of excerpts: they look like short mail, are learned from at their weight, and never judge the model."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HAM, SPAM
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

import features
from trainer import evaluate, excerpts, folds, model
from trainer.corpus import Corpus, read_corpus
from trainer.train import version_of

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


def test_corpus_holds_features_of_excerpts_in_the_order_of_its_mails(corpus: Path) -> None:
    read = read_corpus(corpus)
    assert read.excerpt_values.shape == read.values.shape
    for short, whole in zip(read.excerpt_texts, read.texts, strict=True):
        assert len(short.split()) <= len(whole.split())
    # The last word may be cut if a mail is one line of one word.
    pairs = zip(read.excerpt_texts, read.texts, strict=True)
    assert np.mean([set(short.split()) <= set(whole.split()) for short, whole in pairs]) > 0.9
    text_length = features.NAMES.index("text_length")
    assert read.excerpt_values[:, text_length].max() <= excerpts.LONGEST < read.values[:, text_length].max()
    assert (read.excerpt_values[:, features.NAMES.index("html_share")] == 0).all()


def test_other_excerpts_or_weights_are_another_version(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_corpus(corpus)
    other = dataclasses.replace(read, excerpt_texts=[*read.excerpt_texts[1:], "x"])
    further = dataclasses.replace(read, excerpt_values=read.excerpt_values + 1)
    found = [version_of(one) for one in (read, read_corpus(corpus), other, further)]
    assert found[0] == found[1]
    for name in ("excerpt_weight", "excerpt_spam_weight"):
        monkeypatch.setitem(model.SETTINGS, name, 0.5)
        found.append(version_of(read))
    assert len(set(found)) == 5


ID, SCORE, SHORT = features.NAMES[:3]
COUNT = 100


def made_up(excerpt_scores: NDArray[np.float64]) -> Corpus:
    """Return mails and excerpts whose numbers identify them, with the scores that `Fitted` answers."""
    values = np.zeros((2, COUNT, len(features.NAMES)))
    values[:, :, 0] = np.arange(COUNT)
    values[:, :, 1] = [np.random.default_rng(1).random(COUNT), excerpt_scores]
    values[1, :, 2] = 1
    return Corpus([""] * COUNT, values[0], np.arange(COUNT) % 2, [""] * COUNT, values[1], "digest", [""] * COUNT)


GROUPS = np.arange(COUNT) // 4


class Fitted:
    """Replacement for `model.fit` and for the model."""

    def __init__(self) -> None:
        self.learned: list[list[pd.DataFrame]] = []
        self.asked: list[list[pd.DataFrame]] = []

    def fit(
        self, frame: pd.DataFrame, spam: NDArray[np.int_], groups: NDArray[np.int_], excerpts: pd.DataFrame
    ) -> "Fitted":
        assert len(frame) == len(spam) == len(groups) == len(excerpts)
        self.learned.append([frame, excerpts])
        self.asked.append([])
        return self

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        self.asked[-1].append(frame)
        return np.column_stack([1 - frame[SCORE], frame[SCORE]])


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Fitted:
    found = Fitted()
    monkeypatch.setattr(model, "fit", found.fit)
    return found


def evaluated(excerpt_scores: NDArray[np.float64]) -> evaluate.Evaluation:
    return evaluate.evaluate(made_up(excerpt_scores), GROUPS, lambda _: None)


def test_an_excerpt_is_learned_from_with_its_mail_and_judged_with_its_mail(fitted: Fitted) -> None:
    evaluated(np.zeros(COUNT))
    assert len(fitted.learned) == folds.FOLDS
    for learned, asked in zip(fitted.learned, fitted.asked, strict=True):
        for mails, short in (learned, asked):
            assert list(mails[ID]) == list(short[ID])
            assert (mails[SHORT] == 0).all() and (short[SHORT] == 1).all()
        seen, unseen = (set(GROUPS[frame[ID].astype(int)]) for frame in (learned[1], asked[1]))
        assert unseen and not seen & unseen


@pytest.mark.usefixtures("fitted")
def test_excerpts_change_no_score_and_no_figure_of_whole_mails() -> None:
    low, high = evaluated(np.zeros(COUNT)), evaluated(np.ones(COUNT))
    assert len(low.scores) == COUNT and (low.scores == high.scores).all()
    assert low.threshold == high.threshold
    differing = {name for name in low.metrics if low.metrics[name] != high.metrics[name]}
    assert differing == {"excerpts_ham_called_spam", "excerpts_spam_caught"}


@pytest.mark.usefixtures("fitted")
def test_excerpts_are_judged_at_the_threshold_of_whole_mails() -> None:
    threshold = evaluated(np.zeros(COUNT)).threshold
    scores = np.where(np.arange(COUNT) < 40, threshold, np.nextafter(threshold, 0))
    scores[0] = 0
    found = evaluated(scores).metrics
    assert (found["excerpts_ham_called_spam"], found["excerpts_spam_caught"]) == (19 / 50, 20 / 50)


class Built:
    """Replacement for the unfitted pipeline."""

    def __init__(self, calibration: list[folds.Split]) -> None:
        self.calibration = calibration
        self.arguments: tuple[pd.DataFrame, NDArray[np.int_], NDArray[np.float64]]

    def fit(self, rows: pd.DataFrame, spam: NDArray[np.int_], classifier__sample_weight: NDArray[np.float64]) -> None:
        self.arguments = rows, spam, classifier__sample_weight

    def set_params(self, **_: object) -> "Built":
        return self


def build(monkeypatch: pytest.MonkeyPatch) -> Built:
    """Return what `model.fit` asks of the pipeline."""
    monkeypatch.setattr(model, "build", Built)
    corpus = made_up(np.zeros(COUNT))
    mails = model.table(corpus.texts, corpus.values)
    found: object = model.fit(mails, corpus.spam, GROUPS, model.table(corpus.excerpt_texts, corpus.excerpt_values))
    assert isinstance(found, Built)
    return found


def test_excerpts_are_labelled_as_their_mails_and_weigh_little(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, spam, weights = build(monkeypatch).arguments
    assert list(rows[SHORT]) == [0] * COUNT + [1] * COUNT and list(rows[ID]) == [*range(COUNT)] * 2
    assert (spam == rows[ID] % 2).all()
    expected = np.where(spam == 1, 0.02 * 0.2, 0.02)
    assert weights == pytest.approx(np.where(rows[SHORT] == 1, expected, 1.0))


def test_calibration_keeps_an_excerpt_in_the_fold_of_its_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = build(monkeypatch).calibration
    assert sorted(np.concatenate([test for _, test in calibration])) == list(range(2 * COUNT))
    for train, test in calibration:
        assert not set(GROUPS[train % COUNT]) & set(GROUPS[test % COUNT])


def learned(whole: list[tuple[str, str]], short: tuple[str, str]) -> Pipeline:
    """Return a pipeline fitted on 100 pairs of ham and spam."""
    texts = [features.extract(mail) for pair in whole for mail in pair]
    pieces = [features.extract(mail) for mail in short] * len(whole)
    mails, excerpts = (
        model.table([one.text for one in found], np.array([one.values for one in found])) for found in (texts, pieces)
    )
    spam = np.tile([0, 1], len(whole))
    return model.fit(mails, spam, np.arange(len(spam)), excerpts)


def scored(fitted: Pipeline, *mails: str) -> NDArray[np.float64]:
    found = [features.extract(mail) for mail in mails]
    table = model.table([one.text for one in found], np.array([one.values for one in found]))
    scores: NDArray[np.float64] = fitted.predict_proba(table)[:, 1]
    return scores


def whole(chosen: random.Random, words: list[str]) -> str:
    return " ".join(chosen.choices(words, k=40))


def test_whole_mails_outweigh_excerpts_that_say_the_contrary() -> None:
    chosen = random.Random(3)
    pairs = [(whole(chosen, HAM), whole(chosen, SPAM)) for _ in range(100)]
    contrary = learned(pairs, short=(" ".join(SPAM), " ".join(HAM)))
    ham, spam = scored(contrary, *pairs[0])
    assert ham < 0.1 and spam > 0.9


def test_excerpts_say_what_whole_mails_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random.Random(4)
    pairs = [(whole(chosen, HAM), whole(chosen, SPAM)) for _ in range(100)]
    known, free = scored(learned(pairs, short=("see you", "act now")), "see you", "act now")
    assert known < 0.5 < free
    monkeypatch.setitem(model.SETTINGS, "excerpt_spam_weight", 1e-6)
    assert scored(learned(pairs, short=("see you", "act now")), "act now")[0] < free
