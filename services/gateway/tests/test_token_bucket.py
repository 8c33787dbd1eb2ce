import pytest
from waiting import Clock

from gateway.access.token_bucket import TokenBucket


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_then_the_rate(clock: Clock) -> None:
    bucket = TokenBucket(2, 3, clock)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.25
    assert bucket.take() == pytest.approx(0.25)
    clock.now += 0.25
    assert [bucket.take(), bucket.take()] == [0, 0.5]


def test_a_pause_saves_up_no_more_than_the_burst(clock: Clock) -> None:
    bucket = TokenBucket(2, 3, clock)
    clock.now += 1e6
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]


def test_what_is_refused_costs_nothing(clock: Clock) -> None:
    bucket = TokenBucket(1, 1, clock)
    bucket.take()
    assert [bucket.take() for _ in range(5)] == [1] * 5
    clock.now += 1
    assert bucket.take() == 0


def test_a_large_request_is_taken_and_paid_for_by_waiting(clock: Clock) -> None:
    bucket = TokenBucket(10, 5, clock)
    assert bucket.take() == 0
    assert bucket.take(99, more=True) == 0
    # The bucket is 95 mails in debt and needs one more.
    assert bucket.take() == pytest.approx(9.6)
    clock.now += 9.5
    assert bucket.take() == pytest.approx(0.1)
    clock.now += 0.1
    assert bucket.take() == 0


def test_requests_side_by_side_cannot_all_be_large(clock: Clock) -> None:
    bucket = TokenBucket(10, 5, clock)
    assert [bucket.take() for _ in range(5)] == [0] * 5
    assert bucket.take(99, more=True) == 0
    assert [bucket.take(99, more=True) for _ in range(4)] == [pytest.approx(10)] * 4


def test_who_comes_when_told_to_is_let_in(clock: Clock) -> None:
    bucket = TokenBucket(0.3, 1, clock)
    for _ in range(1000):
        assert bucket.take() == 0
        clock.now += bucket.take()
