"""Tests of health: Prometheus' answers come from a fake server in this file, and promtool evaluates the queries."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import NOW, Bundles, answers, configure, mails, shadow

from evidence.build import EvidenceSettings, make
from evidence.check import Check
from evidence.health import Health, check_health, outcomes_query, read_health, ready_query, restarts_query
from evidence.prometheus import Prometheus
from evidence.thresholds import Thresholds

START = NOW - timedelta(hours=2)
PROMTOOL = shutil.which("promtool", path=str(Path(__file__).parents[3] / ".tools/bin")) or shutil.which("promtool")


DEFAULTS = Thresholds()


class Told:
    """Answers of the fake server."""

    def __init__(self) -> None:
        self.ready: dict[datetime, float] = {}
        self.outcomes = {"compared": 990.0, "dropped": 9.0, "failed": 1.0}
        self.restarts: float | None = 0.0
        self.asked: list[dict[str, str]] = []
        self.status = 200

    def answer(self, path: str, asked: dict[str, str]) -> list[dict[str, Any]]:
        self.asked.append(asked)
        if path.endswith("/query_range"):
            low, high, step = (float(asked[name]) for name in ("start", "end", "step"))
            times = [low + n * step for n in range(int((high - low) // step) + 1)]
            values = {time: self.ready.get(datetime.fromtimestamp(time, NOW.tzinfo), 1.0) for time in times}
            shown = [[time, str(value)] for time, value in values.items() if value == value]
            return [{"metric": {}, "values": shown}] if shown else []
        if "outcome" in asked["query"]:
            return [{"metric": {"outcome": name}, "value": [0, str(n)]} for name, n in self.outcomes.items()]
        return [] if self.restarts is None else [{"metric": {}, "value": [0, str(self.restarts)]}]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def url(told: Told) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = json.dumps({"status": "success", "data": {"result": told.answer(parts.path, asked)}}).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/prometheus/"
        server.shutdown()


def checks(url: str, thresholds: Thresholds = DEFAULTS) -> dict[str, Check]:
    found = read_health(Prometheus(url), "staging", "serving-staging", START, NOW)
    return {each.name: each for each in check_health(found, thresholds)}


def test_a_healthy_period_is_accepted(told: Told, url: str) -> None:
    assert {name: each.outcome for name, each in checks(url).items()} == {
        "ready": "accepted",
        "shadow mails failed": "accepted",
        "shadow mails dropped": "accepted",
        "restarts": "accepted",
    }
    ready = told.asked[0]
    assert ready["query"] == ready_query("staging", 60)
    assert (float(ready["start"]), float(ready["end"])) == ((START.timestamp() + 60), NOW.timestamp())
    assert float(told.asked[1]["time"]) == NOW.timestamp() and "[7200s]" in told.asked[1]["query"]


def test_one_dip_in_the_period_is_refused(told: Told, url: str) -> None:
    told.ready[START + timedelta(minutes=45)] = 0.0
    found = checks(url)["ready"]
    assert found.outcome == "refused" and "not ready for some time" in found.measured


def test_a_gap_proves_nothing(told: Told, url: str) -> None:
    for minute in (30, 31, 32):
        told.ready[START + timedelta(minutes=minute)] = float("nan")
    found = checks(url)["ready"]
    assert found.outcome == "refused" and found.measured.endswith("0:03:00 without a sample")
    assert checks(url, Thresholds(maximum_gap=timedelta(minutes=3)))["ready"].outcome == "accepted"
    assert checks(url, Thresholds(require_health=False))["ready"].outcome == "told"


def test_no_series_proves_nothing(told: Told, url: str) -> None:
    told.ready = {START + timedelta(minutes=n): float("nan") for n in range(1, 121)}
    told.outcomes, told.restarts = {}, None
    found = checks(url)
    assert {name: each.outcome for name, each in found.items()} == {
        "ready": "refused",
        "shadow mails failed": "refused",
        "shadow mails dropped": "refused",
        "restarts": "told",
    }
    assert found["ready"].measured.startswith("no sample at all")


def test_shares_and_restarts_are_held_to_their_thresholds(told: Told, url: str) -> None:
    told.outcomes, told.restarts = {"compared": 80.0, "dropped": 15.0, "failed": 5.0}, 1.02
    found = checks(url)
    assert [found[name].measured for name in ("shadow mails failed", "shadow mails dropped", "restarts")] == [
        "5.00% of 100",
        "15.00% of 100",
        "1",
    ]
    assert {found[name].outcome for name in found if name != "ready"} == {"refused"}
    wide = Thresholds(maximum_failed_share=0.05, maximum_dropped_share=0.15, maximum_restarts=1)
    assert {each.outcome for each in checks(url, wide).values()} == {"accepted"}


def test_what_does_not_answer_proves_nothing(told: Told, url: str) -> None:
    told.status = 503
    assert "HTTP 503" in checks(url)["health"].measured
    found = checks("http://127.0.0.1:9")["health"]
    assert found.outcome == "refused" and "does not answer" in found.measured


def test_health_is_part_of_the_evidence(settings: EvidenceSettings, bundles: Bundles, told: Told, url: str) -> None:
    from dataclasses import replace

    shadow(settings, answers(bundles, mails(1200)))
    asked = replace(settings, prometheus_url=url)
    assert make(asked, NOW).outcome == "accepted"
    told.ready[NOW] = 0.0  # after the last mail
    assert [each.name for each in make(asked, NOW).refused] == ["ready"]
    configure(settings.root)
    assert isinstance(make(asked, NOW).health, Health)
    assert [each.name for each in make(settings, NOW).refused] == ["health"]


SERIES = {
    'gateway_environment_ready{environment="staging",pod="a"}': "1x20",
    'gateway_environment_ready{environment="staging",pod="b"}': "1x8 0 1x10",
    'gateway_environment_ready{environment="production",pod="a"}': "0x20",
    'gateway_shadow_mails_total{outcome="compared",pod="a"}': "0+10x20",
    'gateway_shadow_mails_total{outcome="compared",pod="b"}': "0+10x20",
    'gateway_shadow_mails_total{outcome="failed",pod="a"}': "0+1x20",
    'kube_pod_container_status_restarts_total{namespace="serving-staging",pod="feature-transformer-1"}': "0x10 1x9",
    'kube_pod_container_status_restarts_total{namespace="kserve",pod="spam-detector-staging-predictor-1"}': "0x5 2x14",
    'kube_pod_container_status_restarts_total{namespace="kserve",pod="spam-detector-predictor-1"}': "0x5 9x14",
}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")
def test_queries_mean_what_they_say_to_prometheus(tmp_path: Path) -> None:
    """The samples are half a minute apart; Prometheus extrapolates increases to the whole window."""

    def expected(query: str, at: str, *samples: tuple[str, float]) -> dict[str, Any]:
        return {"expr": query, "eval_time": at, "exp_samples": [{"labels": name, "value": n} for name, n in samples]}

    tests = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
        "promql_expr_test": [
            expected(ready_query("staging", 60), "4m", ("{}", 1)),
            # The dip is one sample, 15 s before.
            expected(ready_query("staging", 60), "4m45s", ("{}", 0)),
            # More than a step after the last sample there is none, though an instant query would still find it.
            expected(ready_query("staging", 60), "11m30s"),
            expected(outcomes_query(600), "10m", ('{outcome="compared"}', 400), ('{outcome="failed"}', 20)),
            expected(f"round({restarts_query('staging', 'serving-staging', 600)})", "10m", ("{}", 3)),
            expected(restarts_query("other", "nowhere", 600), "10m"),
        ],
    }
    path = tmp_path / "tests.yaml"
    path.write_text(json.dumps({"rule_files": [], "evaluation_interval": "30s", "tests": [tests]}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
