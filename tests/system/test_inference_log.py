"""Tests of the transformers' inference log, across the real processes."""

import asyncio
import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from conftest import System, system
from s3_server import S3Server

from inferencelog import Window, open_store, read_window

DOWN_SECONDS = float(os.environ.get("STORE_DOWN_SECONDS", "10"))
"""Seconds for which a test takes the store away."""
STOP_SECONDS = 20


def read(uri: str) -> Window:
    now = datetime.now(UTC)
    return read_window(open_store(uri), "production", now - timedelta(hours=2), now + timedelta(hours=1))


async def ask(http: aiohttp.ClientSession, system: System, mails: list[str]) -> dict[str, Any]:
    headers = {"X-Environment": "production"}
    async with http.post(f"{system.url}/api/v1/batch-predict", json={"emails": mails}, headers=headers) as answer:
        found: dict[str, Any] = await answer.json()
        assert answer.status == 200, found
        return found


def stop(system: System) -> None:
    system.terminate("tp")
    assert system.processes["tp"].wait(STOP_SECONDS) in (0, -signal.SIGTERM)


async def metrics(http: aiohttp.ClientSession, system: System) -> dict[str, float]:
    port = system.commands["tp"][1]["HTTP_PORT"]
    async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = [line.split() for line in (await answer.text()).splitlines() if line.startswith("inference_log")]
    return {name: float(value) for name, value in lines}


async def until_waiting_is(http: aiohttp.ClientSession, system: System, rows: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (await metrics(http, system))["inference_log_rows_waiting"] != rows:
        assert time.monotonic() < end, await metrics(http, system)
        await asyncio.sleep(0.2)


async def test_100_000_answers_are_100_000_rows_after_sigterm(
    http: aiohttp.ClientSession, tmp_path: Path, model: Path, mails: list[str]
) -> None:
    short = sorted(mails, key=len)[:500] * 2
    uri = (tmp_path / "log").as_uri()
    expected: Counter[tuple[str, float]] = Counter()
    with system(tmp_path, model, INFERENCE_LOG_URI=uri, INFERENCE_LOG_FLUSH_SECONDS="3600") as own:
        for _ in range(25):
            for answer in await asyncio.gather(*(ask(http, own, short) for _ in range(4))):
                expected.update((answer["request_id"], p["spam_probability"]) for p in answer["predictions"])
        stop(own)
    table = read(uri).table
    found = Counter(zip(table["request_id"].to_pylist(), table["spam_probability"].to_pylist(), strict=True))
    assert table.num_rows == expected.total() == 100_000
    assert found == expected
    assert set(table["model_sha256"].to_pylist()) != {""}


async def test_kill_9_loses_at_most_a_flush_interval(
    http: aiohttp.ClientSession, tmp_path: Path, model: Path, mails: list[str]
) -> None:
    uri = (tmp_path / "log").as_uri()
    answered: list[float] = []
    with system(tmp_path, model, INFERENCE_LOG_URI=uri, INFERENCE_LOG_FLUSH_SECONDS="0.5") as own:
        begin = time.monotonic()
        while time.monotonic() < begin + 6:
            await ask(http, own, mails[:1])
            answered.append(time.monotonic())
        own.kill("tp")
    found = read(uri)
    assert found.unreadable == {}
    # Allow some seconds beyond the interval, because encoding and writing take time on a busy machine.
    assert found.table.num_rows >= sum(at < answered[-1] - 4.5 for at in answered) > 0


async def test_a_store_that_goes_away_and_comes_back_loses_nothing(
    http: aiohttp.ClientSession, tmp_path: Path, model: Path, mails: list[str], s3: S3Server
) -> None:
    sent = 0
    uri = f"{s3.uri}/log"
    with system(tmp_path, model, INFERENCE_LOG_URI=uri, INFERENCE_LOG_FLUSH_SECONDS="0.5") as own:
        sent += (await ask(http, own, mails))["count"]
        await until_waiting_is(http, own, 0, 20)
        s3.stop()
        end = time.monotonic() + DOWN_SECONDS
        while time.monotonic() < end:
            sent += (await ask(http, own, mails[:100]))["count"]
            await asyncio.sleep(0.1)  # the load: a batch every tenth of a second
        assert (await metrics(http, own))["inference_log_rows_waiting"] > 0
        s3.start()
        await until_waiting_is(http, own, 0, 30)
        found = await metrics(http, own)
        assert (found["inference_log_rows_written_total"], found["inference_log_rows_dropped_total"]) == (sent, 0)
        sent += (await ask(http, own, mails))["count"]
        stop(own)
        # A separate thread writes the lines, so all of them are there only once the process has ended.
        said = [line["message"] for line in own.log("tp") if "store is" in line["message"]]
        assert said == ["inference log: store is away, rows wait", "inference log: store is back"]
    assert read(uri).table.num_rows == sent
