"""Tests of which processes of a soak grew."""

import os

from resilience.soak_growth import Looks, Size, size


def looks(*sizes: tuple[float, float]) -> list[tuple[float, Size]]:
    return [(when, Size(memory, 10, 3)) for when, memory in sizes]


def test_growth_counts_from_a_third_to_the_end() -> None:
    steady = looks(*((when, 50 if when < 30 else 100) for when in range(0, 91, 2)))
    growing = looks(*((when, 100 + when) for when in range(0, 91, 2)))
    found = {each.name: each for each in Looks({("a", 1): steady, ("b", 2): growing}).growth(0, 90)}
    assert found["a"].memory_percent == 0
    assert 30 < found["b"].memory_percent < 45


def test_a_process_that_was_replaced_is_left_out() -> None:
    old = looks(*((when, 100) for when in range(0, 60, 2)))
    new = looks(*((when, 300) for when in range(40, 91, 2)))
    assert Looks({("a", 1): old, ("a", 2): new}).growth(0, 90) == []


def test_own_size_is_read() -> None:
    found = size(os.getpid())
    assert found.memory > 2**20 and found.files >= 3 and found.threads >= 1
