"""Rows of every mail of the corpus as in the inference log, scored by a model that has not seen the mail.

Run it with tools/trainer's environment. It writes two Parquet files with the same mails in the same order:
unchanged, and as a provider that turns mail into plain text would pass them on.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import features
from corpus import MailFile, find_mails, read_mail
from features import markup, mime
from trainer import augment, evaluate, folds, model
from trainer.choice import MINIMUM
from trainer.corpus import Corpus, read_corpus
from trainer.train import SEED

AS_THEY_ARE = "mails.parquet"
WITHOUT_HTML = "no-html.parquet"
HARD_HAM_FOLDER = "hard"
BOUNDARY = "=_part_of_one_mail_="

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Variant:
    """Features of all n mails in one form."""

    texts: list[str]
    values: Floats
    """Named numbers [n, k]."""


def main() -> None:
    """Score every mail out of fold, in both forms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="labelled mail: folders, mailboxes or tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for the rows")
    options = parser.parse_args()
    start = time.monotonic()

    def progress(message: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {message}", file=sys.stderr, flush=True)

    write_rows(options.corpus, options.out, progress)


def write_rows(root: Path, out: Path, progress: Callable[[str], None]) -> None:
    """Read the corpus at `root`, and write both files into `out`."""
    mails, corpus = find_mails(root, MINIMUM), read_corpus(root)
    stripped = without_html(mails, corpus)
    progress(
        f"{len(mails)} mails, of which {sum(a != b for a, b in zip(corpus.texts, stripped.texts, strict=True))} "
        "read differently without their HTML"
    )
    groups = folds.near_duplicates(corpus.texts)
    variants = [Variant(corpus.texts, corpus.values), stripped]
    scores, threshold = cross_fitted(corpus, groups, variants, progress)
    out.mkdir(parents=True, exist_ok=True)
    about = {
        "spam": corpus.spam.astype(bool),
        "hard_ham": np.array([HARD_HAM_FOLDER in mail.path.parent.name and not mail.spam for mail in mails]),
        "group": groups,
    }
    for name, variant, probability in zip((AS_THEY_ARE, WITHOUT_HTML), variants, scores, strict=True):
        pq.write_table(_table(variant, probability, about, threshold), out / name)
    progress(f"threshold {threshold:.4f}, rows in {out}")


def without_html(mails: list[MailFile], corpus: Corpus) -> Variant:
    """Return the features once HTML is removed; mails without any stay unchanged."""
    texts, values = list(corpus.texts), corpus.values.copy()
    for row, mail in enumerate(mails):
        plain = strip_html(read_mail(mail))
        if plain is not None:
            texts[row], values[row] = features.extract(plain)
    return Variant(texts, values)


def strip_html(raw: bytes) -> str | None:
    """Return the mail as plain text; None if it has no HTML.

    A mail with both text and HTML keeps its text. A mail with only HTML keeps what a reader saw of it. Attachments
    stay.
    """
    mail = mime.parse(raw)
    if not mail.html:
        return None
    shown = [text for text in mail.plain if text.strip()] or [markup.parse(source).shown for source in mail.html]
    pieces = [f"\nContent-Type: text/plain; charset=utf-8\n\n{text}" for text in shown]
    pieces += ["\nContent-Type: application/octet-stream\n\n"] * mail.attachments
    head = f"Subject: {' '.join(mail.subject.split())}\nMIME-Version: 1.0\n"
    parts = f"\n--{BOUNDARY}".join(["", *pieces, "--\n"])
    return f'{head}Content-Type: multipart/mixed; boundary="{BOUNDARY}"\n{parts}'


def cross_fitted(
    corpus: Corpus, groups: NDArray[np.int_], variants: list[Variant], progress: Callable[[str], None]
) -> tuple[list[Floats], float]:
    """Return out-of-fold probabilities [n] of each variant, and the threshold that training would ship.

    Near-duplicates share a fold, so no mail has been seen.
    """
    frames = [model.table(variant.texts, variant.values) for variant in variants]
    rows = augment.augmented(corpus.mails, corpus.spam, groups, SEED, progress)
    held = evaluate.fold_of_rows(rows)
    of_rows, found = np.empty(len(rows)), [np.empty(len(corpus.spam)) for _ in variants]
    for fold in range(folds.FOLDS):
        out = np.flatnonzero(held == fold)
        learned = model.learn(rows.take(np.flatnonzero(held != fold)))
        of_rows[out] = model.margins(learned, rows.take(out))
        test = out[out < rows.mails]
        for frame, margins in zip(frames, found, strict=True):
            margins[test] = learned.decision_function(frame.iloc[test])
        progress(f"fold {fold + 1} of {folds.FOLDS} done")
    sigmoid = model.sigmoid(of_rows, rows)
    threshold = evaluate.threshold_by(evaluate.DEFAULT, rows.spam, sigmoid.predict(of_rows))
    return [sigmoid.predict(margins) for margins in found], threshold


def _table(variant: Variant, probability: Floats, about: dict[str, NDArray[np.generic]], threshold: float) -> pa.Table:
    # Convert to FP32, as in the log.
    columns = {name: variant.values[:, place].astype(np.float32) for place, name in enumerate(features.NAMES)}
    table = pa.table({**columns, "spam_probability": probability, **about})
    return table.replace_schema_metadata({"threshold": repr(threshold), "seed": "0"})


if __name__ == "__main__":
    main()
