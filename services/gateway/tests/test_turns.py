import asyncio
from http import HTTPStatus
from itertools import pairwise

from gateway.http.turns import Turns
from gateway.problems import Problem, overloaded, upstream_down


class Work:
    """Record of the work done, by kind, in order."""

    def __init__(self, each_turn: int) -> None:
        self.turns = Turns(each_turn)
        self.done: list[str] = []

    async def one(self, kind: str, weight: int = 1) -> None:
        await self.turns.next(kind, weight)
        self.done.append(kind)

    async def turn(self) -> int:
        """Run one turn of the loop; return how much work it did."""
        before = len(self.done)
        await asyncio.sleep(0)
        return len(self.done) - before

    def begin(self, kind: str, times: int, weight: int = 1) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.one(kind, weight)) for _ in range(times)]


async def test_no_turn_takes_more_than_it_may() -> None:
    work = Work(4)
    tasks = work.begin("flood", 100)
    turns = [await work.turn() for _ in range(100)]
    await asyncio.gather(*tasks)
    assert max(turns) <= 4
    assert sum(turns) == 100


async def test_a_lone_request_waits_for_no_turn() -> None:
    work = Work(4)
    tasks = work.begin("lone", 1)
    assert await work.turn() == 1
    await asyncio.gather(*tasks)


async def test_a_flood_of_one_kind_does_not_delay_another() -> None:
    work = Work(2)
    tasks = work.begin("flood", 1000)
    await work.turn()
    tasks += work.begin("probe", 1)
    turns = 0
    while "probe" not in work.done:
        await work.turn()
        turns += 1
    assert turns < 10
    await asyncio.gather(*tasks)


async def test_a_pause_that_nobody_needs_is_left_out() -> None:
    turns = Turns(1, pause_seconds=3600, needs_pause=lambda: False)
    async with asyncio.timeout(5):
        for _ in range(6):
            await turns.next("piece")


async def test_a_pause_begins_once_it_is_needed() -> None:
    needed = False
    turns, done = Turns(1, pause_seconds=3600, needs_pause=lambda: needed), 0

    async def read() -> None:
        nonlocal done
        for _ in range(9):
            await turns.next("piece")
            done += 1

    reading = asyncio.create_task(read())
    for _ in range(6):
        await asyncio.sleep(0)
    needed, before = True, done
    for _ in range(9):
        await asyncio.sleep(0)
    assert 0 < before <= done <= before + 2
    reading.cancel()


async def test_work_heavier_than_a_turn_takes_the_next_turns_too() -> None:
    work = Work(2)
    tasks = work.begin("heavy", 3, weight=6)
    turns = [await work.turn() for _ in range(12)]
    begun = [n for n, works in enumerate(turns) if works]
    assert len(begun) == 3
    assert all(later - earlier >= 3 for earlier, later in pairwise(begun))
    await asyncio.gather(*tasks)


async def test_heavy_work_fills_a_turn() -> None:
    work = Work(4)
    tasks = work.begin("heavy", 6, weight=100)
    turns = [await work.turn() for _ in range(30)]
    await asyncio.gather(*tasks)
    assert max(turns) == 1


async def test_who_no_longer_waits_takes_no_room() -> None:
    work = Work(1)
    tasks = work.begin("flood", 50)
    await work.turn()
    for task in tasks[1:-1]:
        task.cancel()
    await asyncio.wait(tasks)
    assert work.done == ["flood", "flood"]
    await asyncio.wait_for(work.one("later"), 1)


async def test_refusals_are_paced_and_failures_behind_are_not() -> None:
    paced = Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "no key")
    for problem, most in [(paced, 1), (overloaded("staging"), 20), (upstream_down("staging", "gone"), 20)]:
        turns = Turns(1)
        tasks = [asyncio.create_task(turns.refused(problem)) for _ in range(20)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in tasks) == most
        await asyncio.gather(*tasks)


async def test_between_two_turns_with_a_pause_nothing_goes_on() -> None:
    turns, done = Turns(4, pause_seconds=3600), 0

    async def one() -> None:
        nonlocal done
        await turns.next("flood")
        done += 1

    tasks = [asyncio.create_task(one()) for _ in range(20)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert done == 4
    for task in tasks:
        task.cancel()
