"""A model on its way through Git: a good one costs no request, a bad one never replaces the good one."""

import time

import pytest
from client import ask
from cluster import find, is_ready, kubectl
from conftest import System
from figures import Figures
from installation import PLACE, Bundle
from prometheus import Prometheus
from settings import INFERENCE_SERVICES, MODELS
from traffic import Traffic
from waiting import Pending, until

from argocd import application, wait_synced
from inferencelog import open_store

pytestmark = pytest.mark.usefixtures("settled")

MAIL = {"email_content": "Subject: Re: build\n\nThe patch applies cleanly, I committed it."}
LIVE_SECONDS = 240
ALERT_SECONDS = 240
RATE = 30
BEFORE = 300


def wait_model(environment: str, version: str) -> None:
    """Wait until a model answers."""

    def answers() -> None:
        answer = ask("/api/v1/predict", MAIL, environment)
        if answer.body.get("model_version") != version:
            raise Pending(str(answer.body))

    until(f"model {version} answers in {environment}", answers, LIVE_SECONDS)


def predictor_pods(environment: str) -> dict[str, bool]:
    """Name -> whether it is ready."""
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

        repository.make("promote")
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


def truncated(system: System, bundle: Bundle) -> str:
    """Upload a model's bundle with half of its model, as a broken upload leaves it; its URI."""
    uri = f"s3://{system.settings.s3_bucket}/{PLACE}/truncated"
    store = open_store(uri)
    for file in bundle.folder.iterdir():
        data = file.read_bytes()
        store.write(file.name, data[: len(data) // 2] if file.name == "model.joblib" else data)
    return uri


def wait_refused(environment: str, good: set[str], word: str) -> str:
    """Wait until a new predictor pod says why it takes no mail; what it says."""

    def refused() -> str:
        new = predictor_pods(environment).keys() - good
        said = [
            line for pod in new for line in kubectl("logs", "-n", MODELS, pod, "--tail=50").splitlines() if word in line
        ]
        if not said:
            raise Pending(f"new pods {', '.join(new) or 'none'} have not said {word!r}")
        return said[-1]

    return until(f"{environment}'s new predictor refuses its model", refused, LIVE_SECONDS)


def failed_sync(environment: str, revision: str) -> str:
    """What the Application says of the smoke test of a revision.

    Raises:
        Pending: It has not failed yet.
    """
    operation = application(environment)["status"]["operationState"]
    result = operation.get("syncResult", {})
    jobs = [each for each in result.get("resources", []) if each["kind"] == "Job" and each["name"] == "smoke"]
    if result.get("revision") != revision or not jobs or jobs[0].get("hookPhase") != "Failed":
        raise Pending(f"{operation.get('phase')} {operation.get('message')}, smoke: {jobs}")
    return f"{operation['phase']}: {operation.get('message')}; smoke: {jobs[0].get('message')}"


def test_bad_models_never_replace_good_pods(system: System, figures: Figures, prometheus: Prometheus) -> None:
    """A wrong digest in production and half a model in staging, both of one push."""
    second, repository = system.bundles["second"], system.repository
    good = {environment: set(predictor_pods(environment)) for environment in INFERENCE_SERVICES}
    repository.set(
        "production", "release", {"global.model.uri": system.bundles["first"].uri, "global.model.sha256": "0" * 64}
    )
    repository.set("staging", "release", {"global.model.uri": truncated(system, second)})
    with Traffic("production", RATE) as load, Traffic("staging", 5) as staging:
        load.wait_for(BEFORE)
        before = load.phase("bad release")
        revision = repository.commit("Pin a wrong digest and half a model")
        repository.push()
        started = time.monotonic()
        assert "0" * 64 in wait_refused("production", good["production"], "sha256")
        assert system.bundles["second"].sha256 in wait_refused("staging", good["staging"], "sha256")
        for environment in INFERENCE_SERVICES:
            prometheus.wait_firing("PredictorNotReady", environment, ALERT_SECONDS)
            figures.add(
                "release", f"push of a bad model to alert, {environment}", f"{time.monotonic() - started:.1f} s"
            )
        for environment in INFERENCE_SERVICES:
            said = until(
                f"{environment}'s Application says why", lambda e=environment: failed_sync(e, revision), LIVE_SECONDS
            )
            figures.add("release", f"what the Application of {environment} says", said)
        ready = {environment: {name for name, ok in predictor_pods(environment).items() if ok} for environment in good}
        during, beside = load.phase("revert"), staging.phase("revert")
        reverted = repository.revert(revision)
        for environment in INFERENCE_SERVICES:
            wait_synced(environment, reverted, LIVE_SECONDS)
        after = load.stop()
    figures.add_load("release", "production before", before)
    figures.add_load("release", "production with a model that is refused", during)
    figures.add_load("release", "production while that is reverted", after)
    assert ready == good
    assert not (during.failed or after.failed or beside.failed), [*during.failures, *after.failures, *beside.failures]
    assert (during.models | after.models | beside.models).keys() == {second.version}
