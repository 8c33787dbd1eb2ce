"""Tests of a shadow: production's mail answered by a candidate that is known to differ, across the real processes."""

import asyncio
import itertools
import re
import signal
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from conftest import ROOT, System, system, wait_for

from inferencelog import ShadowWindow, open_shadow, open_store, read_shadow, read_window

SECONDS = 60
WORDS = ("invoice", "meeting")
"""Word that production's model calls spam, and word that the candidate's does."""
MAILS = {
    ("spam", "ham"): "your invoice",
    ("ham", "spam"): "our meeting",
    ("spam", "spam"): "an invoice before the meeting",
    ("ham", "ham"): "see you",
}
"""Mail by production's verdict and the candidate's."""
KINDS = [kind for kind, times in zip(MAILS, (1, 2, 3, 4), strict=True) for _ in range(times)]
"""Kinds of mail, each as often as it is sent in a round."""
Table = Counter[tuple[str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return production's model and the candidate's."""
    folder = tmp_path_factory.mktemp("two")
    python = ROOT / "tools" / "trainer" / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, ROOT / "tests" / "system" / "two_models.py", folder, *WORDS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / WORDS[0], folder / WORDS[1]


async def ask(http: aiohttp.ClientSession, running: System, kinds: list[tuple[str, str]]) -> None:
    """Send one request, single or batch, with mails of these kinds; the answer must be production's."""
    mails = [MAILS[kind] for kind in kinds]
    path, body = ("batch-predict", {"emails": mails}) if len(mails) > 1 else ("predict", {"email_content": mails[0]})
    headers = {"X-Environment": "production"}
    async with http.post(f"{running.url}/api/v1/{path}", json=body, headers=headers) as answer:
        found = await answer.json()
        assert (answer.status, found["environment"]) == (200, "production"), found
        assert [each["prediction"] for each in found.get("predictions", [found])] == [kind[0] for kind in kinds]


async def send(http: aiohttp.ClientSession, running: System, rounds: int) -> Table:
    """Send rounds of all kinds, as single requests and as batches, some at a time."""
    sent: Table = Counter()
    for _ in range(rounds):
        requests = [[kind] for kind in KINDS] + [KINDS, KINDS[:3]]
        await asyncio.gather(*(ask(http, running, kinds) for kinds in requests))
        sent.update(itertools.chain.from_iterable(requests))
    return sent


async def metrics(http: aiohttp.ClientSession, running: System) -> str:
    async with http.get(f"{running.url}/metrics") as answer:
        return await answer.text()


def pairs(text: str) -> Table:
    found = re.findall(
        r'^gateway_shadow_pairs_total\{candidate_prediction="(\w+)",candidate_version="finds-meeting",'
        r'production_prediction="(\w+)",production_version="finds-invoice"\} (\S+)$',
        text,
        re.MULTILINE,
    )
    return Counter({(production, candidate): int(float(mails)) for candidate, production, mails in found})


async def compared(http: aiohttp.ClientSession, running: System, mails: int) -> Table:
    """Return the table once so many mails are in it."""
    async with asyncio.timeout(SECONDS):
        while (table := pairs(await metrics(http, running))).total() < mails:
            await asyncio.sleep(0.1)
    return table


def stop(running: System, name: str) -> None:
    """End a process as a pod is ended."""
    running.terminate(name)
    assert running.processes[name].wait(SECONDS) in (0, -signal.SIGTERM)


def rows(uri: str) -> ShadowWindow:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    return read_shadow(open_shadow(uri), "staging", now - hour, now + hour)


def table_of(window: ShadowWindow) -> Table:
    columns = (window.table[name].to_pylist() for name in ("production_prediction", "prediction"))
    return Counter(zip(*columns, strict=True))


async def test_each_mail_is_compared_once_although_every_pod_is_restarted(
    http: aiohttp.ClientSession, tmp_path: Path, models: tuple[Path, Path]
) -> None:
    uri = (tmp_path / "log").as_uri()
    production, candidate = models
    gateway = {"SHADOW_SHARE": "1", "SHADOW_DRAIN_SECONDS": str(SECONDS), "SHADOW_MAX_MAILS": "10000"}
    with system(tmp_path, production, gateway, candidate, INFERENCE_LOG_URI=uri) as running:
        sent = await send(http, running, 5)
        assert await compared(http, running, sent.total()) == sent, "the metrics"
        for name in ("ts", "ps"):
            sending = asyncio.create_task(send(http, running, 20))
            await compared(http, running, sent.total() + 1)
            await asyncio.to_thread(stop, running, name)
            sent += await sending
            running.start(name)
        # Stop the gateway while mail still waits for the candidate, which is not ready yet.
        await asyncio.to_thread(stop, running, "gateway")
        running.start("gateway")
        await asyncio.to_thread(wait_for, f"{running.url}/ready", tmp_path)
        sent += await send(http, running, 5)
        for name in ("gateway", "ts", "tp"):
            await asyncio.to_thread(stop, running, name)
        ended = [line for line in running.log("gateway") if line["message"] == "shadow ended"]
    assert [sum(line[f"{outcome}_mails"] for line in ended) for outcome in ("compared", "dropped", "failed")] == [
        sent.total(),
        0,
        0,
    ]
    window = rows(uri)
    assert table_of(window) == sent, "the log"
    assert (window.unreadable, window.contradictions) == ({}, 0)
    assert set(window.table["model_version"].to_pylist()) == {"finds-meeting"}
    assert set(window.table["production_version"].to_pylist()) == {"finds-invoice"}
    assert len(set(window.table["model_sha256"].to_pylist() + window.table["production_sha256"].to_pylist())) == 2
    now, hour = datetime.now(UTC), timedelta(hours=1)
    ordinary = {name: read_window(open_store(uri), name, now - hour, now + hour) for name in ("staging", "production")}
    assert {name: found.table.num_rows for name, found in ordinary.items()} == {
        "staging": 0,
        "production": sent.total(),
    }


async def test_production_goes_on_while_the_candidate_hangs_or_is_dead(
    http: aiohttp.ClientSession, tmp_path: Path, models: tuple[Path, Path]
) -> None:
    gateway = {"SHADOW_SHARE": "1", "SHADOW_MAX_MAILS": "100", "SHADOW_DRAIN_SECONDS": "0"}
    with system(tmp_path, models[0], gateway, models[1]) as running:
        running.processes["ts"].send_signal(signal.SIGSTOP)
        sent = await send(http, running, 10)
        text = await metrics(http, running)
        assert value(text, "gateway_shadow_queued_mails") == 100
        assert value(text, 'gateway_shadow_mails_total{outcome="dropped"}') == sent.total() - 100
        running.processes["ts"].send_signal(signal.SIGCONT)
        running.kill("ts")
        await send(http, running, 10)
        kinds = re.findall(r'^gateway_upstream_errors_total\{environment="staging",.*\} (\S+)$', text, re.MULTILINE)
        assert kinds and set(kinds) == {"0.0"}, "no error of staging's own"


async def test_a_canary_answers_its_share_and_stops_when_its_pods_are_gone(
    http: aiohttp.ClientSession, tmp_path: Path, models: tuple[Path, Path]
) -> None:
    gateway = {
        "CANARY_SHARE": "0.5",
        "CANARY_MAX_ERROR_RATE": "0.1",
        "CANARY_MAX_LATENCY_SECONDS": "5",
        "CANARY_MINIMUM_REQUESTS": "20",
    }

    async def answered(n: int) -> tuple[str, str, str]:
        headers = {"X-Environment": "production", "X-Canary-Key": f"customer-{n}"}
        body = {"email_content": MAILS["spam", "ham"]}
        async with http.post(f"{running.url}/api/v1/predict", json=body, headers=headers) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found["environment"], found["model_version"], found["prediction"]

    with system(tmp_path, models[0], gateway, models[1]) as running:
        first = [await answered(n) for n in range(40)]
        assert set(first) == {("production", "finds-invoice", "spam"), ("staging", "finds-meeting", "ham")}
        assert [await answered(n) for n in range(40)] == first
        running.kill("ts")
        # Earlier answers count for the window, so it takes some more errors.
        found = [await answered(n) for n in range(60)]
        assert set(found) == {("production", "finds-invoice", "spam")}
        text = await metrics(http, running)
        assert value(text, 'gateway_canary_stopped{reason="errors"}') == 1
        assert value(text, "gateway_canary_share") == 0
        (line,) = [line for line in running.log("gateway") if line["message"] == "canary stopped"]
        assert line["errors"] > 0.1 * line["requests"]


def value(text: str, series: str) -> float:
    (found,) = re.findall(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found)
