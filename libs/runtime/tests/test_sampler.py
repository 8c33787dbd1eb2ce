"""Sampling of requests."""

import pytest

from runtime.tracing.sampler import RUN, Allowance, Runs


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.5])
def test_the_share_comes_out_right_in_runs_of_sixteen(ratio: float) -> None:
    runs = Runs(ratio)
    drawn = [runs() for _ in range(1_000_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(ratio, rel=0.15)
    text = "".join("x" if sampled else " " for sampled in drawn)
    whole = text[: text.rindex(" ")].split()
    # Two runs may touch if the gap drawn between them is zero.
    assert all(len(run) % RUN == 0 for run in whole)


def test_runs_come_in_no_rhythm() -> None:
    runs = Runs(0.05)
    drawn = "".join("x" if runs() else " " for _ in range(20_000))
    gaps = {len(gap) for gap in drawn.strip().split("x" * RUN) if gap}
    assert len(gaps) > 10


def test_none_and_all() -> None:
    never = Runs(0)
    assert not any(never() for _ in range(1000))
    every = Runs(1)
    assert all(every() for _ in range(1000))


def test_an_allowance_is_used_up_and_comes_back() -> None:
    now = 0.0
    allowed = Allowance(2, lambda: now)
    assert [allowed() for _ in range(RUN + 1)] == [True] * RUN + [False]
    now = 1.0
    assert [allowed() for _ in range(3)] == [True, True, False]
    now = 1000.0
    assert sum(allowed() for _ in range(100)) == RUN


def test_no_allowance_is_none_at_any_time() -> None:
    now = 0.0
    allowed = Allowance(0, lambda: now)
    now = 1e9
    assert not allowed()
