"""Tests of the faults that a seed makes."""

import itertools
from collections import Counter

from resilience.soak_schedule import HANG, KILL, QUIET_SECONDS, RESTART, TIERS, schedule, survivors, targets


def test_a_seed_makes_the_same_faults_again() -> None:
    assert schedule(7, 900) == schedule(7, 900)
    assert schedule(7, 900) != schedule(8, 900)


def test_faults_come_in_order_and_leave_quiet_time_at_both_ends() -> None:
    for seed in range(50):
        times = [fault.at for fault in schedule(seed, 120)]
        assert times == sorted(times)
        assert times[0] >= QUIET_SECONDS and max(fault.at + fault.seconds for fault in schedule(seed, 120)) <= 120


def test_a_long_soak_has_every_kind_at_every_tier_and_both_replicas_at_once() -> None:
    for seed in range(20):
        faults = schedule(seed, 900)
        seen = Counter((fault.target.tier, fault.kind) for fault in faults)
        assert all(seen[tier, kind] >= 3 for tier in TIERS for kind in (KILL, HANG, RESTART))
        pairs = itertools.pairwise(faults)
        assert any(second.target in first.target.twins and second.at - first.at <= 1 for first, second in pairs)


def test_survivors_hang_but_are_never_ended() -> None:
    for seed in range(50):
        spared = survivors(seed)
        assert {each.tier for each in spared} == set(TIERS) and len(spared) == len(TIERS)
        assert {fault.kind for fault in schedule(seed, 900) if fault.target in spared} == {HANG}


def test_every_process_has_a_twin() -> None:
    assert all(len(each.twins) == 1 and each.twins[0].twins == [each] for each in targets())


def test_a_soak_shorter_than_its_quiet_time_has_no_faults() -> None:
    assert schedule(1, 15) == []
