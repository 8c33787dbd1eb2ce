"""Command line of the suite."""

import argparse
import secrets
import shutil
import sys
from importlib import import_module
from pathlib import Path

from bench.servers import ended_by_signals
from resilience.check import Check, table, write
from resilience.part import Part, Plan, say

PARTS = {
    "overload": "resilience.overload",
    "floods": "resilience.path_floods",
    "bombs": "resilience.bombs",
    "faults": "resilience.faults",
    "input": "resilience.bad_input",
    "framing": "resilience.framing",
    "soak": "resilience.soak",
    "logging": "resilience.unread_log",
}
"""Module with the `run` function of each part, by the part's name."""


def main() -> None:
    """Run the parts, print the checks as a table and write them as JSON; exit 1 if any falls short."""
    options = _options()
    scratch = options.out.parent.resolve() / "resilience"
    shutil.rmtree(scratch, ignore_errors=True)
    plan = Plan(
        model=options.model.resolve(),
        corpus=options.corpus,
        scratch=scratch,
        seconds=options.seconds,
        fuzz_minutes=options.fuzz_minutes,
        cases=options.cases,
        soak_minutes=options.soak_minutes,
        seed=options.seed,
    )
    checks: list[Check] = []
    with ended_by_signals():
        for name in options.parts:
            say(f"\n==> {name}")
            checks += _part(name)(plan)
            # Write after each part, so that a later failure does not lose the earlier results.
            write(checks, options.out)
    short = [check.name for check in checks if not check.ok]
    say(f"\n{table(checks)}\n\nfigures: {options.out}")
    sys.exit(f"{len(short)} of {len(checks)} checks fall short: {'; '.join(short)}" if short else 0)


def _part(name: str) -> Part:
    part: Part = import_module(PARTS[name]).run
    return part


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="resilience", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a model bundle")
    parser.add_argument("--corpus", type=Path, required=True, help="folder whose folders hold mails, a file each")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write; logs go to resilience/ beside it")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="to run (all)")
    parser.add_argument("--seconds", type=float, default=60, help="of overload (%(default)s)")
    parser.add_argument("--fuzz-minutes", type=float, default=30, help="of fuzzing (%(default)s)")
    parser.add_argument("--cases", type=int, default=10_000, help="of schemathesis, at least (%(default)s)")
    parser.add_argument("--soak-minutes", type=float, default=15, help="of the soak (%(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the soak's faults (a new one)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
