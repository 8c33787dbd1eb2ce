"""Test of drift from the mail that is sent to the alarm, across the real processes and a real S3 server."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from conftest import ROOT, System, system
from s3_server import S3Server
from test_inference_log import until_waiting_is

from inferencelog import open_store, read_baseline

SECONDS = 120


def run(project: str, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    program = ROOT / project / ".venv" / "bin" / command
    return subprocess.run([program, *options], capture_output=True, text=True, timeout=SECONDS)


async def send(http: aiohttp.ClientSession, own: System, corpus: Path, spam: float, mails: int, seed: int) -> datetime:
    """Send mail to production, and return a moment after the last of its rows."""
    traffic = [
        "--corpus",
        str(corpus),
        "--spam",
        str(spam),
        "--mails",
        str(mails),
        "--seed",
        str(seed),
        "--rate",
        "500",
    ]
    done = run("tools/local", "simulate", "--url", own.url, "--environment", "production", "--rate", "500", *traffic)
    assert done.returncode == 0, done.stderr
    await until_waiting_is(http, own, 0, 30)
    return datetime.now(UTC)


def detect(log: str, baseline: str, start: datetime, end: datetime) -> dict[str, Any]:
    period = ["--start", start.isoformat(), "--end", end.isoformat()]
    names = ["--inference-log-uri", log, "--baseline-uri", baseline, "--environment", "production"]
    done = run("services/drift", "drift-detector", *names, *period)
    assert (done.returncode, done.stderr) == (0, ""), done
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


async def test_a_changed_share_of_spam_is_seen_and_an_unchanged_one_is_not(
    http: aiohttp.ClientSession, tmp_path: Path, model: Path, corpus: Path, s3: S3Server
) -> None:
    log, baseline = f"{s3.uri}/log", f"{s3.uri}/baselines/healthy.parquet"
    times = [datetime.now(UTC)]
    with system(tmp_path, model, INFERENCE_LOG_URI=log, INFERENCE_LOG_FLUSH_SECONDS="0.5") as own:
        for seed, (spam, mails) in enumerate(((0.31, 2000), (0.31, 1000), (0.6, 1000))):
            times.append(await send(http, own, corpus, spam, mails, seed))
    healthy = ["--start", times[0].isoformat(), "--end", times[1].isoformat(), "--bundle", str(model)]
    names = ["--inference-log", log, "--environment", "production", "--out", baseline]
    made = run("services/baseline", "baseline-generator", "log", *names, *healthy)
    assert made.returncode == 0, made.stderr
    assert read_baseline(baseline).rows == 2000

    unchanged, changed = (detect(log, baseline, *times[n : n + 2]) for n in (1, 2))
    assert (unchanged["status"], unchanged["rows"], unchanged["drifted"]) == ("no drift", 1000, [])
    assert (changed["status"], changed["rows"]) == ("drift", 1000)
    assert {"likely_spam", "predicted_spam", "spam_probability"} <= {each["measure"] for each in changed["drifted"]}
    for found in (unchanged, changed):
        folder, _, name = found["report"].rpartition("/")
        assert b"<html" in open_store(folder).read(name)
        assert json.loads(open_store(folder).read("report.json"))["status"] == found["status"]
