"""Bogofilter, a Bayesian spam filter in C, for comparison on the same folds and the same text."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from corpus import MailFile, find_mails, read_mail
from features import mime
from trainer import evaluate, folds
from trainer.choice import MINIMUM
from trainer.corpus import read_corpus
from trainer.errors import TrainerError
from trainer.evaluate import Floats, Progress

_TIMEOUT = 600
_BOUNDARY = "=_part_of_one_mail_="


def compare(root: Path, out: Path, progress: Progress) -> Path:
    """Evaluate bogofilter as `evaluate.evaluate` does the model, and write its figures to `out` as JSON.

    Raises:
        TrainerError: If bogofilter is not installed or fails.
        CorpusError: If the corpus cannot be used.
    """
    program = _program()
    mails, corpus = find_mails(root, MINIMUM), read_corpus(root)
    groups = folds.near_duplicates(corpus.texts)
    folds.check(corpus.spam, groups)
    splits = folds.split(corpus.spam, groups)
    scores = np.empty(len(mails))
    with tempfile.TemporaryDirectory(prefix="bogofilter-") as scratch:
        files = [_write_text(mail, Path(scratch, f"{row:06d}.eml")) for row, mail in enumerate(mails)]
        for number, (train, test) in enumerate(splits, 1):
            database = Path(scratch, f"fold-{number}")
            database.mkdir()
            for option, kind in (("-n", 0), ("-s", 1)):
                _run(program, database, [option], [files[row] for row in train if corpus.spam[row] == kind])
            scores[test] = _scores(program, database, [files[row] for row in test])
            progress(f"fold {number} of {len(splits)} done")
    threshold = evaluate.threshold_at(corpus.spam, scores, evaluate.STRICT_RATE)
    figures = evaluate.metrics(corpus.spam, scores, [test for _, test in splits], threshold)
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"name": "bogofilter", "version": _version(program), "corpus": corpus.digest, "metrics": figures}
    out.write_text(json.dumps(content, indent=2) + "\n")
    progress(f"bogofilter: 1-AUC {figures['one_minus_auc']:.4%}, spam caught {figures['spam_caught']:.1%}")
    return out


def _program() -> str:
    program = shutil.which("bogofilter")
    if program is None:
        raise TrainerError("bogofilter is not installed; install it (Debian: apt-get install bogofilter) and run again")
    return program


def _write_text(mail: MailFile, target: Path) -> Path:
    """Write a mail with only the subject and text that our features see: transport headers must give no advantage."""
    parsed = mime.parse(read_mail(mail))
    pieces = [f"Subject: {' '.join(parsed.subject.split())}\nMIME-Version: 1.0"]
    pieces.append(f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"\n')
    for kind, texts in (("plain", parsed.plain), ("html", parsed.html)):
        # Write 8 bit: otherwise bogofilter would see an encoding that our features do not.
        head = f"--{_BOUNDARY}\nContent-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
        pieces += [f"{head}\n{text}" for text in texts]
    target.write_bytes("\n".join([*pieces, f"--{_BOUNDARY}--\n"]).encode("utf-8", "replace"))
    return target


def _scores(program: str, database: Path, files: list[Path]) -> Floats:
    lines = _run(program, database, ["-TT"], files).splitlines()
    found = {line.split()[0]: float(line.split()[-1]) for line in lines}
    return np.array([found[str(file)] for file in files])


def _run(program: str, database: Path, options: list[str], files: list[Path]) -> str:
    # -C ignores the user's configuration file; -b reads file names from standard input.
    command = [program, "-C", "-d", str(database), *options, "-b"]
    names = "".join(f"{file}\n" for file in files)
    try:
        done = subprocess.run(command, input=names, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise TrainerError(f"bogofilter took over {_TIMEOUT} s; try a smaller corpus") from None
    # 0, 1 and 2 are verdicts: spam, ham, unsure.
    if done.returncode not in (0, 1, 2):
        raise TrainerError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}; try that command by hand")
    return done.stdout


def _version(program: str) -> str:
    lines = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[0].removeprefix("bogofilter version ") if lines else "unknown"
