"""Command line of `evidence`."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evidence.duration import EXPECTED, parse_duration
from evidence.errors import EvidenceError
from inferencelog import one_line

if TYPE_CHECKING:
    from evidence.build import EvidenceSettings
    from evidence.result import Evidence

ACCEPTED, REFUSED, NOT_MADE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Make evidence and return the exit code: 0 accepted, 1 refused, 2 not made."""
    options = _parser().parse_args(arguments)
    # Import late: scikit-learn and matplotlib take a second, which `--help` and wrong options need not wait for.
    from evidence.build import make
    from evidence.report import write

    try:
        evidence = make(_settings(options), datetime.now(UTC), _progress)
        write(evidence, options.out)
    except (EvidenceError, OSError) as error:
        print(f"evidence: {one_line(error, 2_000)}", file=sys.stderr)
        return NOT_MADE
    except Exception:
        # Python's own exit code for an exception is 1, which would mean "refused".
        traceback.print_exc()
        return NOT_MADE
    _tell(evidence, options.out)
    return REFUSED if evidence.refused else ACCEPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evidence",
        description="Whether a candidate model may take production's place. Thresholds are in"
        " environments/<to>/config.yaml under evidence.",
    )
    parser.add_argument("--from", dest="source", default="staging", help="environment of the candidate (%(default)s)")
    parser.add_argument("--to", dest="target", default="production", help="environment to replace it (%(default)s)")
    for side in ("candidate", "production"):
        parser.add_argument(f"--{side}", type=Path, help=f"folder of the {side}'s bundle, instead of the pinned one")
    mail = "labelled mail to compare the models on, whatever they were trained on"
    parser.add_argument("--evaluate-on", type=Path, help=mail)
    saved = "folder of make evaluate on that mail, for a model of another feature schema"
    parser.add_argument("--evaluated", type=Path, help=saved)
    parser.add_argument("--inference-log-uri", **_default("INFERENCE_LOG_URI"), help="file:///…, s3://… or a path")
    prometheus = os.environ.get("PROMETHEUS_URL", "")
    parser.add_argument("--prometheus-url", default=prometheus, help="proves health (PROMETHEUS_URL)")
    parser.add_argument("--last", type=_duration, default=timedelta(days=7), help=f"{EXPECTED}, up to now (7d)")
    parser.add_argument("--root", type=Path, default=Path(), help="of the repository (the current directory)")
    parser.add_argument("--out", type=Path, default=Path("build/evidence"), help="folder for the report (%(default)s)")
    return parser


def _default(variable: str) -> dict[str, Any]:
    """Return the arguments of an option that is required unless the environment variable is set."""
    value = os.environ.get(variable)
    return {"default": value, "required": not value, "metavar": variable}


def _duration(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not found:
        raise argparse.ArgumentTypeError("a period of 0 holds no mail")
    return found


def _settings(options: argparse.Namespace) -> "EvidenceSettings":
    from evidence.build import EvidenceSettings

    return EvidenceSettings(
        root=options.root,
        source=options.source,
        target=options.target,
        candidate=options.candidate,
        production=options.production,
        log_uri=options.inference_log_uri,
        prometheus_url=options.prometheus_url,
        last=options.last,
        evaluate_on=options.evaluate_on,
        evaluated=options.evaluated,
    )


def _progress(line: str) -> None:
    print(f"evidence: {line}", file=sys.stderr, flush=True)


def _tell(evidence: "Evidence", folder: Path) -> None:
    for each in evidence.checks:
        print(f"{each.outcome:9}{each.name}: {one_line(each.measured, 500)} (asked: {each.threshold})")
        if each.outcome == "refused":
            print(f"{'':9}  {one_line(each.advice, 1_000)}")
    print(f"{evidence.outcome}: model {evidence.candidate.version} of {evidence.candidate.environment}; see {folder}")


if __name__ == "__main__":
    sys.exit(main())
