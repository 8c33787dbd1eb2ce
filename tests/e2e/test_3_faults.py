"""What breaks under steady load costs production no answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import traffic
from cluster import apply, find, get, kubectl, ready_pods, wait_ready, wait_rolled_out
from conftest import System
from figures import Figures
from settings import INFERENCE_SERVICES, MODELS, NAMESPACES
from tiers import TIERS
from traffic import Traffic
from waiting import Pending, until

pytestmark = pytest.mark.usefixtures("settled")

RATE = 60
ENOUGH = 300
"""Requests before a fault, and at least as many from it on."""
HANG = """
import socket, threading
server = socket.create_server(("", 8080))
kept = []
while True:
    kept.append(server.accept())
"""

Fault = Callable[[], None]


def suffer(name: str, fault: Fault, figures: Figures) -> None:
    """Production under load before, during and after a fault: no request may fail."""
    with Traffic("production", RATE) as load:
        load.wait_for(ENOUGH)
        before = load.phase(name)
        fault()
        load.wait_for(ENOUGH)
        during = load.stop()
    figures.add_load("faults", f"before: {name}", before)
    figures.add_load("faults", name, during)
    assert not before.failed, before.failures
    assert not during.failed, during.failures


def delete_pod(tier: str) -> None:
    """Delete a pod of a tier, and wait until it is gone and another ready."""
    namespace, _, app = TIERS[tier]
    pod = sorted(ready_pods(namespace, app))[0]
    kubectl("delete", "pod", pod, "-n", namespace)
    wait_ready(namespace, app)


def roll(tier: str) -> None:
    """Replace all pods of a tier."""
    namespace, deployment, app = TIERS[tier]
    old = set(ready_pods(namespace, app))
    if tier == "predictor":
        # KServe undoes what is done to its Deployment, and hands on what is written at its own object.
        name = INFERENCE_SERVICES["production"]
        now = f"kubectl.kubernetes.io/restartedAt={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        kubectl("annotate", "inferenceservice", name, "-n", namespace, "--overwrite", now)
        until("KServe begins", lambda: rolling(namespace, deployment), 30)
    else:
        kubectl("rollout", "restart", f"deployment/{deployment}", "-n", namespace)
    wait_rolled_out(namespace, deployment)
    assert not old & set(ready_pods(namespace, app))


def rolling(namespace: str, deployment: str) -> None:
    """Whether a Deployment has pods of an old kind, or not yet all of the new."""
    found = get("deployment", deployment, namespace)
    status = found["status"]
    if status.get("observedGeneration") == found["metadata"]["generation"] and status.get(
        "updatedReplicas"
    ) == status.get("replicas"):
        raise Pending("it has begun nothing")


def restart_kserve() -> None:
    """Restart KServe's controller, whose webhook every predictor pod needs to start."""
    kubectl("rollout", "restart", "deployment/kserve-controller-manager", "-n", "kserve")
    wait_rolled_out("kserve", "kserve-controller-manager")


@pytest.mark.parametrize("tier", TIERS)
def test_pod_deleted(system: System, figures: Figures, tier: str) -> None:
    suffer(f"a {tier} pod is deleted", lambda: delete_pod(tier), figures)


@pytest.mark.parametrize("tier", TIERS)
def test_deployment_rolled(system: System, figures: Figures, tier: str) -> None:
    suffer(f"the {tier} is rolled", lambda: roll(tier), figures)


def test_kserve_controller_restarted(system: System, figures: Figures) -> None:
    suffer("KServe's controller is restarted", restart_kserve, figures)


@contextmanager
def scaled_down(namespace: str, deployment: str) -> Iterator[None]:
    """Without any pod of a Deployment, until the end; its autoscaler leaves zero alone."""
    kubectl("scale", f"deployment/{deployment}", "-n", namespace, "--replicas=0")
    try:
        yield
    finally:
        kubectl("scale", f"deployment/{deployment}", "-n", namespace, "--replicas=1")
        wait_rolled_out(namespace, deployment)


def test_staging_down(system: System, figures: Figures) -> None:
    with Traffic("staging", 10) as staging:

        def down() -> None:
            with scaled_down(NAMESPACES["staging"], "feature-transformer"):
                staging.phase("down")
                staging.wait_outcome("503", 50, 60)

        suffer("staging is down", down, figures)
        refused = staging.phase("back")
        staging.wait_for(50)
        back = staging.stop()
    figures.add_load("faults", "staging itself while it is down", refused)
    assert refused.outcomes.keys() <= {"200", "503"}, refused.failures
    assert not refused.without_retry_after
    assert "staging" in refused.failures[0]
    assert back.outcomes["200"] >= 50


@contextmanager
def hanging_predictor(system: System) -> Iterator[None]:
    """Staging's predictor takes connections and never answers.

    The true one cannot be stopped: a container's first process takes no SIGSTOP. So a pod that hangs takes its place
    behind the same Service.
    """
    name = INFERENCE_SERVICES["staging"]
    place = (MODELS, f"{name}-predictor")
    with scaled_down(*place):
        hung = traffic.pod(
            system.images["gateway"], "hanging", MODELS, f"isvc.{name}-predictor", ("python", "-c", HANG)
        )
        apply(hung)
        try:
            until("only the hanging predictor is left", lambda: only("hanging", MODELS, f"isvc.{name}-predictor"), 90)
            yield
        finally:
            kubectl("delete", "pod", "hanging", "-n", MODELS, "--wait=true")


def only(pod: str, namespace: str, app: str) -> None:
    """Whether a pod is the only one of an app."""
    found = [each["metadata"]["name"] for each in find("pods", namespace, f"app={app}")]
    if found != [pod] or not ready_pods(namespace, app):
        raise Pending(", ".join(found))


def test_staging_hangs_and_its_queue_fills(system: System, figures: Figures) -> None:
    with Traffic("staging", 5, timeout=20) as staging:

        def hang() -> None:
            with hanging_predictor(system):
                staging.phase("hangs")
                staging.wait_outcome("504", 20, 60)
                fill_queue(figures)

        suffer("staging's predictor hangs and its queue fills", hang, figures)
        hung = staging.phase("back")
        staging.wait_for(50)
        staging.stop()
    figures.add_load("faults", "staging itself while it hangs", hung)
    assert hung.outcomes.keys() <= {"200", "503", "504"}, hung.failures
    assert not hung.without_retry_after


def fill_queue(figures: Figures) -> None:
    """Send staging more mail than its queue holds: the rest is refused at once, with a time to come back."""
    with Traffic("staging", 10, batch=500, max_requests=60, seed=2) as flood:
        flooded = flood.finish(90)
    figures.add(
        "faults",
        "flood of staging: 60 requests of 500 mails",
        f"{flooded.outcomes}, refused p99 {flooded.refused_ms.get('p99')} ms",
    )
    assert flooded.outcomes.get("503", 0) >= 10, flooded
    assert not flooded.without_retry_after
    assert any("no room" in failure for failure in flooded.failures), flooded.failures
