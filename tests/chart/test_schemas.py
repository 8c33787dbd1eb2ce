"""Tests of every object against the API server's schemas, with the cluster's Kubernetes and the operators' CRDs."""

import json
import subprocess
from pathlib import Path

import pytest

from chart.manifests import CASES, ROOT, Case, Object, each_case, rendered, text, tool
from chart.schemas import LOCATION, folder


@pytest.fixture(scope="session")
def schemas() -> Path:
    return folder()


def kubeconform(schemas: Path, *files: Path, manifests: str = "") -> Object:
    """Return the findings of kubeconform; every kind must have a schema."""
    command = [tool("kubeconform"), "-strict", "-summary", "-output", "json"]
    command += ["-schema-location", str(schemas / LOCATION), *map(str, files)]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
    found: Object = json.loads(done.stdout)
    return found


def check(found: Object, count: int) -> None:
    assert found["resources"] == [], json.dumps(found["resources"], indent=2)
    assert found["summary"] == {"valid": count, "invalid": 0, "errors": 0, "skipped": 0}


@each_case
def test_the_api_server_takes_every_object(schemas: Path, case: Case) -> None:
    check(kubeconform(schemas, manifests=text(case)), len(rendered(case)))


def test_argo_cd_takes_its_own(schemas: Path) -> None:
    check(kubeconform(schemas, *sorted((ROOT / "argocd").glob("*.yaml"))), 4)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("Deployment", "revisionHistoryLimit:", "revisionHistoryLimits:"),
        ("Deployment", "containerPort: 8080", "containerPort: http"),
        ("ServiceMonitor", "interval:", "intervall:"),
        ("PodMonitor", "portNumber: 8080", "portNumber: http"),
        ("PrometheusRule", "expr:", "expression:"),
        ("InferenceService", "scaleTarget:", "scaleTargets:"),
        ("InferenceService", "automountServiceAccountToken: false", "automountServiceAccountToken: 0"),
        ("ServingRuntime", "protocolVersions:", "protocols:"),
    ],
)
def test_what_is_wrong_is_seen(schemas: Path, kind: str, right: str, wrong: str) -> None:
    """Schemas made here might accept everything, so wrong objects are tried too."""
    case = CASES[0]
    parts = [part for part in text(case).split("\n---\n") if f"\nkind: {kind}\n" in f"\n{part}"]
    assert right in parts[0]
    found = kubeconform(schemas, manifests=parts[0].replace(right, wrong))
    assert [each["kind"] for each in found["resources"]] == [kind]
    assert found["resources"][0]["status"] == "statusInvalid"
