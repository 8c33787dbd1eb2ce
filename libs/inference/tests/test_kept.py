import asyncio

import pytest

from inference import KeptResult


class Look:
    """Call that counts itself; the test ends it, with its number or an error."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None
        self.time = 0.0
        self.kept = KeptResult(self, 1.0, lambda: self.time)

    async def __call__(self) -> int:
        self.begun += 1
        found = self.begun
        await self.may_end.wait()
        if self.error:
            raise self.error
        return found

    async def asked(self, times: int) -> list[asyncio.Task[int]]:
        asking = [asyncio.create_task(self.kept()) for _ in range(times)]
        await asyncio.sleep(0)
        return asking


async def test_all_who_ask_at_once_share_one_look() -> None:
    look = Look()
    asking = await look.asked(1000)
    look.may_end.set()
    assert set(await asyncio.gather(*asking)) == {1}
    assert look.begun == 1


async def test_a_result_is_kept_for_its_time_and_no_longer() -> None:
    look = Look()
    look.may_end.set()
    assert await look.kept() == 1
    look.time = 0.99
    assert await look.kept() == 1
    look.time = 1.0
    assert await look.kept() == 2


async def test_its_time_begins_when_the_result_is_found() -> None:
    look = Look()
    asking = await look.asked(1)
    look.time = 5.0
    look.may_end.set()
    await asking[0]
    look.time = 5.99
    assert await look.kept() == 1


async def test_who_goes_away_does_not_end_the_look_for_the_others() -> None:
    look = Look()
    first, second = await look.asked(2)
    first.cancel()
    await asyncio.wait([first])
    look.may_end.set()
    assert await second == 1
    assert look.begun == 1


async def test_when_all_have_gone_the_look_still_serves_the_next() -> None:
    look = Look()
    (only,) = await look.asked(1)
    only.cancel()
    await asyncio.wait([only])
    (later,) = await look.asked(1)
    look.may_end.set()
    assert await later == 1


async def test_an_error_is_everybodys_and_is_not_kept() -> None:
    look = Look()
    look.error = ValueError("bug")
    asking = await look.asked(3)
    look.may_end.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["bug"] * 3
    look.error = None
    assert await look.kept() == 2


async def test_a_look_under_way_can_be_ended() -> None:
    look = Look()
    (asking,) = await look.asked(1)
    look.kept.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    look.may_end.set()
    assert await look.kept() == look.begun
