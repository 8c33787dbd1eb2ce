"""Requests that schemathesis makes from the API's own description, until there are enough of them."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resilience.part import say

SEED = 1
EXAMPLES = 2_000
"""Examples of one operation in one run; operations without parameters have fewer different ones."""
RUN_SECONDS = 3_600


@dataclass
class Described:
    """Findings of all runs."""

    cases: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Number of distinct failures by check of schemathesis."""
    errors: int = 0


def run(url: str, at_least: int, folder: Path) -> Described:
    """Test the gateway at this URL; each run's report stays in the folder, with a curl command for each failure."""
    found = Described()
    seed = SEED
    while found.cases < at_least and not (found.failures or found.errors):
        report = _once(url, seed, min(EXAMPLES, at_least - found.cases), folder)
        cases = int(report["test_cases"]["generated"])
        found.cases += cases
        found.errors += len(report["errors"])
        found.failures.update(str(failure.get("check", failure.get("type"))) for failure in report["failures"])
        failed = dict(found.failures) or "no failure"
        say(f"input: schemathesis, seed {seed}: {found.cases:,} of {at_least:,} cases, {failed}")
        seed += 1
    return found


def _once(url: str, seed: int, examples: int, folder: Path) -> dict[str, Any]:
    report, log = folder / f"schemathesis-{seed}.json", folder / f"schemathesis-{seed}.log"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--mode=all", "--no-color"]
    command += ["--phases=examples,coverage,fuzzing", f"--max-examples={examples}", f"--seed={seed}", "--no-shrink"]
    command += ["--continue-on-failure", "--generation-database=none", f"--report-json-path={report}"]
    with log.open("wb") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=RUN_SECONDS, check=False)
    if not report.is_file():
        raise SystemExit(f"schemathesis wrote no report; its output ends:\n{log.read_text(errors='replace')[-2000:]}")
    loaded: dict[str, Any] = json.loads(report.read_text())
    return loaded
