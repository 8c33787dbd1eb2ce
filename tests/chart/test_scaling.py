"""Tests of scaling: autoscalers own the replicas within the agreed limits, and the drift job runs once an hour."""

import re

from chart.manifests import Case, Key, Object, each_case, each_environment, key, named, of_kind

CPU = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]
BOUNDS = {
    "production": {"api-gateway": (2, 10), "feature-transformer": (2, 10), "spam-detector": (2, 10)},
    "staging": {"api-gateway": (1, 3), "feature-transformer": (1, 3), "spam-detector-staging": (1, 3)},
}


@each_environment
def test_bounds_are_as_agreed(case: Case) -> None:
    found = {key(each).name: each["spec"] for each in of_kind(case, "HorizontalPodAutoscaler")}
    found |= {key(each).name: each["spec"]["predictor"] for each in of_kind(case, "InferenceService")}
    assert {name: (spec["minReplicas"], spec["maxReplicas"]) for name, spec in found.items()} == BOUNDS[case.name]


@each_case
def test_cpu_at_70_percent_is_what_is_aimed_at(case: Case) -> None:
    for found in of_kind(case, "HorizontalPodAutoscaler"):
        assert found["apiVersion"] == "autoscaling/v2"
        assert found["spec"]["metrics"] == CPU, key(found)
    for found in of_kind(case, "InferenceService"):
        predictor = found["spec"]["predictor"]
        assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("cpu", 70)
        # KServe would ignore both.
        assert "autoScaling" not in predictor


@each_case
def test_every_deployment_has_an_autoscaler_and_no_replicas_beside_it(case: Case) -> None:
    scaled = sorted(target(found) for found in of_kind(case, "HorizontalPodAutoscaler"))
    assert scaled == sorted(key(found) for found in of_kind(case, "Deployment"))
    for found in of_kind(case, "Deployment"):
        assert "replicas" not in found["spec"], f"{key(found)}: each sync would undo what the autoscaler does"


def target(autoscaler: Object) -> Key:
    found = autoscaler["spec"]["scaleTargetRef"]
    assert found["apiVersion"] == "apps/v1"
    return Key(found["kind"], key(autoscaler).namespace, found["name"])


@each_case
def test_replicas_go_slowly(case: Case) -> None:
    for found in of_kind(case, "HorizontalPodAutoscaler"):
        down = found["spec"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 60
        assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


@each_case
def test_rollouts_take_no_pod_before_its_successor_is_ready(case: Case) -> None:
    strategies = [found["spec"]["strategy"] for found in of_kind(case, "Deployment")]
    strategies += [found["spec"]["predictor"]["deploymentStrategy"] for found in of_kind(case, "InferenceService")]
    for strategy in strategies:
        assert strategy["type"] == "RollingUpdate"
        assert strategy["rollingUpdate"]["maxUnavailable"] == 0
        assert strategy["rollingUpdate"]["maxSurge"]


@each_environment
def test_drift_is_looked_for_once_an_hour(case: Case) -> None:
    detector = named(case, "CronJob", f"drift-detector{case.suffix}")["spec"]
    assert re.fullmatch(r"[0-5]?[0-9] \* \* \* \*", detector["schedule"])
    assert (detector["suspend"], detector["timeZone"]) == (False, "Etc/UTC")
    assert detector["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600


@each_case
def test_cron_jobs_run_one_at_a_time_and_leave_little_behind(case: Case) -> None:
    for found in of_kind(case, "CronJob"):
        spec = found["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["successfulJobsHistoryLimit"] and spec["failedJobsHistoryLimit"]
        assert spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] > 0
        assert spec["suspend"] is True or spec["startingDeadlineSeconds"] >= 10


@each_case
def test_only_a_person_starts_the_baseline_generator(case: Case) -> None:
    generators = [
        each for each in of_kind(case, "CronJob") if each["metadata"]["labels"]["app"] == "baseline-generator"
    ]
    assert len(generators) == int(case.value("drift", "enabled"))
    assert all(each["spec"]["suspend"] is True for each in generators)
