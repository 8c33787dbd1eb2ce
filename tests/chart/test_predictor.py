"""Tests of the predictor: KServe fills in nothing, so that Git and cluster agree; only the pinned model is opened."""

import re

from chart.manifests import Case, Object, each_case, each_environment, key, named, of_kind
from chart.pods import pods

EXPLICIT = {
    "automountServiceAccountToken",
    "deploymentStrategy",
    "enableServiceLinks",
    "maxReplicas",
    "minReplicas",
    "model",
    "scaleMetric",
    "scaleTarget",
    "securityContext",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
}
MODEL = {"env", "image", "modelFormat", "ports", "protocolVersion", "resources", "runtime", "storageUri"}


def service(case: Case) -> Object:
    (found,) = of_kind(case, "InferenceService")
    return found


@each_case
def test_everything_is_said(case: Case) -> None:
    predictor = service(case)["spec"]["predictor"]
    assert set(predictor) - {"imagePullSecrets"} == EXPLICIT
    # `name` is left out because KServe's webhook wants it empty or its own.
    assert set(predictor["model"]) == MODEL
    assert predictor["model"]["protocolVersion"] == "v2"
    assert predictor["model"]["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]


@each_case
def test_the_mode_is_the_one_that_kserve_does_not_rewrite(case: Case) -> None:
    annotations = service(case)["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    assert annotations["serving.kserve.io/autoscalerClass"] == "hpa"
    assert service(case)["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"


@each_case
def test_what_changes_with_a_release_of_the_chart_is_not_on_it(case: Case) -> None:
    """Its labels and annotations reach the pods, so each change would roll them."""
    metadata = service(case)["metadata"]
    told = {**metadata["labels"], **metadata["annotations"]}
    assert not [name for name in told if "helm.sh" in name or "checksum" in name or "version" in name.lower()]
    assert "app.kubernetes.io/managed-by" not in told, "it is Helm or Argo CD by turns"


@each_case
def test_its_runtime_is_its_own(case: Case) -> None:
    model = service(case)["spec"]["predictor"]["model"]
    runtime = named(case, "ServingRuntime", model["runtime"])
    assert key(runtime).namespace == key(service(case)).namespace
    (supported,) = runtime["spec"]["supportedModelFormats"]
    assert (supported["name"], supported["version"]) == (model["modelFormat"]["name"], model["modelFormat"]["version"])
    assert supported["autoSelect"] is False, "other people's models would get it too"
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert runtime["spec"]["containers"][0]["image"] == model["image"]


@each_environment
def test_it_opens_the_pinned_model_alone(case: Case) -> None:
    (pod,) = [pod for pod in pods(case) if pod.app == "spam-detector"]
    pinned = case.values["global"]["model"]
    assert service(case)["spec"]["predictor"]["model"]["storageUri"] == pinned["uri"]
    assert pod.variables["MODEL_SHA256"] == pinned["sha256"]
    assert pod.variables["MODEL_DIR"] == "/mnt/models", "where KServe's storage initializer puts it"


@each_environment
def test_drift_is_measured_for_the_pinned_model(case: Case) -> None:
    found = {pod.app: pod.variables for pod in pods(case)}
    pinned = case.values["global"]["model"]
    assert found["drift-detector"]["MODEL_SHA256"] == pinned["sha256"]
    assert found["drift-detector"]["BASELINE_URI"].startswith(pinned["uri"] + "/")
    assert found["baseline-generator"]["MODEL_URI"] == pinned["uri"]
    assert found["baseline-generator"]["MODEL_SHA256"] == pinned["sha256"]
    assert found["smoke"]["MODEL_SHA256"] == pinned["sha256"]
    assert found["smoke"]["MODEL_VERSION"] == pinned["uri"].rpartition("/")[2]


@each_case
def test_credentials_come_by_its_service_account(case: Case) -> None:
    """KServe's storage initializer takes credentials from the service account."""
    account = named(case, "ServiceAccount", service(case)["spec"]["predictor"]["serviceAccountName"])
    (secret,) = account["secrets"]
    for pod in pods(case):
        for name, value in pod.variables.items():
            if name == "AWS_ACCESS_KEY_ID":
                assert re.search(rf"'name': '{secret['name']}'", value), pod


@each_case
def test_all_of_one_release_read_and_write_one_log(case: Case) -> None:
    found = {pod.app: pod.variables.get("INFERENCE_LOG_URI") for pod in pods(case)}
    logs = {app: uri for app, uri in found.items() if uri}
    assert len(set(logs.values())) == ("feature-transformer" in logs)
    assert ("feature-transformer" in logs) == bool(case.value("global", "inferenceLog", "uri"))
