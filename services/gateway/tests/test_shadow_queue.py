import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import orjson
import pytest
from aiohttp import web
from conftest import SHA256, FakeTransformer, sample, verdicts
from waiting import turns, until

from gateway.experiments import shadow_queue
from gateway.experiments.comparison import Comparison
from gateway.experiments.shadow_queue import ShadowLimits, ShadowQueue
from gateway.experiments.shares import in_share
from gateway.metrics import Metrics, ShadowMetrics
from gateway.predictions.mails import Mail, Verdicts
from gateway.predictions.transformer_client import TransformerClient
from inference import Replicas

VERSIONS = ("6", "7")
"""Model versions of production's answers and of the fake transformer's."""


@dataclass
class Busy:
    """Fake production queue, busy or not, and how often the shadow has looked at it."""

    is_busy: bool = False
    looks: int = 0

    @property
    def busy(self) -> bool:
        self.looks += 1
        return self.is_busy


@dataclass
class Shadowing:
    """Shadow whose candidate answers each mail with the number in its text."""

    shadow: ShadowQueue
    comparison: Comparison
    production: Busy

    def offer(self, *said: tuple[float, float], request_id: str = "r", batch_mails: int = 0) -> None:
        """Offer the mails of one request, each with production's and the candidate's probability."""
        mails = [Mail(str(candidate), request_id) for _, candidate in said]
        ours = [production for production, _ in said]
        labels = ["spam" if p >= 0.5 else "ham" for p in ours]
        self.shadow.offer(mails, [1] * len(mails), [Verdicts(ours, labels, VERSIONS[0], SHA256, 0.02, batch_mails)])

    @property
    def table(self) -> dict[tuple[str, str], int]:
        """Count mails by the verdicts of both."""
        pair = self.comparison.pairs.get(VERSIONS)
        return {said: n for said, n in pair.predictions.items() if n} if pair else {}


Make = Callable[..., Shadowing]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch that may leave do so in the next turns of the event loop."""
    monkeypatch.setattr(shadow_queue, "GATHER_SECONDS", 0)
    monkeypatch.setattr(shadow_queue, "YIELD_SECONDS", 0)
    monkeypatch.setattr(shadow_queue, "MAILS_PER_SECOND", 1e9)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits: batches leave early, and a failed one is soon sent again."""
    monkeypatch.setattr(shadow_queue, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(shadow_queue, "RETRY_SECONDS", (0.01, 0.02))


@pytest.fixture
async def make(transformer: FakeTransformer, metrics: Metrics) -> AsyncIterator[Make]:
    made: list[ShadowQueue] = []
    async with aiohttp.ClientSession() as session:

        def begin(share: float = 1.0, url: str = "", **limits: float) -> Shadowing:
            client = TransformerClient("staging", Replicas(url or transformer.url), "spam-detector", session)
            found: dict[str, float] = {"batch_mails": 4, "mails": 10, "size": 1000, "timeout_seconds": 5.0} | limits
            comparison, production = Comparison(), Busy()
            limited = ShadowLimits(**found)  # type: ignore[arg-type]
            made.append(ShadowQueue(client, limited, share, [production], comparison, metrics.shadow))
            return Shadowing(made[-1], comparison, production)

        yield begin
        transformer.gate.set()
        for each in made:
            await each.close(0)


@pytest.fixture
def counted(metrics: Metrics) -> Callable[[], dict[str, float]]:
    """Return how many mails had which outcome, without zeros."""

    def found() -> dict[str, float]:
        counts = {each: sample(metrics, "gateway_shadow_mails_total", outcome=each) for each in ShadowMetrics.OUTCOMES}
        return {outcome: mails for outcome, mails in counts.items() if mails}

    return found


Counted = Callable[[], dict[str, float]]


async def test_both_answers_are_counted_for_each_mail(make: Make, counted: Counted) -> None:
    shadowing = make()
    shadowing.offer((0.9, 0.8), (0.1, 0.8), (0.9, 0.1))
    shadowing.offer((0.1, 0.1))
    shadowing.offer((0.2, 0.1))
    await until(lambda: counted() == {"compared": 5})
    assert shadowing.table == {
        ("spam", "spam"): 1,
        ("ham", "spam"): 1,
        ("spam", "ham"): 1,
        ("ham", "ham"): 2,
    }
    samples = {
        (sample.name, sample.labels.get("side"), sample.labels.get("le")): sample.value
        for metric in shadowing.comparison.collect()
        for sample in metric.samples
        if sample.labels["production_version"] == VERSIONS[0]
    }
    # The differences are -0.1, 0.7, -0.8, 0 and -0.1.
    expected = {"-0.5": 1, "-0.25": 1, "-0.05": 3, "0.001": 4, "0.5": 4, "1.0": 5, "+Inf": 5}
    assert {le: samples["gateway_shadow_difference_bucket", None, le] for le in expected} == expected
    assert samples["gateway_shadow_seconds_count", "production", None] == 5
    assert samples["gateway_shadow_seconds_sum", "production", None] == pytest.approx(5 * 0.02)
    assert samples["gateway_shadow_seconds_count", "candidate", None] == 5
    assert samples["gateway_shadow_seconds_sum", "candidate", None] > 0


async def test_no_more_leave_in_a_second_than_a_gateway_can_spare(
    make: Make, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_queue, "MAILS_PER_SECOND", 40)
    shadowing = make(mails=20)
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        shadowing.offer(*[(0.9, 0.8)] * 4)
    await until(lambda: counted() == {"compared": 12})
    assert asyncio.get_running_loop().time() - started > 0.19, "two batches of four after the first"


async def test_the_candidate_is_told_what_production_said(make: Make, transformer: FakeTransformer) -> None:
    bodies = []

    async def keep(request: web.Request, _: list[str]) -> None:
        bodies.append(orjson.loads(await request.read()))

    transformer.fault = keep
    shadowing = make()
    shadowing.offer((0.9, 0.8), (0.1, 0.7), request_id="r-1")
    shadowing.offer((0.3, 0.6), request_id="r-2")
    await until(lambda: len(shadowing.table) > 0)
    (body,) = bodies
    assert {each["name"]: (each["datatype"], each["data"]) for each in body["inputs"]} == {
        "email_content": ("BYTES", ["0.8", "0.7", "0.6"]),
        "request_id": ("BYTES", ["r-1", "r-1", "r-2"]),
        "position": ("INT32", [0, 1, 0]),
        "production_version": ("BYTES", ["6"] * 3),
        "production_sha256": ("BYTES", [SHA256] * 3),
        "production_probability": ("FP64", [0.9, 0.1, 0.3]),
        "production_prediction": ("BYTES", ["spam", "ham", "ham"]),
        "production_seconds": ("FP64", [0.02] * 3),
        "production_batch_mails": ("INT32", [0] * 3),
    }


async def test_pieces_of_a_request_keep_their_positions(make: Make, transformer: FakeTransformer) -> None:
    positions = []

    async def keep(request: web.Request, _: list[str]) -> None:
        (found,) = [each["data"] for each in orjson.loads(await request.read())["inputs"] if each["name"] == "position"]
        positions.append(found)

    transformer.fault = keep
    shadowing = make(batch_mails=2)
    mails = [Mail("0.5", "r")] * 5
    answers = [Verdicts([0.5] * n, ["spam"] * n, "6") for n in (2, 2, 1)]
    shadowing.shadow.offer(mails, [1] * 5, answers)
    await until(lambda: len(positions) == 3)
    assert positions == [[0, 1], [2, 3], [4]]


async def test_it_waits_while_production_is_busy(make: Make, transformer: FakeTransformer, counted: Counted) -> None:
    shadowing = make()
    shadowing.production.is_busy = True
    shadowing.offer((0.9, 0.8))
    await until(lambda: shadowing.production.looks >= 3)
    assert (transformer.batches, counted()) == ([], {})
    shadowing.production.is_busy = False
    await until(lambda: counted() == {"compared": 1})


async def test_one_batch_is_under_way_and_the_newest_is_dropped(
    make: Make, transformer: FakeTransformer, counted: Counted, at_once: None
) -> None:
    transformer.gate.clear()
    shadowing = make(mails=6)
    shadowing.offer((0.9, 0.1))
    await transformer.wait_for_batches(1)
    looks = shadowing.production.looks
    for _ in range(9):
        shadowing.offer((0.9, 0.9))
    await turns()
    assert shadowing.production.looks == looks, "it does not even look whether another batch may leave"
    assert counted() == {"dropped": 4}, "what is under way takes room too"
    transformer.gate.set()
    await until(lambda: counted() == {"dropped": 4, "compared": 6})
    assert [len(batch) for batch in transformer.batches] == [1, 4, 1]
    assert transformer.most_under_way == 1


async def test_now_and_then_a_batch_is_as_large_as_productions(
    make: Make, transformer: FakeTransformer, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_queue, "ALIKE_SECONDS", 60)
    shadowing = make()
    shadowing.production.is_busy = True
    for _ in range(8):
        shadowing.offer((0.9, 0.9), batch_mails=2)
    shadowing.production.is_busy = False
    await until(lambda: counted() == {"compared": 8})
    assert [len(batch) for batch in transformer.batches] == [2, 4, 2]
    monkeypatch.setattr(shadow_queue, "ALIKE_SECONDS", 0)
    shadowing = make()
    shadowing.production.is_busy = True
    for _ in range(3):
        shadowing.offer((0.9, 0.9), batch_mails=1)
    shadowing.production.is_busy = False
    await until(lambda: counted() == {"compared": 11})
    assert [len(batch) for batch in transformer.batches[3:]] == [1, 1, 1]


async def test_a_full_batch_does_not_wait_for_more(
    make: Make, transformer: FakeTransformer, counted: Counted, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_queue, "GATHER_SECONDS", 60)
    shadowing = make()
    for _ in range(3):
        shadowing.offer((0.9, 0.9))
    await turns()
    assert shadowing.production.looks == 0, "three mails wait for a fourth"
    shadowing.offer((0.9, 0.9))
    await until(lambda: counted() == {"compared": 4})
    assert [len(batch) for batch in transformer.batches] == [4]


async def test_bytes_are_bounded(make: Make, transformer: FakeTransformer, counted: Counted) -> None:
    transformer.gate.clear()
    shadowing = make(size=3)
    for _ in range(5):
        shadowing.offer((0.9, 0.9))
    assert counted() == {"dropped": 2}


async def test_a_candidate_that_fails_for_a_while_loses_nothing(
    make: Make, transformer: FakeTransformer, counted: Counted, metrics: Metrics
) -> None:
    async def down(_: web.Request, __: list[str]) -> web.Response:
        return web.json_response({"error": "not ready"}, status=503)

    transformer.fault = down
    shadowing = make()
    for n in range(6):
        shadowing.offer((n / 10, 0.9))
    await transformer.wait_for_batches(3)
    assert counted() == {}
    transformer.fault = None
    await until(lambda: counted() == {"compared": 6})
    assert shadowing.table == {("ham", "spam"): 5, ("spam", "spam"): 1}
    errors = sample(metrics, "gateway_upstream_errors_total", environment="staging", kind="not-ready")
    assert errors == 0, "no error of staging's"


async def test_what_cannot_be_compared_for_long_has_failed(
    make: Make, transformer: FakeTransformer, counted: Counted, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(shadow_queue, "LONGEST_SECONDS", 0.1)
    shadowing = make(url=f"http://127.0.0.1:{unused_tcp_port}", mails=2, size=2)
    for failed in (2, 4):
        shadowing.offer((0.9, 0.9), (0.9, 0.9))
        await until(lambda failed=failed: counted() == {"failed": failed})


async def test_a_mail_that_is_refused_fails_alone(make: Make, transformer: FakeTransformer, counted: Counted) -> None:
    positions: list[tuple[str, int]] = []

    async def refuse(request: web.Request, mails: list[str]) -> web.Response | None:
        if "0.3" in mails:
            return web.json_response({"error": "cannot be read"}, status=400)
        columns = {each["name"]: each["data"] for each in orjson.loads(await request.read())["inputs"]}
        positions.extend(zip(columns["request_id"], columns["position"], strict=True))
        return None

    transformer.fault = refuse
    shadowing = make(batch_mails=8, mails=4, size=4)
    shadowing.offer((0.9, 0.9), (0.9, 0.3), (0.1, 0.1))
    shadowing.offer((0.1, 0.9), request_id="other")
    await until(lambda: counted() == {"compared": 3, "failed": 1})
    assert sorted(positions) == [("other", 0), ("r", 0), ("r", 2)]
    assert shadowing.table == {("spam", "spam"): 1, ("ham", "ham"): 1, ("ham", "spam"): 1}
    shadowing.offer(*[(0.9, 0.9)] * 4)
    await until(lambda: counted() == {"compared": 7, "failed": 1})


async def test_the_end_sends_what_waits(make: Make, transformer: FakeTransformer, counted: Counted) -> None:
    shadowing = make()
    shadowing.production.is_busy = True
    for _ in range(9):
        shadowing.offer((0.9, 0.9))
    await shadowing.shadow.close(5)
    assert counted() == {"compared": 9}


async def test_the_end_waits_for_a_candidate_that_hangs_no_longer_than_it_may(
    make: Make, transformer: FakeTransformer, counted: Counted
) -> None:
    transformer.gate.clear()
    shadowing = make()
    for _ in range(9):
        shadowing.offer((0.9, 0.9))
    async with asyncio.timeout(5):
        await shadowing.shadow.close(0.1)
    assert counted() == {"dropped": 9}


async def test_the_share_is_of_requests_and_always_the_same_ones(make: Make, counted: Counted) -> None:
    shadowing = make(share=0.25, mails=10_000, batch_mails=1000)
    for n in range(1000):
        shadowing.offer((0.9, 0.9), (0.9, 0.9), request_id=f"request-{n}")
    chosen = sum(in_share(f"request-{n}", 0.25, b"shadow") for n in range(1000))
    assert 200 < chosen < 300
    await until(lambda: counted() == {"compared": 2 * chosen})


def test_shares_of_different_purposes_are_independent() -> None:
    both = sum(in_share(str(n), 0.5, b"shadow") and in_share(str(n), 0.5, b"canary") for n in range(2000))
    assert 400 < both < 600


def test_the_pairs_of_versions_are_bounded() -> None:
    comparison = Comparison()
    answer = verdicts(["0.9"])
    for n in range(20):
        ours = Verdicts([0.9], ["spam"], f"v{n}")
        comparison.add(ours, Verdicts([0.1], ["ham"], answer["model_version"]))
    assert len(comparison.pairs) == 9
    assert sum(pair.predictions["spam", "ham"] for pair in comparison.pairs.values()) == 20
    assert comparison.pairs["other", "other"].predictions["spam", "ham"] == 12
