"""Scenario: faults under steady load cost production no answer."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hostile
import pytest
import traffic
from client import Client
from cluster import (
    Object,
    apply,
    execute,
    find,
    get,
    is_ready,
    kubectl,
    ready_pods,
    scaled_down,
    scrape,
    wait_ready,
    wait_rolled_out,
)
from conftest import System
from figures import Figures
from settings import INFERENCE_SERVICES, MODELS, NAMESPACES
from tiers import TIERS
from traffic import Traffic
from waiting import Pending, until

pytestmark = pytest.mark.usefixtures("settled")

RATE = 60
ENOUGH = 300
"""Fewest requests before a fault, and from it on."""
HANG = """
import socket, threading
server = socket.create_server(("", 8080))
kept = []
while True:
    kept.append(server.accept())
"""

CHILD = """
import signal, subprocess
child = subprocess.Popen(["predictor"])
signal.signal(signal.SIGUSR1, lambda *_: child.send_signal(signal.SIGSTOP))
signal.signal(signal.SIGTERM, lambda *_: child.kill())
child.wait()
"""
RECOVERY_SECONDS = 60
RECOVERED_MS = 2_000
"""Least milliseconds that a request waits for a hanging replica, a fifth of the deadline; few may wait as long."""
SLOW = Path(__file__).with_name("slow.py")
SLOW_CONNECTIONS = 300
SLOW_SECONDS = 45
DEADLINE_SECONDS = 10
"""Deadline of the gateway in seconds, within which everything is answered."""
SPARE_SECONDS = 5
"""Seconds to spare for the port-forward, and for a machine on which everything runs at once."""

Fault = Callable[[], None]


def suffer(name: str, fault: Fault, figures: Figures) -> None:
    """Load production before, during and after a fault: no request may fail."""
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
    """Delete a pod of a tier, and wait until it is gone and another is ready."""
    namespace, _, app = TIERS[tier]
    pod = sorted(ready_pods(namespace, app))[0]
    kubectl("delete", "pod", pod, "-n", namespace)
    wait_ready(namespace, app)


def roll(tier: str) -> None:
    """Replace all pods of a tier."""
    namespace, deployment, app = TIERS[tier]
    old = set(ready_pods(namespace, app))
    if tier == "predictor":
        # KServe undoes changes to its Deployment, but passes on what is written to its own object.
        name = INFERENCE_SERVICES["production"]
        now = f"kubectl.kubernetes.io/restartedAt={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        kubectl("annotate", "inferenceservice", name, "-n", namespace, "--overwrite", now)
        until("KServe begins", lambda: rolling(namespace, deployment), 30)
    else:
        kubectl("rollout", "restart", f"deployment/{deployment}", "-n", namespace)
    wait_rolled_out(namespace, deployment)
    assert not old & set(ready_pods(namespace, app))


def rolling(namespace: str, deployment: str) -> None:
    """Raise Pending until the rollout of a Deployment has begun."""
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
    """Replace staging's predictor by one that accepts connections and never answers.

    The real one cannot be stopped, because a container's first process ignores SIGSTOP. So a hanging pod takes its
    place behind the same Service.
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
    """Raise Pending unless a pod is the only one of an app."""
    found = [each["metadata"]["name"] for each in find("pods", namespace, f"app={app}")]
    if found != [pod] or not ready_pods(namespace, app):
        raise Pending(", ".join(found))


def test_staging_hangs_and_is_flooded(system: System, figures: Figures) -> None:
    with Traffic("staging", 5, timeout=20) as staging:

        def hang() -> None:
            with hanging_predictor(system):
                staging.phase("hangs")
                staging.wait_outcome("504", 1, 60)
                staging.wait_outcome("503", 20, 60)
                flood_hung(figures)

        suffer("staging's predictor hangs and is flooded", hang, figures)
        hung = staging.phase("back")
        staging.wait_for(50)
        staging.stop()
    figures.add_load("faults", "staging itself while it hangs", hung)
    assert hung.outcomes.keys() <= {"200", "503", "504"}, hung.failures
    assert not hung.without_retry_after


def flood_hung(figures: Figures) -> None:
    """Send a hung staging more mail than its queue holds: all of it must be refused, with a time to come back."""
    with Traffic("staging", 10, batch=500, max_requests=60, seed=2) as flood:
        flooded = flood.finish(90)
    figures.add(
        "faults",
        "flood of a hung staging: 60 requests of 500 mails",
        f"{flooded.outcomes}, refused p99 {flooded.refused_ms.get('p99')} ms",
    )
    assert flooded.outcomes.keys() <= {"503", "504"}, flooded
    assert flooded.outcomes.get("503", 0) >= 10, flooded
    assert not flooded.without_retry_after


@contextmanager
def another_predictor() -> Iterator[str]:
    """Start one more predictor of production that can be stopped, and yield its name.

    It can be stopped because it is not its container's first process. It is a copy of a serving pod behind the same
    Services. It lacks the label of the ReplicaSet, which therefore does not count it.
    """
    namespace, _, app = TIERS["predictor"]
    serving = [pod for pod in find("pods", namespace, f"app={app}") if is_ready(pod)]
    copied = copy(serving[0], "predictor-to-stop")
    kubectl("delete", "pod", "predictor-to-stop", "-n", namespace, "--ignore-not-found", "--wait=true")
    apply(copied)
    try:
        wait_ready(namespace, app)
        yield "predictor-to-stop"
    finally:
        kubectl("delete", "pod", "predictor-to-stop", "-n", namespace, "--wait=true")


def copy(pod: Object, name: str) -> Object:
    """Return a pod like another, whose container runs its program as a child."""
    metadata = pod["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key != "pod-template-hash"}
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    containers = [
        {**each, "command": ["python", "-c", CHILD], "args": []} if each["name"] == "kserve-container" else each
        for each in spec["containers"]
    ]
    kept = {"name": name, "namespace": metadata["namespace"], "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": kept | {"annotations": metadata.get("annotations", {})},
        "spec": spec | {"containers": containers},
    }


def wait_answers(pod: str) -> None:
    """Wait until a predictor has got its share of the load."""

    def answers() -> None:
        counted = [
            line for line in scrape(MODELS, pod).splitlines() if line.startswith("request_predict_seconds_count")
        ]
        if sum(float(line.rpartition(" ")[2]) for line in counted) < 20:
            raise Pending(f"{counted}")

    until(f"{pod} answers", answers, 60)


def test_one_predictor_replica_hangs(system: System, figures: Figures) -> None:
    name = "one of several predictors hangs"
    with another_predictor() as pod, Traffic("production", RATE) as load:
        wait_answers(pod)
        load.wait_for(ENOUGH)
        before = load.phase(name)
        execute(MODELS, pod, ["sh", "-c", "kill -USR1 1"])
        load.wait_for(ENOUGH)
        during = load.phase("recovered")
        load.wait_for(ENOUGH)
        after = load.stop()
    for what, result in ((f"before: {name}", before), (name, during), (f"after: {name}", after)):
        figures.add_load("faults", what, result)
        assert not result.failed, result.failures
    assert after.latency_ms["p99"] < RECOVERED_MS, after.line()


@contextmanager
def slow_clients(figures: Figures) -> Iterator[None]:
    """Hold hundreds of connections to production's gateway that send a byte a second."""
    execute(traffic.NAMESPACE, traffic.POD, ["sh", "-c", "cat > /tmp/slow.py"], SLOW.read_text())
    options = ["--host", f"api-gateway.{NAMESPACES['production']}", "--connections", str(SLOW_CONNECTIONS)]
    command = ["python", "/tmp/slow.py", *options, "--seconds", str(SLOW_SECONDS)]
    inside = ["kubectl", "exec", "-n", traffic.NAMESPACE, traffic.POD, "--", *command]
    with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert json.loads(process.stdout.readline() or "{}") == {"connected": SLOW_CONNECTIONS}
            yield
            ended = json.loads(process.stdout.readline() or "{}")
        finally:
            process.kill()
    figures.add("faults", f"what became of {SLOW_CONNECTIONS} slow connections in {SLOW_SECONDS} s", str(ended))
    assert sum(ended.values()) == SLOW_CONNECTIONS
    assert not [each for each in ended if each.startswith("HTTP/1.1 2")], ended


def test_slow_clients(system: System, figures: Figures) -> None:
    def crawl() -> None:
        with slow_clients(figures):
            pass

    suffer(f"{SLOW_CONNECTIONS} slow clients", crawl, figures)


def test_staging_is_flooded_through_productions_gateway(system: System, figures: Figures) -> None:
    """Staging is sound here, and only has more mail than it can answer."""

    def flood() -> None:
        with Traffic("staging", 10, batch=500, max_requests=100, seed=3, timeout=60) as load:
            flooded = load.finish(120)
        figures.add("faults", "flood of a sound staging: 100 requests of 500 mails", f"{flooded.outcomes}")
        assert flooded.outcomes.keys() <= {"200", "503", "504"}, flooded.failures
        assert not flooded.without_retry_after

    suffer("staging is flooded through production's gateway", flood, figures)


def sound_stretch(load: Traffic) -> None:
    """Raise Pending unless the last of the load's requests have all been answered."""
    load.wait_for(RATE, any_outcome=True)
    # A phase is told from the one before by its name, so each needs a new one.
    found = load.phase(f"replaced, after {len(load.results)} phases")
    if found.failed:
        raise Pending(found.line())


def test_all_transformers_replaced_at_once(system: System, figures: Figures) -> None:
    """Other addresses are behind the name, for a while none: no answer may then be wrong, and all is well later."""
    namespace, deployment, app = TIERS["transformer"]
    name = "all transformer pods deleted at once"
    old = set(ready_pods(namespace, app))
    with Traffic("production", RATE) as load:
        load.wait_for(ENOUGH)
        before = load.phase(name)
        kubectl("delete", "pod", "-l", f"app={app}", "-n", namespace, "--wait=true")
        wait_rolled_out(namespace, deployment)
        gap = load.phase("replaced")
        until("the new addresses are known", lambda: sound_stretch(load), RECOVERY_SECONDS)
        load.wait_for(ENOUGH)
        after = load.stop()
    assert not old & set(ready_pods(namespace, app))
    for what, result in ((f"before: {name}", before), (name, gap), (f"after: {name}", after)):
        figures.add_load("faults", what, result)
    assert not before.failed and not after.failed, before.failures + after.failures
    assert gap.outcomes.keys() <= {"200", "503", "504"}, gap.failures
    assert not gap.without_retry_after


def restarts() -> dict[str, int]:
    """Return the restarts of each pod's containers, for all pods that a mail passes."""
    places = [(MODELS, f"isvc.{name}-predictor") for name in INFERENCE_SERVICES.values()]
    places += [(namespace, app) for namespace in NAMESPACES.values() for app in ("api-gateway", "feature-transformer")]
    return {
        pod["metadata"]["name"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))
        for namespace, app in places
        for pod in find("pods", namespace, f"app={app}")
    }


def test_hostile_mail(system: System, figures: Figures, client: Client) -> None:
    before = restarts()

    def post() -> None:
        for name, mail in hostile.MAILS.items():
            content = mail()
            started = time.monotonic()
            answer = client.post("/api/v1/predict", {"email_content": content}, "production")
            seconds = time.monotonic() - started
            figures.add("faults", f"hostile mail, {name}", f"{answer.status}, {seconds:.2f} s")
            assert answer.status in (200, 413, 422), f"{name}: {answer}"
            assert seconds < DEADLINE_SECONDS + SPARE_SECONDS, name

    suffer("hostile mail", post, figures)
    now = restarts()
    assert {pod: count for pod, count in now.items() if count != before.get(pod, 0)} == {}
