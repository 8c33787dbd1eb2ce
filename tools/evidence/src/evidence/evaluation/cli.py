"""Command line of `evaluate`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from corpus import CorpusError, shown
from evidence.errors import EvidenceError
from inferencelog import one_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and return the exit code: 0 if the report was written, else 1."""
    options = _parser().parse_args(arguments)
    # Import late: scikit-learn and matplotlib take a second, which `--help` and wrong options need not wait for.
    from evidence.evaluation.report import as_text, write
    from evidence.evaluation.run import evaluate

    try:
        places = [options.bundle, *([options.compare] if options.compare else [])]
        evaluation = evaluate(options.corpus, places, _Progress())
        write(evaluation, options.out)
    except (EvidenceError, CorpusError, OSError) as error:
        print(f"evaluate: {one_line(error, 2_000)}", file=sys.stderr)
        return 1
    print(as_text(evaluation), end="")
    print(f"tables, curves, reliability and scores: {shown(options.out)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evaluate", description="Evaluate a model, or two, on labelled mail.")
    parser.add_argument("--corpus", type=Path, required=True, help="labelled mail: folders, mailboxes or tables")
    of_model = "folder or URI of a bundle, or the folder that an earlier evaluation wrote"
    parser.add_argument("--bundle", required=True, help=of_model)
    parser.add_argument("--compare", help=f"{of_model}, to compare with")
    parser.add_argument("--out", type=Path, default=Path("build/evaluation"), help="folder to write (%(default)s)")
    return parser


class _Progress:
    """Printer of progress lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, message: str) -> None:
        print(f"[{time.monotonic() - self._start:5.1f} s] {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
