import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import features
from drift.__main__ import main
from inferencelog import MEASURES, SCORE, Baseline, Rows, Writer, open_store, schema, write_baseline

HOUR = timedelta(hours=1)
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR
VERSION, DIGEST = "a-version", "a" * 64
SPAM = 0.3

Columns = dict[str, np.ndarray[Any, Any]]


def mails(rows: int, *, spam: float = SPAM, seed: int = 0) -> Columns:
    """Return values of a made-up mail stream: each feature differs between spam and ham, and many are zero."""
    rng = np.random.default_rng(seed)
    is_spam = rng.random(rows) < spam
    columns: Columns = {}
    for number, name in enumerate(features.NAMES):
        values = rng.lognormal(1 + number % 5, 1, rows) * (1 + 0.5 * is_spam) * (rng.random(rows) < 0.7)
        share = name.endswith("_share")
        columns[name] = (np.minimum(values / 200, 1) if share else np.floor(values)).astype(np.float32)
    columns[SCORE] = np.where(is_spam, rng.beta(9, 1, rows), rng.beta(1, 9, rows))
    return columns


def baseline_bytes(columns: Columns, **changed: Any) -> bytes:
    about: dict[str, Any] = {
        "model_name": "spam-detector",
        "model_version": VERSION,
        "model_sha256": DIGEST,
        "feature_schema_version": features.SCHEMA_VERSION,
        "threshold": 0.9,
        "source": "a training corpus",
    }
    return write_baseline(Baseline(pa.table(columns), **(about | changed)))


def log_bytes(columns: Columns, **changed: Any) -> bytes:
    """Return a file of the log whose labels may be of any kind."""
    rows = len(columns[SCORE])
    about = {
        "time": START,
        "environment": "production",
        "model_version": VERSION,
        "model_sha256": DIGEST,
        "feature_schema_version": features.SCHEMA_VERSION,
        "request_id": "one",
    }
    table = pa.table({**{name: [value] * rows for name, value in (about | changed).items()}, **columns})
    target = io.BytesIO()
    pq.write_table(table.cast(schema()), target)
    return target.getvalue()


@dataclass
class Run:
    """Result of one run of the command."""

    code: int
    lines: list[dict[str, Any]]

    @property
    def line(self) -> dict[str, Any]:
        """Return the last line."""
        return self.lines[-1]


@dataclass
class World:
    """Log and baseline in a folder, and the command that is run on them."""

    root: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def partition(self) -> str:
        return f"environment=production/date={START:%Y-%m-%d}/hour={START:%H}"

    def baseline(self, columns: Columns | None = None, **changed: Any) -> None:
        data = baseline_bytes(mails(3_000, seed=1) if columns is None else columns, **changed)
        open_store(str(self.root)).write("baseline.parquet", data)

    def log(
        self,
        columns: Columns,
        *,
        time: datetime = START + HOUR / 2,
        environment: str = "production",
        version: str = VERSION,
        digest: str = DIGEST,
    ) -> None:
        """Append rows as the transformer does."""
        writer = Writer(open_store(str(self.root / "log")), environment, clock=time.timestamp)
        values = np.column_stack([columns[name] for name in MEASURES if name != SCORE])
        scores = columns[SCORE].tolist()
        writer.append(Rows([f"id-{n}" for n in range(len(scores))], values.tolist(), scores, version, digest))
        assert writer.close(10).waiting == 0

    def file(self, name: str, data: bytes) -> None:
        """Write a file into the hour's partition."""
        open_store(str(self.root / "log")).write(f"{self.partition}/{name}", data)

    def environ(self) -> dict[str, str]:
        return {
            "ENVIRONMENT": "production",
            "INFERENCE_LOG_URI": (self.root / "log").as_uri(),
            "BASELINE_URI": str(self.root / "baseline.parquet"),
            "WINDOW": f"{START.isoformat()}/{(START + HOUR).isoformat()}",
        }

    def run(self, *options: str) -> Run:
        code = main(options)
        out, err = self.capsys.readouterr()
        assert err == ""
        return Run(code, [json.loads(line) for line in out.splitlines()])

    def report(self, name: str) -> Path:
        return self.root / "log/_drift" / self.partition / name


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(tmp_path, capsys)
    for name, value in found.environ().items():
        monkeypatch.setenv(name, value)
    found.baseline()
    return found
