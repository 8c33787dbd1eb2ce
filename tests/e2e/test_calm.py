"""Scenario: once hardly anybody sends mail, the system is small again."""

import time

import pytest
from conftest import System
from figures import Figures
from tiers import fallen
from waiting import until

pytestmark = pytest.mark.usefixtures("settled")

FALL_SECONDS = 540
"""Seconds until tiers have fallen: KServe's autoscaler waits Kubernetes' five minutes before it removes a pod."""


def test_replicas_fall_to_their_minimum(system: System, figures: Figures) -> None:
    started = time.monotonic()
    until("all tiers are at their minimum", fallen, FALL_SECONDS)
    figures.add(
        "scaling", "every tier at its minimum again, after the last scenario", f"{time.monotonic() - started:.0f} s"
    )
