"""Scenario: what is pushed is what runs."""

import time

import pytest
from client import ask
from cluster import get, kubectl, wait_rolled_out
from conftest import System
from figures import Figures
from waiting import Pending, until

from argocd import wait_synced

pytestmark = pytest.mark.usefixtures("settled")

MAILS = {"emails": ["Subject: Lunch\n\nSee you at ten."] * 6}
LIVE_SECONDS = 180
HEAL_SECONDS = 60


def wait_answer(status: int) -> None:
    """Wait until production's gateway answers six mails with this status and its old pods are gone."""

    def answered() -> None:
        answer = ask("/api/v1/batch-predict", MAILS, "production")
        if answer.status != status:
            raise Pending(f"{answer.status}: {answer.body}")

    until(f"six mails are answered with {status}", answered, LIVE_SECONDS)
    wait_rolled_out("serving", "api-gateway", LIVE_SECONDS)


def test_push_is_live_and_revert_takes_it_back(system: System, figures: Figures) -> None:
    system.repository.set("production", "values", {"gateway.settings.MAX_EMAILS": 5})
    revision = system.repository.commit("Take five mails at a time")
    for what, push, status in (
        ("push", system.repository.push, 422),
        ("git revert", lambda: system.repository.revert(revision), 200),
    ):
        started = time.monotonic()
        head = push()
        wait_answer(status)
        figures.add("git", f"{what} to live: a setting of two gateway pods", f"{time.monotonic() - started:.1f} s")
        wait_synced("production", head)


def test_hand_edit_is_healed(system: System, figures: Figures) -> None:
    wanted = get("hpa", "api-gateway", "serving")["spec"]["minReplicas"]
    kubectl("patch", "hpa", "api-gateway", "-n", "serving", "--type=merge", "-p", '{"spec": {"minReplicas": 1}}')
    started = time.monotonic()

    def healed() -> None:
        found = get("hpa", "api-gateway", "serving")["spec"]["minReplicas"]
        if found != wanted:
            raise Pending(f"minReplicas is {found}")

    until("the autoscaler is as in Git", healed, HEAL_SECONDS)
    figures.add("git", "a hand edit of an autoscaler healed", f"{time.monotonic() - started:.1f} s")


def test_deleted_object_comes_back(system: System, figures: Figures) -> None:
    old = get("deployment", "feature-transformer", "serving-staging")["metadata"]["uid"]
    kubectl("delete", "deployment", "feature-transformer", "-n", "serving-staging", "--wait=false")
    started = time.monotonic()

    def back() -> None:
        found = get("deployment", "feature-transformer", "serving-staging")
        if found["metadata"]["uid"] == old or not found["status"].get("readyReplicas"):
            raise Pending("no pod of a new one is ready")

    until("staging's transformer is back", back, HEAL_SECONDS)
    figures.add("git", "a deleted Deployment back, its pod ready", f"{time.monotonic() - started:.1f} s")
