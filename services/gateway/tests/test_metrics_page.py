import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest

from gateway.routing.metrics_page import TEXTS_AT_ONCE, MetricsPage


class Counting(CollectorRegistry):
    """Registry that counts the texts made from it."""

    made = 0

    def collect(self) -> Iterator[Metric]:
        self.made += 1
        return super().collect()


@pytest.fixture
def registry() -> Counting:
    found = Counting()
    for i in range(20):
        Counter(f"counter_{i}", "One of many", ["label"], registry=found).labels('a"b').inc(i)
    Gauge("gauge", "Another", registry=found).set(1.5)
    return found


async def test_the_text_is_the_libraries_own(registry: Counting) -> None:
    response = await MetricsPage(registry)()
    assert response.body == generate_latest(registry)
    assert response.headers["content-type"].startswith("text/plain; version=")


async def test_a_few_in_a_row_are_all_of_their_moment(registry: Counting) -> None:
    page, gauge = MetricsPage(registry), Gauge("now", "Changes", registry=registry)
    for i in range(TEXTS_AT_ONCE):
        gauge.set(i)
        assert f"now {i}.0".encode() in bytes((await page()).body)


async def test_a_flood_is_served_from_few_texts(registry: Counting) -> None:
    page = MetricsPage(registry)
    answers = await asyncio.gather(*(page() for _ in range(500)))
    assert len({bytes(answer.body) for answer in answers}) == 1
    assert registry.made <= 2 * TEXTS_AT_ONCE
    for _ in range(500):
        await page()
    assert registry.made <= 2 * TEXTS_AT_ONCE


async def test_a_text_is_made_in_many_turns(registry: Counting) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await MetricsPage(registry)()
    beside.cancel()
    assert turns > 20
