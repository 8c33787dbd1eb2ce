"""Tests of settings: manifests and services agree about variables, ports and times."""

import ast
import json
import subprocess
from pathlib import Path

import pytest

from chart.manifests import CASES, CHART, LIBRARIES, SERVICES, Case, Object, each_case, none_of
from chart.pods import Pod, pods
from chart.settings import SERVICE, fields, settings_fields

S3 = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL_S3"}
TRACING = {
    *settings_fields(ast.parse((LIBRARIES / "runtime/src/runtime/tracing/settings.py").read_text())),
    "OTEL_RESOURCE_ATTRIBUTES",
}
# Variables that libraries read, and the command line of a job.
BESIDE = {
    "api-gateway": TRACING,
    "feature-transformer": S3 | TRACING,
    "spam-detector": TRACING,
    "drift-detector": S3 | {"HOME", "NUMBA_CACHE_DIR"},
    "baseline-generator": S3 | {"HOME", "NUMBA_CACHE_DIR", "PERIOD_START", "PERIOD_END"},
}
# Variables that the chart neither sets nor lets be set, because their names and places are fixed.
FIXED = {
    "api-gateway": {"MODEL_NAME"},
    "feature-transformer": {"MODEL_NAME"},
    "baseline-generator": {"CORPUS_DIR"},
}
READ = """
import json, os, sys
from importlib.util import find_spec
from {service}.settings import {name}Settings as Settings
if find_spec("opentelemetry"):
    from runtime import tracing
for variables in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(variables)
    Settings()
    if find_spec("opentelemetry"):
        assert tracing.TracingSettings().on == ("OTEL_EXPORTER_OTLP_ENDPOINT" in variables)
"""

each_service = pytest.mark.parametrize("app", [app for app in SERVICE if app != "baseline-generator"])


@each_case
def test_every_variable_is_one_that_the_service_reads(case: Case) -> None:
    for pod in pods(case):
        unread = set(pod.variables) - set(fields(pod.app)) - BESIDE.get(pod.app, set())
        assert not unread, f"{pod} reads no {unread}"


@each_case
def test_every_required_variable_is_set(case: Case) -> None:
    for pod in pods(case):
        required = {name for name, field in fields(pod.app).items() if field.required}
        assert required <= {name for name, value in pod.variables.items() if value}, pod


def schema(app: str) -> Object:
    found: Object = json.loads((CHART / "charts" / SERVICE[app] / "values.schema.json").read_text())["properties"]
    return found


@each_service
def test_values_offer_every_setting_that_the_service_has(app: str) -> None:
    """No setting that a person may want requires a change of the chart."""
    offered = set(schema(app)["settings"]["properties"])
    assert offered <= set(fields(app))
    given = [set(pod.variables) for case in CASES for pod in pods(case) if pod.app == app]
    assert set(fields(app)) == (set.union(*given) | offered | FIXED.get(app, set())) & set(fields(app))


@each_case
def test_arguments_name_variables_that_are_set(case: Case) -> None:
    """Kubernetes leaves `$(NAME)` unchanged if there is no such variable."""
    for pod in pods(case):
        if pod.app != "smoke":
            named = [text[2:-1] for text in pod.container.get("args", []) if text.startswith("$(")]
            assert set(named) <= set(pod.variables), pod


@each_service
def test_services_take_what_the_manifests_set(app: str) -> None:
    """Each service's own class reads the settings: what it refuses would be a pod that never starts."""
    python = SERVICES / SERVICE[app] / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs the environment of services/{SERVICE[app]}: run `make test`")
    given = [pod.variables for case in CASES for pod in pods(case) if pod.app == app]
    assert given
    command = [str(python), "-c", READ.format(service=SERVICE[app], name=SERVICE[app].title())]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@each_case
def test_servers_listen_where_they_are_looked_for(case: Case) -> None:
    for pod in (pod for pod in pods(case) if pod.is_server):
        (port,) = pod.container["ports"]
        (told,) = [value for name, value in pod.variables.items() if name in ("PORT", "HTTP_PORT")]
        assert int(told) == port["containerPort"] == 8080, pod
        assert port["protocol"] == "TCP"
        (host,) = [value for name, value in pod.variables.items() if name in ("HOST", "HTTP_HOST")]
        assert host == "0.0.0.0", f"by its default only the pod itself could ask {pod}"


def seconds(case: Case, app: str, *names: str) -> float:
    """Return the sum of settings, with the service's defaults where the manifests set nothing."""
    (pod,) = [pod for pod in pods(case) if pod.app == app]
    return sum(float(pod.variables.get(name, fields(app)[name].default)) for name in names)


@each_case
def test_pods_have_time_to_end(case: Case) -> None:
    """The grace period covers the time in which requests still come, the longest request, and the last writes."""
    request = seconds(case, "feature-transformer", "PREDICTOR_TIMEOUT_SECONDS")
    needed = {
        "api-gateway": seconds(case, "api-gateway", "DRAIN_SECONDS") + seconds(case, "api-gateway", "SHUTDOWN_SECONDS"),
        "feature-transformer": request + seconds(case, "feature-transformer", "INFERENCE_LOG_CLOSE_SECONDS"),
        "spam-detector": request,
    }
    none_of(hurried(pod, needed[pod.app]) for pod in pods(case) if pod.is_server and hurried(pod, needed[pod.app]))
    # A request that was accepted is answered, if only with 504.
    assert seconds(case, "api-gateway", "DEADLINE_SECONDS") < seconds(case, "api-gateway", "SHUTDOWN_SECONDS")


def hurried(pod: Pod, needed: float) -> str:
    asked = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod.spec["terminationGracePeriodSeconds"]
    # Clients forget addresses within some seconds.
    return "" if asked >= 5 and grace > asked + needed else f"{pod}: {grace} s for {asked} s and {needed} s"


@each_case
def test_gateways_know_every_environment(case: Case) -> None:
    (pod,) = [pod for pod in pods(case) if pod.app == "api-gateway"]
    routes = json.loads(pod.variables["ENVIRONMENTS"])
    assert set(routes) == set(case.value("global", "environments"))
    own = f"http://feature-transformer-replicas.{case.namespaces['serving']}"
    assert routes[case.environment].startswith(own)
    assert pod.variables["DEFAULT_ENVIRONMENT"] == "staging"


def schemas() -> list[Path]:
    return sorted(CHART.glob("**/values.schema.json"))


@pytest.mark.parametrize("path", schemas(), ids=lambda path: path.parent.name)
def test_schemas_name_the_keys_that_they_know(path: Path) -> None:
    """Helm says with `additionalProperties` alone only that a key is wrong, and not which are right."""
    assert len(schemas()) == 5
    none_of(unnamed(json.loads(path.read_text()), "values"))


def unnamed(found: Object, place: str) -> list[str]:
    faults = []
    known = found.get("properties")
    if known is not None and found.get("additionalProperties") is False:
        named = found.get("propertyNames", {}).get("enum", [])
        faults += [f"{place}: {set(named) ^ set(known)}"] if sorted(named) != sorted(known) else []
    elif known is not None:
        faults.append(f"{place} takes any key")
    for name, inner in (known or {}).items():
        faults += unnamed(inner, f"{place}.{name}")
    return faults + (unnamed(found["items"], f"{place}[]") if isinstance(found.get("items"), dict) else [])
