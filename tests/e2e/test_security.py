"""Scenario: pods may do what they need, and no more."""

import json
import subprocess

import pytest
import traffic
from cluster import Object, apply, execute, find, kubectl, ready_pods, wait_ready
from conftest import System
from settings import INFERENCE_SERVICES, MODELS, MONITORING, NAMESPACES
from traffic import NAMESPACE, POD

pytestmark = pytest.mark.usefixtures("settled")

PREDICTORS = [(MODELS, f"isvc.{name}-predictor") for name in INFERENCE_SERVICES.values()]
SERVING = [(namespace, app) for namespace in NAMESPACES.values() for app in ("api-gateway", "feature-transformer")]
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
STRANGERS = (
    ("feature-transformer.serving", 8080),
    ("feature-transformer.serving-staging", 8080),
    ("spam-detector-predictor.kserve", 80),
    ("spam-detector-staging-predictor.kserve", 80),
)
"""Addresses that only the hop before may connect to."""


@pytest.mark.parametrize("namespace", NAMESPACES.values())
def test_namespace_enforces_restricted(system: System, namespace: str) -> None:
    labels = json.loads(kubectl("get", "namespace", namespace, "-o", "json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    root = traffic.pod(system.images["gateway"], "root", namespace)
    root["spec"]["securityContext"] = {"runAsUser": 0}
    done = subprocess.run(
        ["kubectl", "create", "--dry-run=server", "-f", "-"], input=json.dumps(root), capture_output=True, text=True
    )
    assert done.returncode != 0 and "violates PodSecurity" in done.stderr, done.stderr


@pytest.mark.parametrize("namespace", [MODELS, MONITORING])
def test_our_pods_elsewhere_keep_to_it_too(system: System, namespace: str) -> None:
    """The admission controller says which pods would be refused there; none of ours may be among them."""
    command = ["kubectl", "label", "--dry-run=server", "--overwrite", "namespace", namespace]
    done = subprocess.run([*command, "pod-security.kubernetes.io/enforce=restricted"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = [pod["metadata"]["name"] for pod in find("pods", namespace, "app.kubernetes.io/part-of=model-serving")]
    assert ours or namespace == MONITORING
    assert not [name for name in ours if name in done.stderr], done.stderr


@pytest.mark.parametrize(("namespace", "app"), [*SERVING, *PREDICTORS])
def test_no_service_account_token(system: System, namespace: str, app: str) -> None:
    for name in ready_pods(namespace, app):
        found = execute(namespace, name, ["sh", "-c", "ls /var/run/secrets 2>/dev/null || true"])
        assert not found.strip(), f"{name}: {found}"


@pytest.mark.parametrize(("namespace", "app"), [*SERVING, *PREDICTORS])
def test_root_file_system_is_read_only(system: System, namespace: str, app: str) -> None:
    for name in ready_pods(namespace, app):
        said = execute(namespace, name, ["sh", "-c", "touch /opt/x 2>&1 || true; id -u"]).split("\n")
        assert "Read-only file system" in said[0], said
        assert said[1] == "65532"


@pytest.fixture(scope="module")
def enforced(system: System) -> None:
    """Skip if the cluster accepts NetworkPolicies without enforcing them."""
    names = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    spec = {"podSelector": {"matchLabels": {"app": "shut"}}, "policyTypes": ["Egress"], "egress": []}
    apply({**names, "metadata": {"name": "shut", "namespace": NAMESPACE}, "spec": spec})
    apply(traffic.pod(system.images["gateway"], "shut", app="shut"))
    wait_ready(NAMESPACE, "shut")
    if connects("shut", "api-gateway.serving", 8080):
        pytest.skip("this cluster does not enforce NetworkPolicies")


def connects(pod: str, host: str, port: int) -> bool:
    """Return whether a pod of the suite gets a connection."""
    command = ["kubectl", "exec", "-n", NAMESPACE, pod, "--", "python", "-c", CONNECT, host, str(port)]
    return subprocess.run(command, capture_output=True).returncode == 0


def policies() -> list[Object]:
    """Return the NetworkPolicies of the chart."""
    places = (*NAMESPACES.values(), MODELS, MONITORING)
    return [each for namespace in places for each in find("networkpolicies", namespace)]


def test_every_tier_has_a_policy(system: System) -> None:
    apps = [each["spec"]["podSelector"]["matchLabels"]["app"] for each in policies()]
    assert {"api-gateway", "feature-transformer", "drift-detector"} <= set(apps)
    assert {app for _, app in PREDICTORS} <= set(apps)


@pytest.mark.usefixtures("enforced")
@pytest.mark.parametrize(("host", "port"), STRANGERS)
def test_stranger_is_refused(system: System, host: str, port: int) -> None:
    assert connects(POD, "api-gateway.serving", 8080)
    assert not connects(POD, host, port)
