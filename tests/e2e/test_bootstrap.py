"""Scenario: both environments come up from Git, and answer as the API page says."""

import re

import pytest
from client import Client
from cluster import get, kubectl
from conftest import System
from settings import INFERENCE_SERVICES, MODELS, NAMESPACES

from argocd import wait_synced

COMMANDS = (
    "kubectl get hpa -n serving",
    "kubectl logs -l app=api-gateway -n serving --tail=50",
    "kubectl get inferenceservice -n kserve",
    "kubectl get pods -n serving",
)
"""Commands of the design, as written there, except those that `client` and the drift scenario use."""

ENVIRONMENTS = ("staging", "production")
MAIL = "Subject: Re: build\n\nThe patch applies cleanly, I committed it.\n\n> please test"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_application_is_synced_and_healthy(system: System, environment: str) -> None:
    """An autoscaler may add a pod at the start, and the Application is then progressing for a moment."""
    wait_synced(environment, system.repository.head())


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works_as_written(system: System, command: str) -> None:
    assert len(kubectl(*command.split()[1:]).splitlines()) > 1


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_smoke_job_has_seen_the_pinned_model(system: System, environment: str) -> None:
    log = kubectl("logs", "job/smoke", "-n", NAMESPACES[environment])
    assert f"answers in a row by model {system.bundles['first'].version} of {environment}" in log


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_predicts_with_the_pinned_model(system: System, client: Client, environment: str) -> None:
    answer = client.post("/api/v1/predict", {"email_content": MAIL}, environment)
    assert answer.status == 200, answer
    assert answer.body["prediction"] == "ham"
    assert 0 <= answer.body["spam_probability"] < 0.5
    found = (answer.body["environment"], answer.body["model_version"])
    assert found == (environment, system.bundles["first"].version)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_predicts_batches_in_order(system: System, client: Client, environment: str) -> None:
    mails = [MAIL, "You have won $1,000,000!!! Click here to claim your prize", MAIL]
    answer = client.post("/api/v1/batch-predict", {"emails": mails}, environment)
    assert answer.status == 200, answer
    first, second, third = (each["spam_probability"] for each in answer.body["predictions"])
    assert first == third < second
    assert (answer.body["count"], answer.body["model_version"]) == (3, system.bundles["first"].version)


def test_default_is_staging(client: Client) -> None:
    assert client.post("/api/v1/predict", {"email_content": MAIL}).body["environment"] == "staging"


def test_unknown_environment_is_refused(client: Client) -> None:
    answer = client.post("/api/v1/predict", {"email_content": MAIL}, "qa")
    assert answer.status == 400
    assert re.search("staging.*production|production.*staging", answer.body["detail"]), answer.body


def test_gateway_calls_both_environments_ready(client: Client) -> None:
    assert client.get("/ready").body["environments"] == {"staging": "ready", "production": "ready"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_inference_service_serves_what_git_pins(system: System, environment: str) -> None:
    model = get("inferenceservice", INFERENCE_SERVICES[environment], MODELS)["spec"]["predictor"]["model"]
    digests = {each["name"]: each["value"] for each in model["env"] if "value" in each}
    bundle = system.bundles["first"]
    assert (model["storageUri"], digests["MODEL_SHA256"]) == (bundle.uri, bundle.sha256)
