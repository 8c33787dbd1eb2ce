"""Scenario: candidates on production's mail: the worse is refused, the better promoted, the erring one stopped.

It runs while production has the second model, and leaves the better one in both environments.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from client import LIVE_SECONDS, wait_model
from cluster import ready_pods, scaled_down, series, wait_rolled_out
from conftest import System
from figures import Figures
from installation import Bundle
from prometheus import Prometheus
from settings import INFERENCE_SERVICES, MODELS, NAMESPACES
from tiers import TIERS
from traffic import Result, Traffic
from waiting import Pending, until

from argocd import wait_synced
from inferencelog import open_shadow, read_shadow

SCENARIO = "experiment"
RATE = 40
CANARY_RATE = 60
BEFORE = 200
MAILS = 1_000
"""Fewest mails for evidence."""
PERIOD_SECONDS = 90
"""Seconds of the period, with some to spare: health is proven only for a minute or more."""
COMPARED_SECONDS = 180
COUNTED_SECONDS = 60

THRESHOLDS = {
    "evidence.maximum_latency_ratio": 2.0,
    "evidence.maximum_latency_ratio_p99": 10.0,
    "evidence.maximum_gap": "30s",
}
"""Thresholds of time, relaxed because both environments, the load and the cluster share a core or two.

A moment of slowness says nothing about a model there. The other thresholds are production's.
"""
SHADOW = {"candidate": "staging", "shadow": {"share": 1}}
SHARE = 0.2
CANARY = {"candidate": "staging", "canary": {"share": SHARE}}
JUDGED = 100
"""Requests after which a canary is judged, by the chart's default."""
SOUND = 600
"""Requests from which staging's share is computed: its standard deviation is a sixtieth."""
JUDGED_SECONDS = 90
STOP_SECONDS = 30
ALERT_SECONDS = 60
ANSWERED, ERRED = (f'gateway_canary_requests_total{{outcome="{outcome}"}}' for outcome in ("answered", "error"))
STOPPED = 'gateway_canary_stopped{reason="errors"}'
STILL_ASKED = "gateway_canary_share"
QUEUED = "gateway_shadow_queued_mails"

Table = dict[tuple[str, str], int]
"""Number of mails by production's prediction and the candidate's."""


@pytest.fixture(scope="module", autouse=True)
def ground(system: System) -> Iterator[None]:
    """Put the second model in both environments, set up what evidence needs, and end all experiments afterwards."""
    repository, second = system.repository, system.bundles["second"]
    repository.make("tools/evidence/.venv/.ready")
    release = repository.folder / "environments" / "production" / "release.yaml"
    if second.sha256 not in release.read_text():
        # These pins are needed if the scenario of releases was left out.
        for environment in INFERENCE_SERVICES:
            repository.make("pin-model", f"ENV={environment}", f"URI={second.uri}", f"BUNDLE={second.folder}")
    repository.set("production", "config", THRESHOLDS)
    push(system, "Begin with the second model, and times that a shared machine can keep")
    yield
    end(system)


def end(system: System) -> None:
    """End all experiments on production's mail through Git, if there are any."""
    values = system.repository.folder / "environments" / "production" / "values.yaml"
    if "experiment" in yaml.safe_load(values.read_text())["gateway"]:
        system.repository.set("production", "values", {"gateway.experiment": None})
        push(system, "Try nothing on production's mail")
        wait_rolled_out(*TIERS["gateway"][:2])


def push(system: System, message: str) -> None:
    """Commit and push the changes, and wait until both environments have them."""
    system.repository.commit(message)
    system.repository.push()
    for environment in INFERENCE_SERVICES:
        wait_synced(environment, system.repository.head(), LIVE_SECONDS)


def shadow(system: System, candidate: Bundle) -> None:
    """Let staging try a model on all of production's mail, through Git."""
    repository = system.repository
    repository.make("pin-model", "ENV=staging", f"URI={candidate.uri}", f"BUNDLE={candidate.folder}")
    repository.set("production", "values", {"gateway.experiment": SHADOW})
    push(system, f"Shadow model {candidate.version}")
    wait_model("staging", candidate.version)
    # An answer of an old gateway or an old predictor would not compare these two models.
    wait_rolled_out(*TIERS["gateway"][:2])
    wait_rolled_out(MODELS, f"{INFERENCE_SERVICES['staging']}-predictor")


def pair(production: Bundle, candidate: Bundle) -> str:
    """Return the selector of the comparison's series of two models."""
    return f'production_version="{production.version}", candidate_version="{candidate.version}"'


def wait_compared(prometheus: Prometheus, production: Bundle, candidate: Bundle) -> None:
    """Wait until the two models have answered enough of the same mails, for long enough."""
    started = time.monotonic()

    def enough() -> None:
        mails = prometheus.value(f"sum(gateway_shadow_pairs_total{{{pair(production, candidate)}}})")
        seconds = time.monotonic() - started
        if mails < MAILS or seconds < PERIOD_SECONDS:
            raise Pending(f"{mails:.0f} mails in {seconds:.0f} s")

    until(f"{MAILS:,} mails and {PERIOD_SECONDS} s of {candidate.version} in shadow", enough, COMPARED_SECONDS)


def wait_drained() -> None:
    """Wait until no gateway has mail that is still to be compared."""
    namespace, _, app = TIERS["gateway"]

    def drained() -> None:
        waiting = {pod: series(namespace, pod)[QUEUED] for pod in ready_pods(namespace, app)}
        if any(waiting.values()):
            raise Pending(str(waiting))

    until("all shadowed mails are compared", drained, COUNTED_SECONDS)


def logged(system: System, production: Bundle, candidate: Bundle, start: datetime) -> Table:
    """Return the inference log's rows about two models since a time, by prediction; no mail counts twice."""
    store = open_shadow(log_uri(system))
    window = read_shadow(store, "staging", start, datetime.now(UTC), candidate.sha256, production.sha256)
    assert not window.unreadable and not window.contradictions, window
    said = (window.table[name].cast("string").to_pylist() for name in ("production_prediction", "prediction"))
    return Counter(zip(*said, strict=True))


def counted(prometheus: Prometheus, production: Bundle, candidate: Bundle, start: datetime) -> Table:
    """Return the counts of all gateways for two models since a time; of a gateway that is gone, its last count."""
    seconds = math.ceil((datetime.now(UTC) - start).total_seconds())
    names = ("production_prediction", "candidate_prediction")
    highest = f"max_over_time(gateway_shadow_pairs_total{{{pair(production, candidate)}}}[{seconds}s])"
    found = prometheus.query(f"sum by ({', '.join(names)}) ({highest})")
    counts = {tuple(each["metric"][name] for name in names): int(float(each["value"][1])) for each in found}
    return Counter({said: count for said, count in counts.items() if count})


def wait_counted_alike(system: System, prometheus: Prometheus, models: tuple[Bundle, Bundle], start: datetime) -> Table:
    """Wait until Prometheus counts what the log holds: rows are written and counters scraped every few seconds."""

    def alike() -> Table:
        rows, counters = logged(system, *models, start), counted(prometheus, *models, start)
        if not rows or rows != counters:
            raise Pending(f"in the log {dict(rows)}, counted {dict(counters)}")
        return rows

    return until("Prometheus counts the rows of the log", alike, COUNTED_SECONDS)


def log_uri(system: System) -> str:
    """Return the URI of the inference log of both environments."""
    return f"s3://{system.settings.s3_bucket}/e2e/inference-log"


def evidence_command(system: System) -> tuple[str, ...]:
    """Return `make evidence`, as docs/comparing-models.md shows it."""
    return ("evidence", f"INFERENCE_LOG_URI={log_uri(system)}", f"PROMETHEUS_URL={system.settings.prometheus_url}")


def read_evidence(system: System) -> tuple[dict[str, Any], Path]:
    """Return the evidence.json of `make evidence`, and its folder."""
    folder = system.repository.folder / "build" / "evidence"
    return json.loads((folder / "evidence.json").read_text()), folder


def refused(evidence: dict[str, Any]) -> dict[str, str]:
    """Return what each check that refuses the candidate has measured, by name."""
    return {each["name"]: each["measured"] for each in evidence["checks"] if each["outcome"] == "refused"}


def add_checks(figures: Figures, name: str, evidence: dict[str, Any]) -> None:
    """Add the checks of evidence to the figures, one line each."""
    figures.add(SCENARIO, f"evidence about the {name} model", evidence["outcome"])
    for each in evidence["checks"]:
        figures.add(SCENARIO, f"{name}: {each['name']}, {each['outcome']}", each["measured"])


def test_worse_model_is_refused(system: System, figures: Figures, prometheus: Prometheus) -> None:
    production, candidate = system.bundles["second"], system.bundles["worse"]
    start = datetime.now(UTC)
    with Traffic("production", RATE) as load:
        load.wait_for(BEFORE)
        shadow(system, candidate)
        rolled = load.stop()
    wait_drained()
    whole = datetime.now(UTC)
    with Traffic("production", RATE, seed=2) as load:
        wait_compared(prometheus, production, candidate)
        said = system.repository.refused(*evidence_command(system))
        head = system.repository.head()
        assert "the model is refused: offline AUC" in system.repository.refused("promote")
        assert system.repository.head() == head
        shadowed = load.stop()
    figures.add_load(SCENARIO, "production while its gateways begin to shadow", rolled)
    figures.add_load(SCENARIO, "production while all its mail is shadowed to the worse model", shadowed)
    assert_answered(rolled, shadowed, models={production.version})

    evidence, folder = read_evidence(system)
    add_checks(figures, "worse", evidence)
    found = refused(evidence)
    assert {"offline AUC (DeLong)", "offline errors (McNemar)", "agreement"} <= found.keys(), evidence["checks"]
    assert not [name for name in found if name not in said]
    report = (folder / "evidence.md").read_text()
    assert not [name for name in found if name not in report]

    wait_drained()
    table = wait_counted_alike(system, prometheus, (production, candidate), start)
    figures.add(SCENARIO, "shadowed mails counted by Prometheus; in the log", f"{sum(table.values()):,}; the same")
    rows = logged(system, production, candidate, whole)
    assert sum(rows.values()) == shadowed.outcomes["200"], "each mail that production answered is compared, once"


def assert_answered(*results: Result, models: set[str]) -> None:
    """Check that no request failed, and that exactly these models answered."""
    assert_none_failed(results)
    assert {model for result in results for model in result.models} == models


def assert_none_failed(results: Sequence[Result]) -> None:
    """Check that every request was answered."""
    assert not sum(result.failed for result in results), [each for result in results for each in result.failures]


def test_better_model_is_promoted(system: System, figures: Figures, prometheus: Prometheus) -> None:
    production, candidate = system.bundles["second"], system.bundles["better"]
    with Traffic("production", RATE, seed=3) as load:
        load.wait_for(BEFORE)
        shadow(system, candidate)
        wait_compared(prometheus, production, candidate)
        system.repository.make(*evidence_command(system))
        system.repository.make("promote")
        before = load.phase("promoted")

        started = time.monotonic()
        system.repository.push()
        wait_synced("production", system.repository.head(), LIVE_SECONDS)
        figures.add(SCENARIO, "push of a promotion with evidence to live", f"{time.monotonic() - started:.1f} s")
        wait_rolled_out(*TIERS["predictor"][:2])
        during = load.phase("after")
        load.wait_for(BEFORE)
        after = load.stop()
    figures.add_load(SCENARIO, "production while all its mail is shadowed to the better model", before)
    figures.add_load(SCENARIO, "production while that is promoted", during)
    evidence, _ = read_evidence(system)
    add_checks(figures, "better", evidence)
    assert_answered(before, models={production.version})
    assert_answered(during, models={production.version, candidate.version})
    assert_answered(after, models={candidate.version})

    message = system.repository.message()
    assert f"Promote to production: model {candidate.version}" in message
    assert "Evidence: accepted" in message and "WITHOUT EVIDENCE" not in message
    auc = evidence["offline"]["auc"]
    assert auc["candidate"] > auc["production"], auc


def gateways() -> dict[str, dict[str, float]]:
    """Return the /metrics of each of production's gateways."""
    namespace, _, app = TIERS["gateway"]
    return {pod: series(namespace, pod) for pod in ready_pods(namespace, app)}


def judged() -> list[str]:
    """Return the gateways once the candidate has answered enough requests of each to be judged."""
    answered = {pod: found.get(ANSWERED, 0) for pod, found in gateways().items()}
    if min(answered.values()) < JUDGED:
        raise Pending(str(answered))
    return [*answered]


def errs() -> None:
    """Raise Pending unless the candidate has failed to answer a request."""
    errors = {pod: found.get(ERRED, 0) for pod, found in gateways().items()}
    if not any(errors.values()):
        raise Pending("no error yet")


def stopped(pods: list[str]) -> dict[str, dict[str, float]]:
    """Return the metrics of these gateways once they send the candidate no more requests because of its errors."""
    found = {pod: series(NAMESPACES["production"], pod) for pod in pods}
    if not all(each[STOPPED] == 1 and each[STILL_ASKED] == 0 for each in found.values()):
        raise Pending(str({pod: (each[STOPPED], each[ERRED]) for pod, each in found.items()}))
    return found


def test_erring_canary_stops_itself(system: System, figures: Figures, prometheus: Prometheus) -> None:
    with Traffic("production", CANARY_RATE, seed=4, clients=8) as load:
        load.wait_for(BEFORE)
        system.repository.set("production", "values", {"gateway.experiment": CANARY})
        push(system, f"Have {SHARE:.0%} of production's requests answered by staging")
        wait_rolled_out(*TIERS["gateway"][:2])
        load.phase("sound")
        pods = until("the candidate can be judged", judged, JUDGED_SECONDS)
        load.wait_for(SOUND)
        sound = load.phase("erring")
        with scaled_down(MODELS, f"{INFERENCE_SERVICES['staging']}-predictor"):
            until("the candidate errs", errs, JUDGED_SECONDS)
            started = time.monotonic()
            found = until("the canary has stopped", partial(stopped, pods), STOP_SECONDS)
            figures.add(SCENARIO, "first error of a canary to its stop", f"{time.monotonic() - started:.1f} s")
            prometheus.wait_firing("CanaryStopped", "production", ALERT_SECONDS)
            figures.add(SCENARIO, "and to the alert", f"{time.monotonic() - started:.0f} s")
            erring = load.phase("staging is back")
        load.wait_for(BEFORE)
        later = stopped(pods)
        end(system)
        load.phase("off")
        load.wait_for(BEFORE)
        off = load.stop()
    figures.add_load(SCENARIO, f"production while staging answers {SHARE:.0%} of it", sound)
    figures.add_load(SCENARIO, "production while that share errs", erring)
    assert_none_failed(load.results)
    share = sound.environments["staging"] / sound.sent
    errors = " and ".join(f"{each[ERRED]:.0f}" for each in found.values())
    figures.add(SCENARIO, "answered by staging; errors of each gateway until its stop", f"{share:.1%}; {errors}")
    assert SHARE / 2 < share < SHARE * 2
    # Staging is sound again, and still gets no request: a stopped gateway stays stopped.
    answered = [{pod: each[ANSWERED] for pod, each in said.items()} for said in (found, later)]
    assert answered[0] == answered[1]
    assert off.environments.keys() == {"production"}
