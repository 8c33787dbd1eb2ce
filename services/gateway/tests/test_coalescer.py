import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from conftest import SHA256, THRESHOLD, FakeTransformer, mail, make_coalescer, sample
from waiting import Clock, turns, until

from gateway.metrics import Metrics
from gateway.predictions.coalescer import Coalescer
from gateway.predictions.mails import Mail, Verdicts
from gateway.predictions.queue import RECENT_BATCHES
from gateway.predictions.transformer_client import TransformerClient
from gateway.problems import Problem
from inference import Replicas
from runtime.pauses import Pauses


def submit(coalescer: Coalescer, p: float) -> asyncio.Future[Verdicts]:
    (future,) = coalescer.submit([mail(p)], [3])
    return future


async def test_a_lone_request_leaves_at_once_and_alone(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    answer = submit(coalescer, 0.25)
    await transformer.wait_for_batches(1)
    assert transformer.batches == [["0.25"]]
    transformer.gate.set()
    assert await answer == Verdicts([0.25], ["ham"], "7", SHA256, threshold=THRESHOLD)


async def test_what_waits_for_a_slot_leaves_together(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    first = submit(coalescer, 0.0)
    await transformer.wait_for_batches(1)
    others = [submit(coalescer, n / 10) for n in range(1, 7)]
    transformer.gate.set()
    answers = await asyncio.gather(first, *others)
    assert [answer.probabilities for answer in answers] == [[n / 10] for n in range(7)]
    assert [len(batch) for batch in transformer.batches] == [1, 4, 2]
    assert [answer.batch_mails for answer in answers] == [1, 4, 4, 4, 4, 2, 2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give each coalescer of this test a clock that the test moves."""
    clock = Clock()
    monkeypatch.setattr("gateway.predictions.coalescer.monotonic", clock)
    monkeypatch.setattr("gateway.predictions.coalescer.Pauses", lambda: Pauses(clock))
    return clock


async def test_mail_that_would_wait_too_long_is_refused_although_there_is_room(
    client: TransformerClient, transformer: FakeTransformer, clock: Clock
) -> None:
    async def slow(_: web.Request, __: list[str]) -> None:
        clock.now += 0.1

    transformer.fault = slow
    coalescer = make_coalescer(client, transformer, max_batch_mails=1, max_queue_seconds=0.3)
    for _ in range(10):
        await submit(coalescer, 0.5)
    jobs = [submit(coalescer, 0.5)]
    await transformer.wait_for_batches(11)
    with pytest.raises(Problem, match="no room"):
        jobs += [submit(coalescer, 0.5) for _ in range(15)]
    assert not coalescer.admission.has_room()
    await asyncio.gather(*jobs)
    await until(coalescer.admission.has_room)
    await submit(coalescer, 0.5)


async def test_a_gateway_that_stood_still_does_not_take_its_queue_for_slow(
    client: TransformerClient, transformer: FakeTransformer, clock: Clock
) -> None:
    coalescer = make_coalescer(client, transformer, max_batch_mails=1, max_queue_seconds=5)
    for n in range(RECENT_BATCHES):
        transformer.gate.clear()
        under_way = submit(coalescer, 0.5)
        await transformer.wait_for_batches(n + 1)
        clock.now += 8
        transformer.gate.set()
        await under_way
    transformer.gate.clear()
    waiting = [submit(coalescer, 0.5) for _ in range(9)]
    transformer.gate.set()
    await asyncio.gather(*waiting)


async def test_a_few_batches_that_met_a_hung_replica_refuse_nobody(
    client: TransformerClient, transformer: FakeTransformer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the replica stands still here, and not this process.
    monkeypatch.setattr("gateway.predictions.coalescer.Pauses", Pauses)
    coalescer = make_coalescer(client, transformer, max_batch_mails=1, max_queue_seconds=5, max_queued_mails=100)
    for _ in range(4):
        transformer.gate.clear()
        slow = submit(coalescer, 0.5)
        await transformer.wait_for_batches(len(transformer.batches) + 1)
        clock.now += 5
        transformer.gate.set()
        await slow
    transformer.gate.clear()
    waiting = [submit(coalescer, 0.5) for _ in range(50)]
    transformer.gate.set()
    await asyncio.gather(*waiting)


async def test_how_long_pieces_of_many_mails_wait_is_judged_by_their_number(
    client: TransformerClient, transformer: FakeTransformer, clock: Clock
) -> None:
    async def slow(_: web.Request, __: list[str]) -> None:
        clock.now += 0.1

    transformer.fault = slow
    coalescer = make_coalescer(
        client, transformer, max_batch_mails=1, max_bulk_mails=50, max_queue_seconds=5, max_queued_mails=1_000
    )
    for _ in range(10):
        await submit(coalescer, 0.5)
    mails = [Mail("0.5", f"r{n}") for n in range(200)]
    pieces = coalescer.submit(mails, [1] * len(mails))
    assert coalescer.admission.has_room(), "four batches wait, and not two hundred"
    await asyncio.gather(*pieces)


async def test_a_deep_queue_leaves_in_batches_as_large_as_those_of_large_requests(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    transformer.gate.clear()
    coalescer = make_coalescer(client, transformer, max_batch_mails=2, max_bulk_mails=6, max_queued_mails=100)
    jobs = [submit(coalescer, 0.0)]
    await transformer.wait_for_batches(1)
    jobs += [submit(coalescer, 0.5) for _ in range(13)]
    transformer.gate.set()
    await asyncio.gather(*jobs)
    assert [len(batch) for batch in transformer.batches] == [1, 6, 6, 1], "six while more than six wait"


async def test_the_next_batch_leaves_while_a_large_one_is_answered(
    client: TransformerClient, transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.predictions.coalescer.ANSWERED_AT_ONCE", 1)
    coalescer = make_coalescer(client, transformer, max_batch_mails=2)
    transformer.gate.clear()
    jobs = [submit(coalescer, 0.0)]
    await transformer.wait_for_batches(1)
    jobs += [submit(coalescer, n / 10) for n in range(1, 9)]
    answered: list[int] = []
    infer = client.infer

    async def counted(mails: Sequence[Mail], *rest: Any) -> Verdicts:
        answered.append(sum(job.done() for job in jobs))
        return await infer(mails, *rest)

    monkeypatch.setattr(client, "infer", counted)
    transformer.gate.set()
    answers = await asyncio.gather(*jobs)
    assert [answer.probabilities for answer in answers] == [[n / 10] for n in range(9)]
    assert answered[0] == 1 and 1 < answered[1] < 5, "the first batch is answered, the second in part"
    assert not coalescer.busy


async def test_it_is_busy_while_one_batch_more_would_wait(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    assert not coalescer.busy
    transformer.gate.clear()
    answer = submit(coalescer, 0.5)
    assert coalescer.busy, "it waits"
    await transformer.wait_for_batches(1)
    assert coalescer.busy, "all that may be under way are"
    transformer.gate.set()
    await answer
    await until(lambda: not coalescer.busy)


async def test_heads_of_one_turn_keep_room_for_their_mail(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    coalescer = make_coalescer(client, transformer, max_queued_mails=3)
    for _ in range(3):
        assert coalescer.admission.has_room()
        coalescer.admission.expect()
    assert not coalescer.admission.has_room(), "three are on their way"
    await turns(1)
    assert coalescer.admission.has_room(), "none of them has come"


async def test_each_replica_has_its_batches_under_way(transformer: FakeTransformer, metrics: Metrics) -> None:
    async def resolve(_: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

    transformer.gate.clear()
    replicas = Replicas(f"http://spam.test:{urlsplit(transformer.url).port}", resolve)
    async with aiohttp.ClientSession() as session:
        client = TransformerClient("staging", replicas, "spam-detector", session)
        await replicas.pick()
        counts = metrics.environments
        coalescer = make_coalescer(client, transformer, metrics=counts, max_batch_mails=1, max_batches_in_flight=2)
        jobs = [submit(coalescer, n / 10) for n in range(9)]
        await transformer.wait_for_batches(6)
        for name, n in (("gateway_batches_in_flight", 6), ("gateway_queued_mails", 3)):
            assert sample(metrics, name, environment="staging") == n
        transformer.gate.set()
        await asyncio.gather(*jobs)
    assert transformer.most_under_way == 6


async def lingering(
    client: TransformerClient, transformer: FakeTransformer, seconds: float
) -> tuple[Coalescer, asyncio.Event, asyncio.Future[Verdicts]]:
    """Return a lingering coalescer: mail 0.0 is under way until the event is set, and another has just returned."""
    coalescer = make_coalescer(client, transformer, max_batches_in_flight=2, linger_seconds=seconds)
    release = asyncio.Event()

    async def hold_the_first(_: web.Request, mails: list[str]) -> None:
        if mails == ["0.0"]:
            await release.wait()

    transformer.fault = hold_the_first
    first = submit(coalescer, 0.0)
    await transformer.wait_for_batches(1)
    await submit(coalescer, 0.1)
    return coalescer, release, first


LONGER_THAN_THE_DEADLINE = 60.0


async def test_a_small_batch_lingers_while_another_is_under_way(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    coalescer, release, first = await lingering(client, transformer, LONGER_THAN_THE_DEADLINE)
    together = [submit(coalescer, 0.2)]
    await turns()
    together.append(submit(coalescer, 0.3))
    release.set()
    await asyncio.gather(first, *together)
    assert transformer.batches == [["0.0"], ["0.1"], ["0.2", "0.3"]]


async def test_a_batch_that_has_lingered_leaves_although_another_is_under_way(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    coalescer, release, first = await lingering(client, transformer, 0.02)
    assert (await submit(coalescer, 0.2)).probabilities == [0.2]
    assert not first.done()
    release.set()
    await first


async def test_a_full_batch_does_not_linger(client: TransformerClient, transformer: FakeTransformer) -> None:
    coalescer, release, first = await lingering(client, transformer, LONGER_THAN_THE_DEADLINE)
    await asyncio.gather(*(submit(coalescer, 0.5) for _ in range(4)))
    assert not first.done()
    release.set()
    await first


async def test_nobody_lingers_once_nothing_is_under_way(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    coalescer, release, first = await lingering(client, transformer, LONGER_THAN_THE_DEADLINE)
    waiting = submit(coalescer, 0.5)
    release.set()
    assert (await first).probabilities == [0.0]
    assert (await waiting).probabilities == [0.5]


async def test_without_coalescing_each_request_goes_alone_and_none_waits(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    coalescer = make_coalescer(client, transformer, coalescing=False)
    transformer.gate.clear()
    answers = [submit(coalescer, n / 10) for n in range(6)]
    await transformer.wait_for_batches(6)
    transformer.gate.set()
    await asyncio.gather(*answers)
    assert [len(batch) for batch in transformer.batches] == [1] * 6


async def test_a_batch_keeps_to_its_bytes(client: TransformerClient, transformer: FakeTransformer) -> None:
    coalescer = make_coalescer(client, transformer, max_batch_bytes=7)
    answers = coalescer.submit([mail(n / 10) for n in range(4)], [3, 3, 3, 100])
    await asyncio.gather(*answers)
    assert [len(batch) for batch in transformer.batches] == [2, 1, 1]


async def test_a_large_request_is_split_and_keeps_its_order(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    pieces = await asyncio.gather(*coalescer.submit([mail(n / 100) for n in range(11)], [4] * 11))
    assert [p for piece in pieces for p in piece.probabilities] == [n / 100 for n in range(11)]
    assert [len(batch) for batch in transformer.batches] == [4, 4, 3]


async def test_a_large_request_takes_turns_with_small_ones(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    bulk = coalescer.submit([mail(0.5)] * 12, [3] * 12)
    await transformer.wait_for_batches(1)
    single = submit(coalescer, 0.25)
    transformer.gate.set()
    await asyncio.gather(*bulk, single)
    assert transformer.batches.index(["0.25"]) == 1


async def test_a_full_queue_refuses_and_takes_again_once_there_is_room(
    coalescer: Coalescer, transformer: FakeTransformer
) -> None:
    transformer.gate.clear()
    answers = [submit(coalescer, 0.5) for _ in range(20)]
    with pytest.raises(Problem, match="no room") as refused:
        submit(coalescer, 0.5)
    assert refused.value.status == 503
    transformer.gate.set()
    await asyncio.gather(*answers)
    assert (await submit(coalescer, 0.5)).probabilities == [0.5]


async def test_the_queue_is_bounded_in_bytes(client: TransformerClient, transformer: FakeTransformer) -> None:
    coalescer = make_coalescer(client, transformer, max_queued_bytes=10)
    with pytest.raises(Problem, match="no room"):
        coalescer.submit([mail(0.5)], [11])


async def test_deadlines_hold_in_the_queue_and_under_way(
    client: TransformerClient, transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.policy.AVOID_SECONDS", (0.05, 0.05))
    coalescer = make_coalescer(client, transformer, deadline_seconds=0.5)
    transformer.gate.clear()
    answers = [submit(coalescer, 0.5) for _ in range(6)]
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    statuses = [problem.status for problem in problems]
    # The last two wait behind the hanging batch: they expire with it, or fail since no replica may be tried.
    assert statuses[:4] == [504] * 4 and set(statuses[4:]) <= {504, 503} and len(statuses) == 6
    assert all("the transformer" in problem.detail for problem in problems)
    transformer.gate.set()

    async def answered() -> bool:
        try:
            return (await submit(coalescer, 0.25)).probabilities == [0.25]
        except Problem:
            # The replica is still avoided.
            return False

    await until(answered)
    assert [len(batch) for batch in transformer.batches] == [4, 1]


async def test_one_hostile_mail_fails_alone(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    async def refuse(_: web.Request, mails: list[str]) -> web.Response | None:
        return web.json_response({"error": "no"}, status=500) if "0.3" in mails else None

    transformer.fault = refuse
    transformer.gate.clear()
    first = submit(coalescer, 0.0)
    await transformer.wait_for_batches(1)
    answers = [submit(coalescer, n / 10) for n in range(1, 5)]
    transformer.gate.set()
    outcomes = await asyncio.gather(first, *answers, return_exceptions=True)
    assert [outcome.status for outcome in outcomes if isinstance(outcome, Problem)] == [502]
    assert [o.probabilities[0] for o in outcomes if isinstance(o, Verdicts)] == [0.0, 0.1, 0.2, 0.4]


async def test_a_down_transformer_fails_the_batch_once(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    async def unready(_: web.Request, __: list[str]) -> web.Response:
        return web.json_response({"error": "not ready"}, status=503)

    transformer.fault = unready
    outcomes = await asyncio.gather(*(submit(coalescer, 0.5) for _ in range(4)), return_exceptions=True)
    assert [outcome.status for outcome in outcomes if isinstance(outcome, Problem)] == [503] * 4
    assert len(transformer.batches) == 1


async def test_a_client_that_goes_away_takes_nobody_along(coalescer: Coalescer, transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    first = submit(coalescer, 0.0)
    await transformer.wait_for_batches(1)
    gone, stays = submit(coalescer, 0.1), submit(coalescer, 0.2)
    gone.cancel()
    transformer.gate.set()
    assert (await stays).probabilities == [0.2]
    await first
    everything = [submit(coalescer, 0.5) for _ in range(20)]
    assert len(await asyncio.gather(*everything)) == 20
