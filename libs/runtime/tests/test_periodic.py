import asyncio
import logging
from functools import partial

import pytest

from runtime.periodic import every

log = logging.getLogger("test")


class Work:
    """Work whose third call never ends by itself."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = errors
        self.calls = 0
        self.hangs = asyncio.Event()
        self.ended = False

    async def __call__(self) -> None:
        self.calls += 1
        if self.calls > len(self.errors):
            self.hangs.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended = True
        if (error := self.errors[self.calls - 1]) is not None:
            raise error


async def test_calls_go_on_after_an_error_which_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(None, ValueError("bug"), None)
    async with every(0, work, "work", partial(log.exception, "work not done")):
        async with asyncio.timeout(5):
            await work.hangs.wait()
    assert work.calls == 4
    (record,) = caplog.records
    assert record.message == "work not done"
    assert record.exc_info is not None and str(record.exc_info[1]) == "bug"


async def test_the_end_of_the_context_ends_the_call_under_way() -> None:
    work = Work()
    async with every(0, work, "work", partial(log.exception, "work not done")):
        await work.hangs.wait()
        assert "work" in {task.get_name() for task in asyncio.all_tasks()}
    assert work.ended
    assert "work" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_the_first_call_does_not_wait() -> None:
    work = Work(None)
    async with every(3600, work, "work", partial(log.exception, "work not done")):
        await asyncio.sleep(0)
        assert work.calls == 1
