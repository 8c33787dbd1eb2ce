"""Scenario: mail with another share of spam is noticed by job, report, gauges and alert."""

import io
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pyarrow.parquet
import pytest
from cluster import get
from conftest import System
from figures import Figures
from prometheus import Prometheus
from settings import BUILD, MONITORING
from traffic import Traffic
from waiting import Pending, until

from argocd import wait_synced
from inferencelog import Store, open_store

pytestmark = pytest.mark.usefixtures("settled")

MAILS = 1_000
RATE = 100
AS_TRAINED, SHIFTED = 0.31, 0.6
"""Shares of spam."""
FOUND_SECONDS = 180
GAUGE_SECONDS = 60
ALERT_SECONDS = 120
LOG_COMMAND = "kubectl logs -l app=drift-detector -n monitoring --tail=50"
"""Command of the design, as written there."""
RUNS, WORDS = 3, 4
LEAST_CHARACTERS = 24
"""Least characters of a run of words that is searched for in the log."""


def minute(after: datetime) -> datetime:
    """Return the next full second."""
    return after.replace(microsecond=0) + timedelta(seconds=1)


def send(system: System, spam: float, seed: int) -> str:
    """Send mail through production, and return its period in the form that the detector takes."""
    begin = minute(datetime.now(UTC))
    until("the stretch begins", lambda: passed(begin), 5)
    with Traffic("production", RATE, max_requests=MAILS, spam=spam, seed=seed) as load:
        result = load.finish(MAILS / RATE + 60)
    assert not result.failed, result.failures
    end = minute(datetime.now(UTC))
    until("the stretch is over", lambda: passed(end), 5)
    return f"{begin:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}"


def passed(moment: datetime) -> None:
    """Raise Pending unless a moment is over."""
    if datetime.now(UTC) < moment:
        raise Pending("not yet")


def look_at(system: System, window: str) -> None:
    """Let the job compare a window, every minute from now on, through Git."""
    system.repository.set("production", "values", {"drift.settings.WINDOW": window, "drift.schedule": "* * * * *"})
    system.repository.commit("Look at what has just come in")
    system.repository.push()
    wait_synced("production", system.repository.head())


def wait_line(window: str) -> dict[str, Any]:
    """Return what a job on its own schedule logs about a window."""
    begin = window.partition("/")[0].removesuffix("Z")

    def said() -> dict[str, Any]:
        lines = [json.loads(line) for line in said_by_jobs().splitlines() if line.startswith("{")]
        found = [line for line in lines if "report" in line and line["window"]["start"].startswith(begin)]
        if not found:
            raise Pending(f"{len(lines)} lines, none about it: {[line['message'] for line in lines][-2:]}")
        return found[-1]

    return until(f"a drift job has looked at {window}", said, FOUND_SECONDS)


def said_by_jobs() -> str:
    """Return the output of the design's command; it is empty while a pod's container is about to start."""
    return subprocess.run(LOG_COMMAND.split(), capture_output=True, text=True).stdout


def read_report(line: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the report beside the log in S3, as JSON and as a page."""
    folder = open_store(line["report"].rpartition("/")[0])
    return json.loads(folder.read("report.json")), folder.read("report.html").decode()


def wait_gauge(prometheus: Prometheus, name: str, wanted: float) -> None:
    """Wait until Prometheus has a gauge of production's drift job at a value."""

    def there() -> None:
        found = prometheus.value(f'{name}{{environment="production"}}')
        if found != wanted:
            raise Pending(f"{found}")

    until(f"{name} is {wanted:g} in Prometheus", there, GAUGE_SECONDS)


def test_shifted_share_of_spam_is_found(system: System, figures: Figures, prometheus: Prometheus) -> None:
    window = send(system, AS_TRAINED, seed=11)
    look_at(system, window)
    line = wait_line(window)
    assert (line["status"], line["rows"]) == ("no drift", MAILS), line
    wait_gauge(prometheus, "drift_detected", 0)

    window = send(system, SHIFTED, seed=12)
    started = time.monotonic()
    look_at(system, window)
    line = wait_line(window)
    assert (line["status"], line["rows"]) == ("drift", MAILS), line
    assert "likely_spam" in [each["measure"] for each in line["drifted"]]
    report, page = read_report(line)
    assert report["status"] == "drift"
    assert "<svg" in page and "likely_spam" in page
    wait_gauge(prometheus, "drift_detected", 1)
    alert = prometheus.wait_firing("DriftDetected", "production", ALERT_SECONDS)
    assert "likely_spam" in alert["annotations"]["description"]
    figures.add("drift", f"1,000 mails, {AS_TRAINED:.0%} spam as trained", "no drift")
    figures.add(
        "drift",
        f"1,000 mails, {SHIFTED:.0%} spam: report, gauges, alert",
        f"drift, {time.monotonic() - started:.0f} s after the mail",
    )


def test_log_holds_no_text(system: System) -> None:
    """Every file of the log is searched for runs of words of the mail that was sent."""
    mails = [json.loads(line)["content"] for line in (BUILD / "mails.jsonl").read_text().splitlines()]
    words = {run.encode() for mail in mails for run in runs(mail)}
    store = open_store(f"s3://{system.settings.s3_bucket}/e2e/inference-log")
    files = [file for folder in every_folder(store, "") for file in store.files(folder)]
    assert [file for file in files if file.endswith(".parquet")], files
    for file in files:
        table = pyarrow.parquet.read_table(io.BytesIO(store.read(file))) if file.endswith(".parquet") else None
        texts = {str(value) for column in (table.columns if table else []) for value in column.unique().to_pylist()}
        content = "\n".join(texts).encode() if table else store.read(file)
        assert not [run for run in words if run in content], file


def runs(mail: str) -> list[str]:
    """Return the first runs of words of a mail that do not occur anywhere by chance."""
    found = mail.split()
    drawn = (" ".join(found[start : start + WORDS]) for start in range(len(found)))
    long = (run for run in drawn if len(run) > LEAST_CHARACTERS and run.replace(" ", "").isalpha())
    return list(islice(long, RUNS))


def every_folder(store: Store, folder: str) -> list[str]:
    """Return a folder and all folders below it."""
    below = [each for child in store.folders(folder) for each in every_folder(store, child.strip("/"))]
    return [folder, *below]


def test_drift_is_looked_at_on_the_hour_again(system: System) -> None:
    """The daily schedule is restored, and the design's command shows a log."""
    assert said_by_jobs().strip()
    system.repository.set("production", "values", {"drift.settings.WINDOW": None, "drift.schedule": None})
    system.repository.commit("Look once an hour again")
    system.repository.push()
    wait_synced("production", system.repository.head())
    assert get("cronjob", "drift-detector", MONITORING)["spec"]["schedule"] == "10 * * * *"
