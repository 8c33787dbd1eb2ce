"""Cluster seen through kubectl, as a person would look at it."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from waiting import Pending, until

Object = dict[str, Any]

COMMAND_SECONDS = 120


def kubectl(*arguments: str, text: str | None = None, seconds: float = COMMAND_SECONDS) -> str:
    """Run kubectl and return its standard output.

    Raises:
        AssertionError: If the command fails; the message has its output.
    """
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}"
    return done.stdout


def get(kind: str, name: str, namespace: str) -> Object:
    """Return one object.

    Raises:
        Pending: If there is none of that name.
    """
    said = kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    if not said:
        raise Pending(f"no {kind} {name} in {namespace}")
    found: Object = json.loads(said)
    return found


def find(kind: str, namespace: str, selector: str = "") -> list[Object]:
    """Return the objects of a kind in a namespace."""
    options = ["-l", selector] if selector else []
    found: list[Object] = json.loads(kubectl("get", kind, "-n", namespace, *options, "-o", "json"))["items"]
    return found


def apply(*objects: Object) -> None:
    """Apply objects, as whoever prepares a cluster does."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    kubectl("apply", "--server-side", "-f", "-", text=json.dumps(items))


def is_ready(pod: Object) -> bool:
    """Return whether a pod is ready and not terminating."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def ready_pods(namespace: str, app: str) -> list[str]:
    """Return the names of the ready pods of an app."""
    return [pod["metadata"]["name"] for pod in find("pods", namespace, f"app={app}") if is_ready(pod)]


def wait_ready(namespace: str, app: str, seconds: float = 120) -> list[str]:
    """Wait until an app has at least one pod, all are ready and none is terminating; return their names."""

    def ready() -> list[str]:
        pods = find("pods", namespace, f"app={app}")
        if not pods or not all(is_ready(pod) for pod in pods):
            raise Pending(", ".join(f"{p['metadata']['name']} {'ready' if is_ready(p) else 'not ready'}" for p in pods))
        return [pod["metadata"]["name"] for pod in pods]

    return until(f"pods of {app} in {namespace} are ready", ready, seconds)


def wait_rolled_out(namespace: str, deployment: str, seconds: float = 180) -> None:
    """Wait until a Deployment has all its new pods, and none of its old ones is left or terminating."""
    kubectl(
        "rollout",
        "status",
        f"deployment/{deployment}",
        "-n",
        namespace,
        f"--timeout={seconds:.0f}s",
        seconds=seconds + 10,
    )
    selector = get("deployment", deployment, namespace)["spec"]["selector"]["matchLabels"]
    labels = ",".join(f"{name}={value}" for name, value in selector.items())

    def alone() -> None:
        leaving = [
            p["metadata"]["name"] for p in find("pods", namespace, labels) if "deletionTimestamp" in p["metadata"]
        ]
        if leaving:
            raise Pending(f"{', '.join(leaving)} still there")

    until(f"old pods of {deployment} in {namespace} are gone", alone, seconds)


@contextmanager
def scaled_down(namespace: str, deployment: str) -> Iterator[None]:
    """Remove all pods of a Deployment until the context ends; its autoscaler leaves zero replicas alone."""
    kubectl("scale", f"deployment/{deployment}", "-n", namespace, "--replicas=0")
    try:
        yield
    finally:
        kubectl("scale", f"deployment/{deployment}", "-n", namespace, "--replicas=1")
        wait_rolled_out(namespace, deployment)


def scrape(namespace: str, pod: str) -> str:
    """Return a pod's /metrics, through the API server."""
    return kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics")


def series(namespace: str, pod: str) -> dict[str, float]:
    """Return the series of a pod's /metrics, by name and labels as written there."""
    lines = [line.rpartition(" ") for line in scrape(namespace, pod).splitlines() if line and line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def said_by(namespace: str, pod: str) -> str:
    """Return the end of a pod's log; empty while it has none."""
    done = subprocess.run(["kubectl", "logs", "-n", namespace, pod, "--tail=50"], capture_output=True, text=True)
    return done.stdout


def execute(namespace: str, pod: str, command: Sequence[str], text: str | None = None) -> str:
    """Run a command inside a pod and return its standard output."""
    return kubectl("exec", "-i", "-n", namespace, pod, "--", *command, text=text)
