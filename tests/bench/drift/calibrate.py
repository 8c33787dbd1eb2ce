"""Calibration of the drift detector: its rate of false alarms and what it detects, beside alibi-detect's TabularDrift.

Run it with services/drift's environment, on the rows that `rows.py` has written. It prints a table in Markdown.
"""

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import windows
from windows import DRIFTED, SCENARIOS, Columns, Mails

from drift import compare
from drift.limits import DriftLimits
from drift.report import LIBRARIES
from drift.settings import DriftSettings
from inferencelog import SCORE

# The detector's own import must come first, because it keeps this one quiet.
from alibi_detect.cd import TabularDrift  # isort: skip

ROWS = (200, 500, 1_000)
NULL_ROWS = 1_000
SEED = 20_021_010
TABULAR_WINDOWS = 2_000
"""Windows of each kind for TabularDrift; for a mere comparison these are enough."""
CHUNK = 50
"""Windows that a process works on at a time."""

TABULAR = {"tabular_drift": 0.001, "tabular_drift_p05": 0.05}
"""P-values of TabularDrift by name; it divides them by the number of features."""
SYSTEMS = ("detector", *TABULAR)
TITLES = {
    "detector": "**this**",
    "tabular_drift": "TabularDrift, p < 0.001",
    "tabular_drift_p05": "TabularDrift, p < 0.05",
    "spam_40": "spam 31 → 40 %",
    "spam_50": "spam 31 → 50 %",
    "hard_ham": "hard ham only",
    "no_html": "HTML stripped",
}

Floats = np.ndarray[Any, np.dtype[np.float64]]
Job = tuple[str, int, int, int]
"""Scenario, rows, first window, last window + 1."""


def main() -> None:
    """Measure, write the figures, print the table."""
    options = _options()
    limits = DriftLimits(*(DriftSettings.__fields__[name].default for name in ("false_alarm_rate", "minimum_change")))
    jobs = _jobs(options)
    found = measure(options.rows, jobs, limits, options.processes)
    content = figures(found) | {
        "settings": {"seed": SEED, "baseline": windows.BASELINE, **asdict(limits), **_weights()},
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "versions": {name: version(name) for name in LIBRARIES},
    }
    options.out.write_text(json.dumps(content, indent=2) + "\n")
    print(table(content))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="folder with what rows.py has written")
    parser.add_argument("--out", type=Path, required=True, help="file for the figures (JSON)")
    parser.add_argument("--null-windows", type=int, default=10_000, help="windows without drift (%(default)s)")
    parser.add_argument("--windows", type=int, default=500, help="windows of each drift and size (%(default)s)")
    parser.add_argument("--hardest-windows", type=int, default=2_000, help="of spam_40 at 1,000 rows (%(default)s)")
    parser.add_argument("--campaign-windows", type=int, default=2_000, help="with near-duplicates (%(default)s)")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    return parser.parse_args()


def _weights() -> dict[str, Any]:
    return {"weights": {**compare.WEIGHTS, "features": compare.FEATURES_WEIGHT}}


def _count(options: argparse.Namespace, scenario: str, rows: int) -> int:
    special = {"undrifted": options.null_windows, "campaigns": options.campaign_windows}
    if (scenario, rows) == ("spam_40", max(ROWS)):
        return int(options.hardest_windows)
    return int(special.get(scenario, options.windows))


def _jobs(options: argparse.Namespace) -> list[Job]:
    wanted = [(scenario, rows) for scenario in DRIFTED for rows in ROWS]
    wanted += [(scenario, NULL_ROWS) for scenario in SCENARIOS if scenario not in DRIFTED]
    jobs: list[Job] = []
    for scenario, rows in wanted:
        count = _count(options, scenario, rows)
        jobs += [(scenario, rows, start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    return jobs


def measure(folder: Path, jobs: list[Job], limits: DriftLimits, processes: int) -> dict[tuple[str, int], Floats]:
    """Return alarms [windows, systems] of each scenario and number of rows: 1, 0, or NaN if a system was not asked."""
    found: dict[tuple[str, int], list[Any]] = {}
    start, done = time.monotonic(), 0
    total = sum(job[3] - job[2] for job in jobs)
    with ProcessPoolExecutor(processes, initializer=_start, initargs=(folder, limits)) as pool:
        for job, alarms in zip(jobs, pool.map(_run, jobs), strict=True):
            found.setdefault(job[:2], []).append(alarms)
            done += len(alarms)
            if done % 1_000 < CHUNK or done == total:
                print(f"[{time.monotonic() - start:5.1f} s] {done:,} of {total:,} windows", file=sys.stderr, flush=True)
    return {key: np.concatenate(parts) for key, parts in found.items()}


_mails: Mails
_limits: DriftLimits


def _start(folder: Path, limits: DriftLimits) -> None:
    global _mails, _limits
    # TabularDrift would warn at each window that it treats all features as numbers, which is intended.
    warnings.filterwarnings("ignore", message="No `categories_per_feature`")
    _mails, _limits = windows.read_mails(folder), limits


def _run(job: Job) -> Floats:
    scenario, rows, first, last = job
    alarms = [list(_alarms(scenario, rows, number, _mails, _limits)) for number in range(first, last)]
    return np.array(alarms, dtype=float)


def _alarms(scenario: str, rows: int, number: int, mails: Mails, limits: DriftLimits) -> Iterator[float]:
    """Yield whether each of `SYSTEMS` raises an alarm in one window; it is the same in every run."""
    rng = np.random.default_rng([SEED, list(SCENARIOS).index(scenario), rows, number])
    draw = SCENARIOS[scenario](mails, rows, rng)
    changes = compare.compare(draw.baseline, draw.window, mails.threshold, limits)
    yield any(change.drifted for change in changes)
    if number >= TABULAR_WINDOWS:
        yield from [np.nan] * len(TABULAR)
        return
    detector = TabularDrift(_features(draw.baseline))
    p_values = detector.predict(_features(draw.window), drift_type="feature")["data"]["p_val"]
    for limit in TABULAR.values():
        yield bool((p_values < limit / len(p_values)).any())


def _features(columns: Columns) -> Floats:
    return np.column_stack([values for name, values in columns.items() if name != SCORE])


def figures(found: dict[tuple[str, int], Floats]) -> dict[str, Any]:
    """Return the results of each system."""
    content: dict[str, Any] = {}
    for place, system in enumerate(SYSTEMS):
        content[system] = {
            **_false_alarms(found["undrifted", NULL_ROWS][:, place]),
            "detected": {
                scenario: {str(rows): float(np.nanmean(found[scenario, rows][:, place])) for rows in ROWS}
                for scenario in DRIFTED
            },
        }
    together = found["campaigns", NULL_ROWS]
    content["near_duplicates_together"] = {
        system: _false_alarms(together[:, place]) for place, system in enumerate(SYSTEMS)
    }
    drawn = {f"{scenario}_{rows}": len(alarms) for (scenario, rows), alarms in found.items()}
    return content | {"windows_drawn": drawn}


def _false_alarms(alarms: Floats) -> dict[str, int]:
    return {"false_alarms": int(np.nansum(alarms)), "windows": int(np.isfinite(alarms).sum())}


def table(content: dict[str, Any]) -> str:
    """Return the figures in Markdown."""
    together = content["near_duplicates_together"]
    rows = {
        "": [TITLES[system] for system in SYSTEMS],
        f"false alarms, {NULL_ROWS:,} rows": [_counted(content[system]) for system in SYSTEMS],
        "the same, near-duplicates coming together": [_counted(together[system]) for system in SYSTEMS],
    }
    for scenario in DRIFTED:
        for size in ROWS:
            shares = [content[system]["detected"][scenario][str(size)] for system in SYSTEMS]
            rows[f"{TITLES[scenario]}, {size:,} rows"] = [f"{share * 100:.1f} %" for share in shares]
    head, *lines = (f"| {' | '.join([title, *cells])} |" for title, cells in rows.items())
    return "\n".join([head, "|---" * (1 + len(SYSTEMS)) + "|", *lines])


def _counted(figures: dict[str, int]) -> str:
    return f"{figures['false_alarms']} of {figures['windows']:,}"


if __name__ == "__main__":
    main()
