"""Command line of `baseline-generator`."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from baseline.errors import GeneratorError
from baseline.from_corpus import from_corpus
from baseline.from_log import from_log
from bundle import BundleError, load
from corpus import CorpusError
from inferencelog import WINDOW_ROWS, Baseline, LogError, open_store, split_file, write_baseline
from inferencelog.store import FolderStore
from manifest import download, read_stored
from runtime import configure_batch_logging, print_result

LEAST_ROWS = 1000
"""Fewest mails in a baseline by default. The smaller of its two samples limits what the detector can see."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a baseline and return the exit code: 0 if it was written, else 1.

    Standard error gets one JSON object a line, standard output the baseline's location.
    """
    options = _parser().parse_args(arguments)
    configure_batch_logging("stderr")
    try:
        baseline = options.make(options)
        _write(baseline, options.out)
    except (GeneratorError, BundleError, CorpusError, LogError, ValueError) as error:
        logging.getLogger("baseline").error(str(error))
        return 1
    print_result(options.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="baseline-generator", description="Make the baseline that the drift detector compares with."
    )
    commands = parser.add_subparsers(required=True)
    corpus = commands.add_parser("corpus", help="from a corpus of mails and a model")
    corpus.add_argument(
        "--corpus", type=Path, **_default("CORPUS_DIR"), help="labelled mail: folders, mailboxes or tables"
    )
    corpus.set_defaults(make=_from_corpus)
    log = commands.add_parser("log", help="from a healthy stretch of the inference log")
    log.add_argument("--inference-log", **_default("INFERENCE_LOG_URI"), help="file:///… or s3://…")
    log.add_argument("--environment", **_default("ENVIRONMENT"), help="whose mail")
    log.add_argument("--start", type=_time, required=True, help="such as 2026-11-02T08:00:00Z")
    log.add_argument("--most-rows", type=int, default=WINDOW_ROWS, help="refuse more, for want of memory (%(default)s)")
    log.add_argument("--end", type=_time, required=True, help="the first moment after the period")
    log.set_defaults(make=_from_log)
    for command in (corpus, log):
        command.add_argument("--bundle", **_default("MODEL_URI"), help="folder of the model: a path, file:// or s3://")
        command.add_argument(
            "--model-sha256", default=os.environ.get("MODEL_SHA256"), help="of its model.json, as the release pins it"
        )
        command.add_argument("--out", **_default("BASELINE_URI"), help="the baseline's file: a path, file:// or s3://")
        command.add_argument("--least-rows", type=int, default=LEAST_ROWS, help="refuse fewer mails (%(default)s)")
    return parser


def _default(variable: str) -> dict[str, Any]:
    """Return the arguments of an option that is required unless the environment variable is set."""
    value = os.environ.get(variable)
    return {"default": value, "required": not value, "metavar": variable}


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected such as 2026-11-02T08:00:00Z") from None
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; add Z for UTC")
    return time


def _from_corpus(options: argparse.Namespace) -> Baseline:
    with _folder(options.bundle, options.model_sha256) as folder:
        return from_corpus(options.corpus, load(folder, options.model_sha256), options.least_rows)


def _from_log(options: argparse.Namespace) -> Baseline:
    manifest = read_stored(open_store(options.bundle), options.model_sha256)
    period = (options.start, options.end)
    store, limits = open_store(options.inference_log), (options.least_rows, options.most_rows)
    return from_log(store, options.environment, period, manifest, *limits)


@contextmanager
def _folder(uri: str, pin: str | None) -> Iterator[Path]:
    """Yield the local folder of a bundle; a bundle in S3 is copied to a temporary folder."""
    store = open_store(uri)
    if isinstance(store, FolderStore):
        yield store.folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        download(store, Path(scratch), pin)
        yield Path(scratch)


def _write(baseline: Baseline, uri: str) -> None:
    store, name = split_file(uri)
    store.write(name, write_baseline(baseline))
    logging.getLogger("baseline").info(
        "baseline written",
        extra={
            "uri": uri,
            "rows": baseline.rows,
            "model_version": baseline.model_version,
            "model_sha256": baseline.model_sha256,
            "source": baseline.source,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
