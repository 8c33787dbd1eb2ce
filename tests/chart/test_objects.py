"""Tests of the objects: each is in its place, has its agreed name, finds what it selects, and comes in its turn."""

from collections import Counter
from collections.abc import Iterator

import pytest
import yaml

from chart.manifests import (
    CASES,
    ENVIRONMENTS,
    ROOT,
    Case,
    Object,
    each_case,
    each_environment,
    key,
    named,
    none_of,
    of_kind,
    rendered,
)
from chart.pods import Pod, pods

KUBERNETES = "app.kubernetes.io"
STANDARD = {"app", *(f"{KUBERNETES}/{name}" for name in ("name", "component", "instance", "managed-by", "part-of"))}
# KServe sets these labels on the pods of an InferenceService itself, or they may change, which would roll the pods.
NOT_OF_PREDICTORS = {"app", f"{KUBERNETES}/instance", f"{KUBERNETES}/managed-by"}
PLACES = {
    "gateway": "serving",
    "transformer": "serving",
    "predictor": "models",
    "drift": "monitoring",
}
# Places of the umbrella chart's own objects, by app.kubernetes.io/name.
OWN_PLACES = {
    "api-gateway": "serving",
    "feature-transformer": "serving",
    "smoke": "serving",
    "spam-detector": "models",
    "drift-detector": "monitoring",
    "baseline-generator": "monitoring",
    "model-serving-dashboards": "monitoring",
    "model-serving-rules": "monitoring",
}
WAVE = "argocd.argoproj.io/sync-wave"
FIRST = {"ConfigMap", "NetworkPolicy", "PrometheusRule", "ServiceAccount", "ServingRuntime"}


def names(kind: str, namespace: str, environments: list[Case] = ENVIRONMENTS) -> set[str]:
    """Return the names of our objects that `kubectl get KIND -n NAMESPACE` shows, with all environments installed."""
    keys = {key(found) for case in environments for found in of_kind(case, kind)}
    return {each.name for each in keys if each.namespace == namespace}


def logging(labels: dict[str, str], namespace: str) -> set[str]:
    """Return the owners of the pods whose logs `kubectl logs -l LABELS -n NAMESPACE` shows."""
    found = [pod for case in ENVIRONMENTS for pod in pods(case) if pod.namespace == namespace]
    return {pod.owner.name for pod in found if pod.selected_by(labels)}


def labels_of(found: Object) -> dict[str, str]:
    labels: dict[str, str] = found["metadata"].get("labels", {})
    return labels


@pytest.mark.parametrize(("namespace", "count"), [("serving", 1), ("serving-staging", 1)])
def test_the_documented_commands_for_serving_work(namespace: str, count: int) -> None:
    assert {"api-gateway", "feature-transformer"} <= names("Service", namespace)
    assert names("HorizontalPodAutoscaler", namespace) == {"api-gateway", "feature-transformer"}
    assert {pod.app for case in ENVIRONMENTS for pod in pods(case) if pod.namespace == namespace} == {
        "api-gateway",
        "feature-transformer",
        "smoke",
    }
    assert len(logging({"app": "api-gateway"}, namespace)) == count


def test_the_gateway_can_be_forwarded_to() -> None:
    """`kubectl port-forward svc/api-gateway -n serving 8080:8080` needs a port that is also a pod's."""
    (production,) = [case for case in ENVIRONMENTS if case.environment == "production"]
    (port,) = named(production, "Service", "api-gateway")["spec"]["ports"]
    (pod,) = [pod for pod in pods(production) if pod.app == "api-gateway"]
    assert port["port"] == 8080
    assert port["targetPort"] in {found["name"] for found in pod.container["ports"]}


def test_the_documented_commands_for_models_and_drift_work() -> None:
    assert names("InferenceService", "kserve") == {"spam-detector", "spam-detector-staging"}
    detectors = {"drift-detector", "drift-detector-staging"}
    assert logging({"app": "drift-detector"}, "monitoring") == detectors
    assert names("CronJob", "monitoring") == detectors | {"baseline-generator", "baseline-generator-staging"}
    assert logging({"app": "drift-detector", "environment": "staging"}, "monitoring") == {"drift-detector-staging"}


@each_case
def test_every_object_is_in_its_namespace(case: Case) -> None:
    none_of(misplaced(case))
    assert {key(found).namespace for found in rendered(case)} <= set(case.namespaces.values())


def misplaced(case: Case) -> Iterator[str]:
    for found in rendered(case):
        labels = labels_of(found)
        name, component = labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"]
        place = PLACES.get(component) or OWN_PLACES[name.removesuffix(case.suffix).removesuffix("-replicas")]
        if key(found).namespace != case.namespaces[place]:
            yield f"{key(found)} is not in {case.namespaces[place]}"


@each_case
def test_every_object_has_the_standard_labels(case: Case) -> None:
    none_of(unlabelled(case))


def unlabelled(case: Case) -> Iterator[str]:
    for found in rendered(case):
        labels = labels_of(found)
        wanted = STANDARD - NOT_OF_PREDICTORS if found["kind"] == "InferenceService" else STANDARD
        if missing := wanted - set(labels):
            yield f"{key(found)} has no {missing}"
        if labels.get("environment") != case.environment or labels.get("app.kubernetes.io/part-of") != "model-serving":
            yield f"{key(found)} does not say whose it is"
        if any(name.startswith("helm.sh/") for name in labels):
            yield f"{key(found)} changes with every release of the chart"


@each_case
def test_pods_have_their_owners_labels(case: Case) -> None:
    """Other labels would hide the pods from a search for their object, and costs and logs could not be told apart."""
    for pod in pods(case):
        labels = labels_of(named(case, pod.owner.kind, pod.owner.name))
        assert labels.items() <= pod.labels.items(), pod


def test_no_two_environments_share_an_object() -> None:
    counts = Counter(key(found) for case in ENVIRONMENTS for found in rendered(case))
    # KServe makes objects of these names, and would take over or remove ours.
    for service in (found for case in ENVIRONMENTS for found in of_kind(case, "InferenceService")):
        name, namespace = f"{service['metadata']['name']}-predictor", service["metadata"]["namespace"]
        counts.update(
            key({"kind": kind, "metadata": {"namespace": namespace, "name": name}})
            for kind in ("Deployment", "Service", "HorizontalPodAutoscaler")
        )
    none_of(f"{found} is rendered {count} times" for found, count in counts.items() if count > 1)


@each_case
def test_no_object_is_rendered_twice(case: Case) -> None:
    counts = Counter(key(found) for found in rendered(case))
    none_of(f"{found}: {count} times" for found, count in counts.items() if count > 1)


@each_case
def test_nothing_has_labels_by_which_kserve_takes_it_for_its_own(case: Case) -> None:
    for found in rendered(case):
        assert "serving.kserve.io/inferenceservice" not in labels_of(found), key(found)


def selectors(case: Case) -> Iterator[tuple[Object, dict[str, str]]]:
    """Yield objects that choose pods of their own namespace, and the labels by which they choose."""
    for found in of_kind(case, "Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service", "PodMonitor"):
        spec = found["spec"]
        chosen = spec.get("podSelector") or spec["selector"]
        yield found, chosen if found["kind"] == "Service" else chosen["matchLabels"]


@each_case
def test_selectors_find_the_pods_of_one_app(case: Case) -> None:
    for found, labels in selectors(case):
        chosen = [pod for pod in pods(case) if pod.namespace == key(found).namespace and pod.selected_by(labels)]
        assert len({pod.app for pod in chosen}) == 1, f"{key(found)} selects {[str(pod) for pod in chosen]}"
        if found["kind"] == "Deployment":
            assert [pod.owner for pod in chosen] == [key(found)]


def test_selectors_find_no_pod_of_another_environment() -> None:
    """The namespaces are those that environments share."""
    every = [(case, pod) for case in ENVIRONMENTS for pod in pods(case)]
    for case in ENVIRONMENTS:
        for found, labels in selectors(case):
            there = [(other, pod) for other, pod in every if pod.namespace == key(found).namespace]
            assert {other.name for other, pod in there if pod.selected_by(labels)} == {case.name}, key(found)


@each_case
def test_services_lead_to_ports_that_containers_have(case: Case) -> None:
    for service in of_kind(case, "Service"):
        (pod,) = [pod for pod in servers(case, service) if pod.selected_by(service["spec"]["selector"])]
        (port,) = service["spec"]["ports"]
        open_ports = {found["name"]: found["containerPort"] for found in pod.container["ports"]}
        target = open_ports.get(port["targetPort"], port["targetPort"])
        assert target in open_ports.values(), key(service)
        # A headless Service gives out addresses of pods, so its clients use the pods' own port.
        assert service["spec"].get("clusterIP") != "None" or target == port["port"], key(service)


def servers(case: Case, found: Object) -> list[Pod]:
    return [pod for pod in pods(case) if pod.is_server and pod.namespace == key(found).namespace]


@each_case
def test_monitors_find_ports_with_metrics(case: Case) -> None:
    for monitor in of_kind(case, "ServiceMonitor"):
        labels, namespace = monitor["spec"]["selector"]["matchLabels"], key(monitor).namespace
        found = [each for each in of_kind(case, "Service") if labels.items() <= labels_of(each).items()]
        assert [key(each).namespace for each in found] == [namespace], f"{key(monitor)} has one target"
        ports = {port["name"] for port in found[0]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports, key(monitor)
    for monitor in of_kind(case, "PodMonitor"):
        (pod,) = [p for p in servers(case, monitor) if p.selected_by(monitor["spec"]["selector"]["matchLabels"])]
        ports = {port["containerPort"] for port in pod.container["ports"]}
        assert {endpoint["portNumber"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports


@each_case
def test_every_server_is_monitored_and_outlives_the_draining_of_its_node(case: Case) -> None:
    servers = len([pod for pod in pods(case) if pod.is_server])
    monitored = servers if case.value("global", "monitors", "enabled") else 0
    assert len(of_kind(case, "ServiceMonitor", "PodMonitor")) == monitored
    assert len(of_kind(case, "PodDisruptionBudget")) == servers
    for budget in of_kind(case, "PodDisruptionBudget"):
        # With minAvailable and one replica, the node could never be drained.
        assert budget["spec"].get("maxUnavailable") == 1, key(budget)
        assert "minAvailable" not in budget["spec"]


def wave(found: Object) -> int:
    return int(found["metadata"]["annotations"][WAVE])


@each_case
def test_configuration_comes_first_and_smoke_last(case: Case) -> None:
    for found in rendered(case):
        headless = found["kind"] == "Service" and "spam-detector" in key(found).name
        assert (wave(found) < 0) == (found["kind"] in FIRST or headless), key(found)
    for hook in of_kind(case, "Job"):
        annotations = hook["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/hook"] == "PostSync"
        # Its name is always the same, so the previous one must be deleted first.
        assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"


@each_case
def test_who_is_asked_comes_before_who_asks(case: Case) -> None:
    waves = {pod.app: wave(named(case, pod.owner.kind, pod.owner.name)) for pod in pods(case)}
    assert -1 < waves["spam-detector"] < waves["feature-transformer"] <= waves["api-gateway"]
    if case.value("drift", "enabled"):
        assert waves["api-gateway"] < waves["drift-detector"] == waves["baseline-generator"]


@each_case
def test_disruption_budgets_come_after_their_pods(case: Case) -> None:
    """Argo CD calls budgets without pods degraded, and the sync that would bring the pods would fail."""
    waves = {pod.app: wave(named(case, pod.owner.kind, pod.owner.name)) for pod in pods(case)}
    for budget in of_kind(case, "PodDisruptionBudget"):
        app = "spam-detector" if key(budget).name.startswith("spam-detector") else key(budget).name
        assert wave(budget) > waves[app], key(budget)


@each_environment
def test_argo_cd_may_apply_every_object(case: Case) -> None:
    project = yaml.safe_load((ROOT / "argocd" / "2-project.yaml").read_text())["spec"]
    kinds = {(each["group"], each["kind"]) for each in project["namespaceResourceWhitelist"]}
    places = {each["namespace"] for each in project["destinations"]}
    for found in rendered(case):
        # Argo CD does not know `helm test`.
        if found["metadata"]["annotations"].get("helm.sh/hook") != "test":
            group = found["apiVersion"].rpartition("/")[0]
            assert (group, found["kind"]) in kinds, f"{key(found)} is of no kind in argocd/2-project.yaml"
            assert key(found).namespace in places, f"{key(found)} is in no namespace in argocd/2-project.yaml"


def test_argo_cd_may_apply_nothing_else() -> None:
    """Its kinds are those that values can bring, and its places those that environments have."""
    project = yaml.safe_load((ROOT / "argocd" / "2-project.yaml").read_text())["spec"]
    objects = [found for case in ENVIRONMENTS for found in rendered(case) if found["kind"] != "Pod"]
    kinds = {found["kind"] for case in CASES for found in rendered(case) if found["kind"] != "Pod"}
    assert {each["kind"] for each in project["namespaceResourceWhitelist"]} == kinds
    assert {each["namespace"] for each in project["destinations"]} == {key(found).namespace for found in objects}
    assert project["clusterResourceWhitelist"] == []


def test_each_environments_folder_is_read_as_what_it_says() -> None:
    """The ApplicationSet names an Application after config.yaml and takes values from the folder."""
    for case in ENVIRONMENTS:
        config = yaml.safe_load((case.files[0].parent / "config.yaml").read_text())
        assert config["name"] == case.name == case.environment
        assert config["namespace"] == case.namespaces["serving"]
