"""Scenario: load raises each tier and spreads over its replicas; the fall afterwards is checked at the end."""

import re
import time
from datetime import datetime

import pytest
from cluster import Object, find, is_ready, scrape
from conftest import System
from figures import Figures
from rest import Rest
from tiers import TIERS, fallen, replicas
from traffic import Traffic
from waiting import Pending, until

pytestmark = pytest.mark.usefixtures("settled")

RATE = 200
CLIENTS = 256
"""Number of clients with one connection each, so that spreading is nearly fair: each of four gateways gets 64, +-7."""
RISE_SECONDS = 180
STEADY_SECONDS = 120
CALM_SECONDS = 360
SPREAD_SECONDS = 30
"""Seconds from the moment that the newest replica is ready."""
WINDOW_SECONDS = 10
LEAST_SHARE = 0.6

COUNTERS = {
    "gateway": re.compile(r'^http_request_duration_seconds_count\{.*handler="/api/v1/predict".*\} (\S+)', re.M),
    "transformer": re.compile(r"^request_predict_seconds_count\S* (\S+)", re.M),
    "predictor": re.compile(r"^request_predict_seconds_count\S* (\S+)", re.M),
}
"""Counter of requests in a pod's metrics, by tier."""


def raised() -> dict[str, int]:
    """Return ready replicas by tier, once all exceed their minimum and are as many as their autoscalers want."""
    found = {tier: replicas(tier) for tier in TIERS}
    if not all(ready > minimum for ready, minimum in found.values()):
        raise Pending(str(found))
    return {tier: ready for tier, (ready, _) in found.items()}


def pods(tier: str) -> list[Object]:
    """Return the pods of a tier that are not terminating."""
    namespace, _, app = TIERS[tier]
    return [pod for pod in find("pods", namespace, f"app={app}") if "deletionTimestamp" not in pod["metadata"]]


def newest(tier: str) -> float:
    """Return when the newest pod of a tier became ready, in seconds since 1970.

    Raises:
        Pending: If a pod is not ready yet.
    """
    found = pods(tier)
    if not all(is_ready(pod) for pod in found):
        raise Pending(f"a pod of the {tier} is not ready")
    times = [
        each["lastTransitionTime"] for pod in found for each in pod["status"]["conditions"] if each["type"] == "Ready"
    ]
    return max(datetime.fromisoformat(moment).timestamp() for moment in times)


def requests(tier: str) -> dict[str, float]:
    """Return the requests since each pod's start, by pod."""
    namespace = TIERS[tier][0]
    names = [pod["metadata"]["name"] for pod in pods(tier)]
    return {name: sum(map(float, COUNTERS[tier].findall(scrape(namespace, name)))) for name in names}


def wait_moment(what: str, moment: float) -> None:
    """Wait for a moment, in seconds since 1970."""

    def there() -> None:
        if time.time() < moment:
            raise Pending(f"{moment - time.time():.0f} s to go")

    until(what, there, max(1.0, moment - time.time() + 5))


def shares(tier: str) -> dict[str, float]:
    """Return each pod's share of the requests in a window, by pod; 1 is a fair share.

    The window ends when the newest replica has been ready for `SPREAD_SECONDS`. It begins again if replicas come or go
    meanwhile.
    """
    for _ in range(10):
        ready = until(f"all pods of the {tier} are ready", lambda: newest(tier), STEADY_SECONDS)
        wait_moment(f"the {tier}'s newest pod has been there for a while", ready + SPREAD_SECONDS - WINDOW_SECONDS)
        before, begun = requests(tier), time.time()
        wait_moment("the window is over", begun + WINDOW_SECONDS)
        after = requests(tier)
        if before.keys() == after.keys() and newest(tier) == ready:
            counts = {name: after[name] - before[name] for name in after}
            return {name: count / (sum(counts.values()) / len(counts)) for name, count in counts.items()}
    raise AssertionError(f"replicas of the {tier} came and went ten times")


def test_load_raises_and_spreads(system: System, figures: Figures, rest: Rest) -> None:
    until("all tiers are at their minimum", fallen, CALM_SECONDS)
    with Traffic("production", RATE, clients=CLIENTS, connections=1) as load:
        started = time.monotonic()
        until("every tier has more replicas", raised, RISE_SECONDS)
        figures.add("scaling", f"{RATE} mails/s: every tier above its minimum", f"{time.monotonic() - started:.0f} s")
        load.phase("raised")
        found = {tier: shares(tier) for tier in TIERS}
        loaded = load.stop()
    for tier, share in found.items():
        least, most = min(share.values()), max(share.values())
        figures.add("scaling", f"{tier}: {len(share)} replicas, of a fair share", f"{least:.0%} to {most:.0%}")
    figures.add_load("scaling", "production while it scales", loaded)
    assert not loaded.failed, loaded.failures
    assert all(len(share) > 2 for share in found.values()), found
    assert all(min(share.values()) >= LEAST_SHARE for share in found.values()), found
