"""Command line of `trainer`."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from corpus import CorpusError
from manifest import BundleError
from trainer import threshold
from trainer.choice import choose, keep, note, noted
from trainer.errors import TrainerError
from trainer.fetch import default_cache, fetch_corpus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; progress goes to standard error, the resulting path to standard output."""
    options = _parser().parse_args(arguments)
    try:
        result = options.run(options)
        if result is not None:
            print(result)
    except (TrainerError, CorpusError, BundleError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trainer", description="Corpus of mails to model bundle.")
    commands = parser.add_subparsers(required=True)
    corpus = commands.add_parser("corpus", help="print the folder of the corpus to use; fetch SpamAssassin's (once)")
    corpus.add_argument("--cache", type=Path, default=default_cache(), help="where that is kept (%(default)s)")
    corpus.add_argument("--trained", type=Path, help="file that names the corpus that was trained on")
    corpus.add_argument("--note", type=Path, help="file to write the folder to, if it is another or has changed")
    corpus.set_defaults(run=_corpus)
    chosen = commands.add_parser(
        "threshold", help="print how the threshold is chosen: MAX_FALSE_POSITIVES=, THRESHOLD="
    )
    chosen.add_argument("--trained", type=Path, required=True, help="file with the choice that was trained with")
    chosen.add_argument("--note", type=Path, help="file to write the choice to, if it is another")
    chosen.set_defaults(run=_threshold)
    train = commands.add_parser("train", help="train, evaluate and write a bundle, and print its folder")
    _add_corpus(train)
    train.add_argument("--corpus-file", type=Path, help="file that names the corpus, in place of --corpus")
    train.add_argument("--trained", type=Path, help="file for the name of the corpus, if it is one of your own")
    train.add_argument(
        "--max-false-positives", help="share of the ham that may be called spam (MAX_FALSE_POSITIVES; 0.01)"
    )
    train.add_argument("--threshold", help="spam probability from which a mail is spam, in its place (THRESHOLD)")
    train.add_argument("--threshold-file", type=Path, help="file with one of both, in place of options and variables")
    train.add_argument("--trained-threshold", type=Path, help="file for that choice, if it is not the default")
    train.add_argument("--out", type=Path, required=True, help="root of the bundles: <out>/spam-detector/<version>")
    train.add_argument("--version", type=_version, help="by default made of corpus, features, settings and libraries")
    train.add_argument("--force", action="store_true", help="train anew where the version exists")
    train.set_defaults(run=_train)
    compare = commands.add_parser("compare-bogofilter", help="evaluate bogofilter on the same folds and text")
    _add_corpus(compare)
    compare.add_argument("--out", type=Path, required=True, help="file for the figures (JSON)")
    compare.set_defaults(run=_compare)
    return parser


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--corpus",
        type=Path,
        default=os.environ.get("CORPUS_DIR") or None,
        help="labelled mail: folders, mailboxes or tables (CORPUS_DIR; by default the SpamAssassin corpus is fetched)",
    )


def _version(text: str) -> str:
    # The version becomes the name of a folder and part of a URI.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be 1 to 63 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
        )
    return text


def _corpus(options: argparse.Namespace) -> Path | None:
    if not options.note:
        return fetch_corpus(options.cache)
    note(choose(os.environ.get("CORPUS_DIR"), options.trained, options.cache), options.note)
    return None


def _threshold(options: argparse.Namespace) -> str | None:
    choice = threshold.choose(os.environ, options.trained)
    if not options.note:
        return str(choice)
    threshold.note(choice, options.note)
    return None


def _threshold_of(options: argparse.Namespace) -> threshold.ThresholdChoice:
    if options.threshold_file:
        return threshold.noted(options.threshold_file)
    given = (options.max_false_positives, options.threshold)
    # An option on the command line stands for itself: variables then choose nothing.
    if given == (None, None):
        given = (os.environ.get(threshold.BY_HAM), os.environ.get(threshold.BY_VALUE))
    return threshold.read(*(each or "" for each in given))


def _corpus_of(options: argparse.Namespace) -> Path:
    if getattr(options, "corpus_file", None):
        return noted(options.corpus_file)
    return Path(options.corpus) if options.corpus else fetch_corpus(default_cache())


def _train(options: argparse.Namespace) -> Path:
    choice = _threshold_of(options)
    # Import late: scikit-learn and matplotlib take a second, which `corpus` and `--help` need not wait for.
    from trainer.train import train

    corpus = _corpus_of(options)
    folder = train(corpus, options.out, options.version, options.force, _Progress(), choice)
    if options.trained:
        keep(corpus, options.trained)
    if options.trained_threshold:
        threshold.keep(choice, options.trained_threshold)
    return folder


def _compare(options: argparse.Namespace) -> Path:
    from trainer.bogofilter import compare

    return compare(_corpus_of(options), options.out, _Progress())


class _Progress:
    """Printer of progress lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, message: str) -> None:
        print(f"[{time.monotonic() - self._start:5.1f} s] {message}", file=sys.stderr, flush=True)
