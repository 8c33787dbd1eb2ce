"""In-process work: features and model without a server.

It runs as a program of its own, so that it has the servers' settings: python -m bench.inprocess MODEL BODIES SECONDS
"""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles

import numpy as np

import bundle
import features
from bench.servers import ONE_THREAD


@dataclass(frozen=True)
class Work:
    """Figures of batches of one size: mails, elapsed and CPU time in seconds, and percentiles of a batch's time."""

    batch: int
    mails: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float


def score(model: bundle.Bundle, mails: list[str]) -> list[float]:
    """Return the spam probabilities of a batch."""
    extracted = [features.extract(mail) for mail in mails]
    values = np.array([mail.values for mail in extracted])
    return [float(score) for score in model.score([mail.text for mail in extracted], values)]


def work(model: bundle.Bundle, mails: list[str], batch: int, seconds: float) -> Work:
    """Score batches of the mails in turn for so many seconds, and return the figures."""
    taken: list[float] = []
    batches = _batches(mails, batch)
    score(model, next(batches))
    cpu, start = time.process_time(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        began = time.perf_counter()
        score(model, next(batches))
        taken.append(time.perf_counter() - began)
    cpu_seconds = time.process_time() - cpu
    percentiles = quantiles(taken, n=100, method="inclusive")
    return Work(batch, len(taken) * batch, elapsed, cpu_seconds, 1e3 * percentiles[49], 1e3 * percentiles[98])


def probabilities(model: Path, mails: Path) -> list[float]:
    """Return the spam probabilities of a file with a list of mails in JSON."""
    return score(bundle.load(model), json.loads(mails.read_text()))


def measure(model: Path, mails: Path, batch: int, seconds: int) -> Work:
    """Run this module over a file with a list of mails in JSON, and return its figures."""
    command = [sys.executable, "-m", "bench.inprocess", str(model), str(mails), str(batch), str(seconds)]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    return Work(**json.loads(done.stdout))


def _batches(mails: list[str], size: int) -> Iterator[list[str]]:
    endless = itertools.cycle(mails)
    while True:
        yield list(itertools.islice(endless, size))


def main() -> None:
    """Print the figures as JSON."""
    model, mails, batch, seconds = sys.argv[1:]
    done = work(bundle.load(Path(model)), json.loads(Path(mails).read_text()), int(batch), float(seconds))
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
