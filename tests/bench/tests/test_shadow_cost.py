import pytest

from bench import shadow
from bench.shadow import Round


def rounds(state: str, load: str, *pairs: tuple[float, float], slower: float = 1) -> list[Round]:
    """Return rounds in which the machine is slower by a factor whenever there is a shadow."""
    return [
        Round(state, load, bool(with_shadow), 1000, cpu * slow, 300 * slow, cpu * slow / 10, 0, 0.9 * with_shadow)
        for pair in pairs
        for with_shadow, cpu in enumerate(pair)
        for slow in [slower if with_shadow else 1]
    ]


def test_each_round_is_compared_with_the_one_beside_it() -> None:
    drifting = rounds("up", "paced", (100, 108), (200, 216), (50, 54))
    disturbed = rounds("dead", "full", (100, 101), (100, 500), (100, 102))
    found = shadow.ratios(drifting + disturbed)
    assert found["up, paced"] == pytest.approx({"gateway_cpu": 1.08, "p99": 1.08, "compared": 0.9, "errors": 0})
    assert found["dead, full"]["gateway_cpu"] == pytest.approx(1.02)


def test_how_fast_the_machine_was_does_not_count() -> None:
    found = shadow.ratios(rounds("up", "paced", (100, 108), slower=1.25))
    assert found["up, paced"] == pytest.approx({"gateway_cpu": 1.08, "p99": 1.08, "compared": 0.9, "errors": 0})


def test_what_costs_more_is_missed() -> None:
    met = {"gateway_cpu": 1.1, "p99": 1.05, "compared": 1.0, "errors": 0}
    assert shadow.verdict("up, paced", met).endswith("met")
    for name, value in (("gateway_cpu", 1.11), ("p99", 1.06), ("errors", 1)):
        assert shadow.verdict("up, paced", {**met, name: value}).endswith("MISSED")
