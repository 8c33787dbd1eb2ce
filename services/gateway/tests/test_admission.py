"""Room of one environment, without a server: `test_early_refusals` has what clients see."""

import asyncio
from dataclasses import replace

import pytest

from gateway.metrics import EnvironmentMetrics
from gateway.predictions.admission import Admission
from gateway.predictions.queue import Queue, QueueLimits
from gateway.problems import Problem
from gateway.settings import GatewaySettings


def admission(metrics: EnvironmentMetrics | None = None, **limits: int) -> Admission:
    settings = GatewaySettings(environments={"staging": "http://127.0.0.1:1"})  # type: ignore[dict-item]
    limited = replace(QueueLimits.of(settings), **limits)  # type: ignore[arg-type]
    return Admission("staging", Queue(limited), limited, lambda: 1, metrics or EnvironmentMetrics())


def test_what_does_not_fit_is_refused_and_counted() -> None:
    metrics = EnvironmentMetrics()
    room = admission(metrics, outstanding_mails=2, outstanding_bytes=10)
    room.admit(2, 10)
    for mails, size in ((3, 10), (2, 11)):
        with pytest.raises(Problem, match="staging has no room for more mail now"):
            room.admit(mails, size)
    (refused,) = (
        each.value for each in metrics.refused_mails.collect()[0].samples if each.name.endswith("mails_total")
    )
    assert refused == 5


async def test_room_is_reserved_for_one_turn_of_the_event_loop() -> None:
    room = admission(outstanding_mails=1)
    room.expect()
    assert not room.has_room()
    await asyncio.sleep(0)
    assert room.has_room()


def test_bodies_that_arrive_have_a_limit_together_and_give_it_back() -> None:
    room = admission(arriving_bytes=10)
    room.arriving(6)
    with pytest.raises(Problem, match="no room"):
        room.arriving(5)
    room.arriving(4)
    room.arrived(10)
    room.arriving(10)


def test_explain_requests_have_a_limit_and_give_their_room_back() -> None:
    room = admission(explains=1)
    with room.explaining(), pytest.raises(Problem, match="no room"):
        room.admit_explain()
    room.admit_explain()
