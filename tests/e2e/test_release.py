"""Scenario: releases of models through Git. A good one costs no request, and a bad one never replaces the good one."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from client import HAM, LIVE_SECONDS, ask, wait_model
from cluster import find, is_ready, kubectl, said_by
from conftest import System
from figures import Figures
from gitops import Repository
from installation import PLACE
from prometheus import Prometheus
from settings import INFERENCE_SERVICES, MODELS
from traffic import Traffic
from waiting import Pending, until

from argocd import application, wait_synced
from inferencelog import open_store

pytestmark = pytest.mark.usefixtures("settled")

ALERT_SECONDS = 240
RATE = 30
BEFORE = 300
WRONG = "0" * 64
"""Digest that no file has."""


def predictor_pods(environment: str) -> dict[str, bool]:
    """Return whether each predictor pod is ready, by name."""
    pods = find("pods", MODELS, f"app=isvc.{INFERENCE_SERVICES[environment]}-predictor")
    return {pod["metadata"]["name"]: is_ready(pod) for pod in pods}


def test_new_model_reaches_production_through_staging(system: System, figures: Figures) -> None:
    second = system.bundles["second"]
    repository = system.repository
    with Traffic("production", RATE) as load:
        load.wait_for(BEFORE)
        before = load.phase("release")
        started = time.monotonic()
        repository.make("pin-model", "ENV=staging", f"URI={second.uri}", f"BUNDLE={second.folder}")
        repository.commit("Try the second model in staging")
        repository.push()
        wait_model("staging", second.version)
        figures.add("release", "push to live: a model in staging", f"{time.monotonic() - started:.1f} s")
        wait_synced("staging", repository.head())

        # The two models are of different mail and a minute apart, so no evidence can be made.
        repository.make("promote", "WITHOUT_EVIDENCE=tests of the way to production, not of the model")
        started = time.monotonic()
        repository.push()
        wait_synced("production", repository.head(), LIVE_SECONDS)
        figures.add("release", "push to live: make promote, smoke test passed", f"{time.monotonic() - started:.1f} s")
        during = load.phase("after")
        load.wait_for(BEFORE)
        after = load.stop()
    figures.add_load("release", "production before", before)
    figures.add_load("release", "production while a model is promoted", during)
    assert not (during.failed or before.failed or after.failed), [*during.failures, *before.failures, *after.failures]
    assert before.models.keys() == {system.bundles["first"].version}
    assert during.models.keys() == {system.bundles["first"].version, second.version}
    assert after.models.keys() == {second.version}


def truncated(system: System) -> str:
    """Upload the second bundle with half of its model, as after a broken upload; return its URI."""
    uri = f"s3://{system.settings.s3_bucket}/{PLACE}/truncated"
    store = open_store(uri)
    for file in system.bundles["second"].folder.iterdir():
        data = file.read_bytes()
        store.write(file.name, data[: len(data) // 2] if file.name == "model.joblib" else data)
    return uri


def wait_refused(environment: str, good: set[str]) -> str:
    """Wait until a new predictor pod says why it accepts no mail, and return the reason."""

    def refused() -> str:
        for pod in predictor_pods(environment):
            said = "" if pod.rpartition("-")[0] in good else said_by(MODELS, pod)
            lines = [line for line in said.splitlines() if "model refused" in line]
            if lines:
                return lines[-1]
        raise Pending("no new pod has said so")

    return until(f"{environment}'s new predictor refuses its model", refused, LIVE_SECONDS)


def failed_sync(environment: str, revision: str) -> str:
    """Return what the Application says about the smoke test of a revision.

    Raises:
        Pending: If it has not failed yet.
    """
    operation = application(environment)["status"]["operationState"]
    result = operation.get("syncResult", {})
    jobs = [each for each in result.get("resources", []) if each["kind"] == "Job" and each["name"] == "smoke"]
    if result.get("revision") != revision or not jobs or jobs[0].get("hookPhase") != "Failed":
        raise Pending(f"{operation.get('phase')} {operation.get('message')}, smoke: {jobs}")
    return f"{operation['phase']}: {operation.get('message')}; smoke: {jobs[0].get('message')}"


def replica_sets(environment: str) -> set[str]:
    """Return the ReplicaSets of an environment's ready predictor pods."""
    return {name.rpartition("-")[0] for name, ready in predictor_pods(environment).items() if ready}


@contextmanager
def pushed(repository: Repository, message: str) -> Iterator[str]:
    """Commit and push the changes, and revert them at the end, whatever happens."""
    revision = repository.commit(message)
    repository.push()
    try:
        yield revision
    finally:
        reverted = repository.revert(revision)
        for environment in INFERENCE_SERVICES:
            wait_synced(environment, reverted, LIVE_SECONDS)


def tell(system: System, figures: Figures, prometheus: Prometheus, revision: str) -> None:
    """Wait until log, alert and Application of both environments say what is wrong."""
    started = time.monotonic()
    # The half model's model.json is the pinned one, and names the digest that the whole model would have.
    whole = hashlib.sha256((system.bundles["second"].folder / "model.joblib").read_bytes()).hexdigest()
    for environment, said in (("production", f"the release pins {WRONG}"), ("staging", f"model.json says {whole}")):
        assert said in wait_refused(environment, replica_sets(environment))
    for environment in INFERENCE_SERVICES:
        prometheus.wait_firing("PredictorNotReady", environment, ALERT_SECONDS)
        figures.add("release", f"push of a bad model to alert, {environment}", f"{time.monotonic() - started:.0f} s")
    for environment in INFERENCE_SERVICES:
        said = until(f"{environment}'s Application says why", partial(failed_sync, environment, revision), LIVE_SECONDS)
        figures.add("release", f"what the Application of {environment} says", said)


def test_bad_models_never_replace_good_pods(system: System, figures: Figures, prometheus: Prometheus) -> None:
    """One push brings a wrong digest to production and half a model to staging."""
    repository = system.repository
    good = {environment: replica_sets(environment) for environment in INFERENCE_SERVICES}
    repository.set("production", "release", {"global.model.sha256": WRONG})
    repository.set(
        "staging",
        "release",
        {"global.model.uri": truncated(system), "global.model.sha256": system.bundles["second"].sha256},
    )
    with Traffic("production", RATE) as load, Traffic("staging", 5) as staging:
        load.wait_for(BEFORE)
        before, beside = load.phase("bad release"), staging.phase("bad release")
        with pushed(repository, "Pin a wrong digest and half a model") as revision:
            tell(system, figures, prometheus, revision)
            assert {environment: replica_sets(environment) for environment in good} == good
            during, beside_during = load.phase("revert"), staging.phase("revert")
        after, beside_after = load.stop(), staging.stop()
    figures.add_load("release", "production with a model that is refused", during)
    figures.add_load("release", "production while that is reverted", after)
    found = [before, during, after, beside, beside_during, beside_after]
    assert not [failure for each in found for failure in each.failures]
    assert (during.models | after.models).keys() == before.models.keys()
    assert (beside_during.models | beside_after.models).keys() == beside.models.keys()


def refusing(environment: str, old: set[str]) -> str:
    """Return what a new predictor pod says about its model.

    Raises:
        Pending: If there is none, or if it has said nothing yet.
    """
    for pod in predictor_pods(environment).keys() - old:
        lines = [line for line in said_by(MODELS, pod).splitlines() if "model refused" in line]
        if lines:
            return lines[-1]
    raise Pending("no new pod has said so")


@contextmanager
def replaced_object(uri: str, name: str, content: bytes) -> Iterator[None]:
    """Replace the content of an object until the context ends."""
    store = open_store(uri)
    sound = store.read(name)
    assert content != sound
    store.write(name, content)
    try:
        yield
    finally:
        store.write(name, sound)


def test_a_replaced_object_is_refused_while_its_pin_stays(
    system: System, figures: Figures, prometheus: Prometheus
) -> None:
    """Somebody puts the sound model of another release into the bucket, with its manifest: only the pin reveals it."""
    version = ask("/api/v1/predict", HAM, "production").body["model_version"]
    (ours,) = [each for each in system.bundles.values() if each.version == version]
    other = next(each for each in system.bundles.values() if each.version != version)
    old = set(predictor_pods("production"))
    with Traffic("production", RATE) as load:
        load.wait_for(BEFORE)
        with (
            replaced_object(ours.uri, "model.json", (other.folder / "model.json").read_bytes()),
            replaced_object(ours.uri, "model.joblib", (other.folder / "model.joblib").read_bytes()),
        ):
            load.phase("tampered")
            kubectl("delete", "pod", sorted(old)[0], "-n", MODELS)
            started = time.monotonic()
            said = until("the new predictor refuses its model", partial(refusing, "production", old), LIVE_SECONDS)
            assert other.sha256 in said and f"the release pins {ours.sha256}; it was not unpickled" in said
            prometheus.wait_firing("PredictorNotReady", "production", ALERT_SECONDS)
            figures.add("release", "an object replaced in S3 to alert", f"{time.monotonic() - started:.0f} s")
            during = load.phase("mended")
        for pod in predictor_pods("production").keys() - old:
            # A volume is filled only once, so the pod itself must be replaced.
            kubectl("delete", "pod", pod, "-n", MODELS)
        until("all predictors are ready again", partial(all_ready, "production"), LIVE_SECONDS)
        after = load.stop()
    figures.add_load("release", "production while a new predictor refuses a replaced object", during)
    assert not during.failed and not after.failed, during.failures + after.failures
    assert during.models.keys() == after.models.keys() == {version}


def all_ready(environment: str) -> None:
    """Raise Pending unless all of an environment's predictor pods are ready."""
    found = predictor_pods(environment)
    if not found or not all(found.values()):
        raise Pending(str(found))
