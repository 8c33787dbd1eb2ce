"""The queue by itself: no event loop runs, and time is a number."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.predictions.mails import Mail
from gateway.predictions.queue import RECENT_BATCHES, Job, Queue, QueueLimits
from gateway.settings import GatewaySettings

Make = Callable[..., Job]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make jobs whose futures belong to an event loop that never runs."""
    loop = asyncio.new_event_loop()

    def job(mails: int = 1, size: int = 1, arrived: float = 0.0) -> Job:
        return Job([Mail("text", "id")] * mails, size, loop.create_future(), arrived)

    yield job
    loop.close()


def queue(**limits: Any) -> Queue:
    settings = GatewaySettings(environments={"staging": "http://x"}, **limits)  # type: ignore[dict-item]
    return Queue(QueueLimits.of(settings))


def added(of: Queue, *jobs: Job) -> list[Job]:
    for job in jobs:
        of.add(job, is_single=len(job.mails) == 1)
    return list(jobs)


def test_room_is_given_back_once(make: Make) -> None:
    found = queue(max_queued_mails=2, max_queued_bytes=10)
    first, _ = added(found, make(size=4), make(size=4))
    assert not found.has_room(1)
    assert found.release(first)
    assert not found.release(first)
    assert (found.outstanding_mails, found.outstanding_bytes) == (1, 4)
    assert found.has_room(1, 1, 6)
    assert not found.has_room(1, 1, 7)
    assert not found.has_room(1, 2, 1)


def test_room_is_reserved_for_heads_that_have_arrived() -> None:
    found = queue(max_queued_mails=2)
    found.expected_mails = 2
    assert not found.has_room(1)


@pytest.mark.parametrize(("slow", "has_room"), [(RECENT_BATCHES // 2, True), (RECENT_BATCHES // 2 + 1, False)])
def test_only_when_most_recent_batches_were_slow_is_mail_refused(make: Make, slow: int, has_room: bool) -> None:
    found = queue(max_batch_mails=1, max_queue_seconds=5)
    for n in range(RECENT_BATCHES):
        found.note_batch(5.0 if n < slow else 0.01)
    added(found, *(make() for _ in range(3)))
    assert found.has_room(2) is has_room


def test_more_replicas_make_the_wait_shorter(make: Make) -> None:
    found = queue(max_batch_mails=1, max_queue_seconds=5)
    for _ in range(RECENT_BATCHES):
        found.note_batch(5.0)
    added(found, *(make() for _ in range(3)))
    assert not found.has_room(2)
    assert found.has_room(3)


def test_a_batch_takes_what_fits_in_order(make: Make) -> None:
    found = queue(max_batch_mails=3, max_batch_bytes=10)
    jobs = added(found, make(size=4), make(size=4), make(size=4), make(size=1))
    assert found.take(1) == jobs[:2], "a third would exceed the bytes of a batch"
    assert found.take(1) == jobs[2:]
    assert found.take(1) == []
    assert found.outstanding_mails == 4, "under way is outstanding"
    assert found.waiting_mails == 0


def test_single_mails_and_pieces_take_turns(make: Make) -> None:
    found = queue(max_batch_mails=1, max_bulk_mails=5)
    single, other, piece, last = added(found, make(), make(), make(5), make(5))
    assert [found.take(1) for _ in range(4)] == [[single], [piece], [other], [last]]


def test_a_deep_queue_makes_large_batches(make: Make) -> None:
    found = queue(max_batch_mails=2, max_bulk_mails=4)
    added(found, *(make() for _ in range(9)))
    assert [len(found.take(2)) for _ in range(2)] == [4, 2], "four while more than four a slot wait"


def test_a_job_whose_client_has_gone_leaves_no_trace(make: Make) -> None:
    found = queue()
    gone, there = added(found, make(size=3), make(size=4))
    gone.future.cancel()
    assert found.take(1) == [there]
    assert (found.outstanding_mails, found.outstanding_bytes, found.waiting_mails) == (1, 4, 0)


def test_a_job_whose_client_may_have_gone_comes_last(make: Make) -> None:
    found = queue(max_batch_mails=1)
    doubted, there = added(found, make(), make())
    found.doubt([doubted.future])
    assert [found.take(1), found.take(1)] == [[there], [doubted]]


def test_what_is_under_way_is_not_doubted(make: Make) -> None:
    found = queue()
    (job,) = added(found, make())
    found.take(1)
    found.doubt([job.future])
    assert found.doubted() == []


def test_doubted_jobs_are_named_once(make: Make) -> None:
    found = queue()
    (job,) = added(found, make())
    found.doubt([job.future])
    assert found.doubted() == [job.future]
    assert found.doubted() == []


def test_jobs_expire_in_the_order_of_arrival_whether_they_wait_or_are_under_way(make: Make) -> None:
    found = queue(max_batch_mails=1, deadline_seconds=10)
    sent, waiting, later = added(found, make(arrived=1.0), make(arrived=2.0), make(arrived=5.0))
    found.take(1)
    assert found.oldest == 1.0
    assert list(found.expired(10.9)) == []
    assert list(found.expired(12.0)) == [(sent, False), (waiting, True)]
    assert found.oldest == 5.0
    assert found.take(1) == [later]


def test_a_settled_job_does_not_expire(make: Make) -> None:
    found = queue(deadline_seconds=10)
    first, second = added(found, make(arrived=1.0), make(arrived=2.0))
    found.take(1)
    found.release(second)
    found.release(first)
    assert found.oldest is None
    assert list(found.expired(100.0)) == []


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([1], [1]), ([1, 1, 1, 1, 1], [2, 2, 1]), ([9, 9, 1], [1, 2]), ([20, 1], [1, 1])],
)
def test_a_large_request_is_split_by_mails_and_bytes(sizes: list[int], expected: list[int]) -> None:
    pieces = queue(max_bulk_mails=2, max_batch_bytes=10).pieces([Mail("x", "id")] * len(sizes), sizes)
    assert [len(mails) for mails, _ in pieces] == expected
    assert sum(size for _, size in pieces) == sum(sizes)


def test_only_a_single_mail_is_remembered_as_the_last(make: Make) -> None:
    found = queue()
    assert found.last_single < 0
    added(found, make(arrived=3.0), make(mails=2, arrived=5.0))
    assert found.last_single == 3.0
