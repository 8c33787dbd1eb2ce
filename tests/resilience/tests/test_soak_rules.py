"""Tests of which failures of a soak faults explain."""

import pytest

from resilience.soak_rules import DEADLINE_SECONDS, Failed, Outage, explained, met_fault
from resilience.soak_schedule import HANG, KILL, RESTART, Target

STAGING = [Target("transformer", "staging", number) for number in (0, 1)]
PREDICTORS = [Target("predictor", "staging", number) for number in (0, 1)]
GATEWAY, OTHER_GATEWAY = Target("gateway", "", 0), Target("gateway", "", 1)


def failed(status: int, start: float = 100.0, end: float = 100.5, environment: str = "staging") -> Failed:
    return Failed(start, end, GATEWAY.replica, environment, status, "")


def out(target: Target, kind: str = KILL, start: float = 99.0, end: float = 103.0) -> Outage:
    return Outage(target, kind, start, end)


def test_nothing_explains_a_failure_without_faults() -> None:
    assert not any(explained(failed(status), []) for status in (0, 400, 422, 500, 502, 503, 504))


def test_a_killed_gateway_explains_lost_connections_to_it_until_it_is_up() -> None:
    assert explained(failed(0), [out(GATEWAY)])
    assert explained(failed(0, 98, 99.1), [out(GATEWAY)])
    assert explained(failed(0, 102.9, 103), [out(GATEWAY)])
    assert not explained(failed(0, 98, 98.9), [out(GATEWAY)])
    assert not explained(failed(0, 103.1, 103.2), [out(GATEWAY)])


@pytest.mark.parametrize("target", [OTHER_GATEWAY, *STAGING, *PREDICTORS])
def test_a_lost_connection_is_not_explained_by_the_end_of_another_process(target: Target) -> None:
    assert not explained(failed(0), [out(target)])


@pytest.mark.parametrize("kind", [HANG, RESTART])
def test_a_lost_connection_is_not_explained_by_a_restart_or_a_hang(kind: str) -> None:
    assert not explained(failed(0), [out(GATEWAY, kind)])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("kind", [KILL, HANG, RESTART])
def test_an_error_is_explained_where_both_replicas_of_a_tier_are_out(status: int, kind: str) -> None:
    for tier in (STAGING, PREDICTORS):
        assert explained(failed(status), [out(tier[0], kind), out(tier[1])])


@pytest.mark.parametrize("kind", [KILL, HANG, RESTART])
def test_an_error_is_not_explained_by_one_replica_alone(kind: str) -> None:
    for tier in (STAGING, PREDICTORS):
        assert not explained(failed(503), [out(tier[0], kind)])
    assert not explained(failed(503), [out(STAGING[0]), out(PREDICTORS[0])])
    twice = [out(STAGING[0], HANG, 90, 101), out(STAGING[0], KILL, 100, 103)]
    assert not explained(failed(503), twice)


def test_an_error_is_not_explained_by_replicas_that_were_never_out_together() -> None:
    first, second = out(STAGING[0], start=90, end=100), out(STAGING[1], start=110, end=112)
    assert not explained(failed(504, 99, 111), [first, second])
    assert explained(failed(504, 99, 111), [first, out(STAGING[1], start=100.5, end=112)])


def test_an_error_is_not_explained_by_replicas_out_together_before_or_after_it() -> None:
    both = [out(each, start=90, end=95) for each in STAGING]
    assert not explained(failed(503), both)
    assert not explained(failed(503, 80, 89), both)


def test_an_error_is_not_explained_by_another_environments_replicas() -> None:
    assert not explained(failed(503, environment="production"), [out(each) for each in STAGING])


@pytest.mark.parametrize("status", [400, 408, 413, 415, 422, 429, 431])
def test_what_is_the_clients_fault_is_never_explained(status: int) -> None:
    assert not explained(failed(status), [out(each) for each in (*STAGING, *PREDICTORS, GATEWAY, OTHER_GATEWAY)])


def test_a_hung_gateway_explains_its_own_late_504_only() -> None:
    hung = [out(GATEWAY, HANG, 99, 108)]
    late = 100 + DEADLINE_SECONDS
    assert explained(failed(504, 100, late), hung)
    assert not explained(failed(504, 100, late - 1), hung)
    assert not explained(failed(503, 100, late), hung)
    assert not explained(failed(504, 100, late), [out(OTHER_GATEWAY, HANG, 99, 108)])


def test_a_request_may_have_been_sent_twice_where_its_environment_or_gateway_had_a_fault() -> None:
    assert met_fault(100, 101, "staging", 0, [out(STAGING[0], HANG)])
    assert met_fault(100, 101, "staging", 0, [out(GATEWAY, HANG)])
    assert not met_fault(100, 101, "production", 1, [out(STAGING[0], HANG), out(GATEWAY, HANG)])
    assert not met_fault(80, 81, "staging", 0, [out(STAGING[0], HANG)])
