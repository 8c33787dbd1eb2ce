"""Cost of the drift detector for one busy hour of mail: seconds and peak memory of the whole command.

Run it with services/drift's environment, on the rows that `rows.py` has written.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from windows import Columns, read_mails

import features
from inferencelog import MEASURES, SCORE, Baseline, Rows, Writer, WriterLimits, open_store, write_baseline

START = datetime(2026, 11, 24, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)
FILE_ROWS = 2_000
"""Rows of one file: several transformers that write each minute make some hundreds of files an hour."""
DIGEST = "0" * 64


def main() -> None:
    """Write an hour of log into a scratch folder, run the command on it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="folder with what rows.py has written")
    parser.add_argument("--mails", type=int, default=500_000, help="in the hour (%(default)s)")
    options = parser.parse_args()
    mails = read_mails(options.rows)
    with tempfile.TemporaryDirectory(prefix="bench-drift-") as scratch:
        write_log(Path(scratch), mails.as_they_are, mails.threshold, options.mails)
        print(json.dumps({"mails": options.mails, **measured(Path(scratch))}))


def write_log(root: Path, mails: Columns, threshold: float, count: int) -> None:
    """Write an hour of mails drawn from the corpus, and the corpus as the baseline."""
    about = ("spam-detector", "bench", DIGEST, features.SCHEMA_VERSION, threshold, "the corpus")
    store = open_store(str(root))
    store.write("baseline.parquet", write_baseline(Baseline(pa.table(mails), *about)))
    writer = Writer(store, "production", WriterLimits(flush_rows=FILE_ROWS, buffer_rows=2 * count), clock=_clock(count))
    values = np.column_stack([mails[name] for name in MEASURES if name != SCORE])
    rng = np.random.default_rng(0)
    for start in range(0, count, FILE_ROWS):
        drawn = rng.integers(0, len(values), min(FILE_ROWS, count - start))
        ids = [f"{start + n}" for n in range(len(drawn))]
        writer.append(Rows(ids, values[drawn].tolist(), mails[SCORE][drawn].tolist(), "bench", DIGEST))
    assert writer.close(60).written == count


def _clock(count: int) -> Any:
    """Return a clock that spreads times over the hour, one for each append."""
    times = iter(np.linspace(START.timestamp(), (START + HOUR).timestamp(), count // FILE_ROWS + 2)[:-1].tolist())
    return lambda: next(times)


def measured(root: Path) -> dict[str, float]:
    """Return the command's wall and CPU seconds, and its peak resident memory in MB (10^6 bytes)."""
    command: list[str | Path] = [Path(sys.executable).with_name("drift-detector"), "--environment", "production"]
    command += ["--inference-log-uri", root, "--baseline-uri", root / "baseline.parquet"]
    command += ["--start", START.isoformat(), "--end", (START + HOUR).isoformat()]
    start = time.monotonic()
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(f"drift-detector failed: {done.stdout}{done.stderr}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = json.loads(done.stdout.splitlines()[-1])
    return {
        "rows": line["rows"],
        "files": line["files"],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6),
    }


if __name__ == "__main__":
    main()
