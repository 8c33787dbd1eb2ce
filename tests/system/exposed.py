"""Metrics that the running services expose and push, read as Prometheus reads them."""

import http.server
import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, System, system

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')
GROUP = re.compile(r"^/metrics/job/([^/]+)/environment/([^/]+)$")
SECONDS = 60
QUEUE = 200
SERVICES = {"gateway": "gateway", "transformer": "tp", "predictor": "pp"}
"""Process that stands for each service: production's."""

Metrics = dict[str, dict[str, set[str]]]
"""Seen values by metric and label."""


def metrics_of(text: str, **target: str) -> Metrics:
    """Return the samples of an exposition; a metric without any does not count.

    Args:
        target: Labels that all samples get.
    """
    found: Metrics = defaultdict(lambda: defaultdict(set))
    for name, labels in SAMPLE.findall(text):
        for label, value in [*LABEL.findall(labels), ("__name__", name), *target.items()]:
            found[name][label].add(value)
    return found


def exposed(folder: Path, model: Path, mails: list[str]) -> dict[str, Metrics]:
    """Run the system, let every counted event happen, and return the metrics then exposed."""
    log = (folder / "log").as_uri()
    with pytest.MonkeyPatch.context() as patch:
        # The settings are the gateway's; the other services do not know them.
        patch.setenv("MAX_QUEUED_MAILS", str(QUEUE))
        patch.setenv("DEADLINE_SECONDS", "1")
        patch.setenv("SHADOW_SHARE", "1")
        with system(folder, model, INFERENCE_LOG_URI=log, INFERENCE_LOG_FLUSH_SECONDS="0.2") as running:
            happen(running, mails)
            found = {service: metrics_of(scrape(running, name)) for service, name in SERVICES.items()}
            found["drift"] = drift(log, model, folder)
    return found


def happen(running: System, mails: list[str]) -> None:
    """Cause answers, a full queue, a missed deadline and a missing transformer."""
    assert [ask(running, "production", mail) for mail in mails[:2]] == [200, 200]
    assert ask(running, "production", *mails[: QUEUE // 2]) == 200
    until(running, "gateway", 'gateway_shadow_mails_total{outcome="compared"}', QUEUE // 2 + 2)
    assert ask(running, "production", *["x"] * (QUEUE + 1)) == 503
    running.processes["ps"].send_signal(signal.SIGSTOP)
    assert ask(running, "staging", "x") == 504
    running.processes["ps"].send_signal(signal.SIGCONT)
    running.kill("ts")
    assert ask(running, "staging", "x") == 503
    until(running, "tp", "inference_log_rows_written_total", QUEUE // 2)


def ask(running: System, environment: str, *mails: str) -> int:
    """Return the status of a predict request, or of a batch-predict request for several mails."""
    body, path = ({"email_content": mails[0]}, "predict") if len(mails) == 1 else ({"emails": mails}, "batch-predict")
    headers = {"Content-Type": "application/json", "X-Environment": environment}
    request = urllib.request.Request(f"{running.url}/api/v1/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def scrape(running: System, name: str) -> str:
    """Return the `/metrics` of a process."""
    settings = running.commands[name][1]
    port = settings.get("HTTP_PORT") or settings["PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
        return str(answer.read().decode())


def until(running: System, name: str, series: str, value: float) -> None:
    """Wait until a series of a process reaches a value."""
    end = time.monotonic() + SECONDS
    while float(re.findall(rf"^{re.escape(series)} (\S+)$", scrape(running, name), re.MULTILINE)[0]) < value:
        assert time.monotonic() < end, f"{series} does not come to {value}"
        time.sleep(0.1)


def drift(log: str, bundle: Path, folder: Path) -> Metrics:
    """Return the metrics that the drift job pushes for that log, compared with a baseline of its own."""
    baseline, now = str(folder / "baseline.parquet"), datetime.now(UTC)
    stretch = ["--start", (now - timedelta(hours=1)).isoformat(), "--end", now.isoformat()]
    source = ["--inference-log", log, "--environment", "production", "--bundle", str(bundle)]
    run("baseline", "baseline-generator", "log", *source, *stretch, "--least-rows", "1", "--out", baseline)
    compared = ["--inference-log-uri", log, "--environment", "production", "--baseline-uri", baseline, *stretch]
    with pushgateway() as (url, pushed):
        run("drift", "drift-detector", *compared, "--minimum-rows", "1", "--pushgateway-url", url)
    ((path, text),) = pushed.items()
    group = GROUP.match(path)
    assert group, path
    return metrics_of(text, job=group[1], environment=group[2])


def run(service: str, command: str, *options: str) -> None:
    """Run a service's command to its end."""
    program = ROOT / "services" / service / ".venv" / "bin" / command
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=2 * SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def pushgateway() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the URL of a Pushgateway that accepts everything, and the content by path."""
    pushed: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            pushed[self.path] = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", pushed
        finally:
            server.shutdown()
