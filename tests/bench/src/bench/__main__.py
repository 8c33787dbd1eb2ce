"""Command line of the benchmark."""

import argparse
import json
import sys
from pathlib import Path

from bench import figures, machine, systems, wrk
from bench.run import Plan, run, say
from bench.servers import ended_by_signals

SYSTEMS = {
    "ours": systems.OURS,
    "logging": systems.LOGGING,
    "traced": systems.TRACED,
    "uncoalesced": systems.UNCOALESCED,
    "mlserver": systems.MLSERVER,
    "kserve": systems.KSERVE,
}


def main() -> None:
    """Measure, print the table and write the figures as JSON."""
    options = _options()
    wrk.require()
    about, commit = machine.machine(), machine.commit()
    out: Path = options.out
    plan = Plan(
        model=options.model.resolve(),
        corpus=options.corpus,
        scratch=out.parent / "bench",
        names=frozenset(SYSTEMS[name] for name in options.systems),
        rounds=options.rounds,
        seconds=options.seconds,
        warm_up=options.warm_up,
    )
    with ended_by_signals():
        rounds = run(plan)
    rows = figures.medians(rounds)
    ratios = figures.ratios(rounds)
    say(f"\nmedians of {plan.rounds} rounds of {plan.seconds} s\n\n{figures.table(rows)}\n\n{figures.summary(ratios)}")
    report = {
        "systems": figures.as_json(rows),
        "ratios": ratios,
        "machine": about,
        "versions": machine.versions(plan.model, commit, _environments(plan.names)),
        "rounds": [figures.as_json(measured) for measured in rounds],
    }
    out.write_text(json.dumps(report, indent=2) + "\n")
    say(f"\nfigures: {out}")


def _environments(names: frozenset[str]) -> dict[str, Path]:
    """Return the virtual environments whose libraries took part."""
    folders = {"bench": Path(sys.prefix)}
    if systems.MLSERVER in names:
        folders["mlserver"] = systems.PROJECT / "mlserver" / ".venv"
    if systems.OURS in names:
        folders |= {name: systems.ROOT / "services" / name / ".venv" for name in systems.SERVICES}
    return folders


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a model bundle")
    parser.add_argument("--corpus", type=Path, required=True, help="folder whose folders hold mails, a file each")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write; logs go to bench/ beside it")
    parser.add_argument("--rounds", type=int, default=3, help="times that every system is measured (%(default)s)")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=2, help="seconds before each measurement (%(default)s)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="to measure (all)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
