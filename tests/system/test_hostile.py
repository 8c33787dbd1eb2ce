"""Tests of hostile mail and hostile requests across the real processes. `make resilience` sends more."""

import asyncio
import json
import socket
from contextlib import suppress

import aiohttp
import pytest
from conftest import System

from corpus.hostile import FAMILIES
from corpus.hostile_requests import MARK, REQUESTS

CHARACTERS = 250_000
SLOWEST = ("short headers", "nested parts", "unknown codecs", "every codec", "letters that grow", "punycode")


async def test_hostile_mail_is_answered_and_changes_no_other_answer(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    expected = [await probability(http, shared, mail) for mail in mails[:32]]
    hostile = [
        FAMILIES[name](CHARACTERS).encode("utf-8", "replace")[: 1 << 20].decode("utf-8", "ignore") for name in SLOWEST
    ]
    answers = await asyncio.gather(*(probability(http, shared, mail) for mail in [*mails[:32], *hostile]))
    assert answers[:32] == pytest.approx(expected, abs=1e-6)


async def probability(http: aiohttp.ClientSession, system: System, mail: str) -> float:
    async with http.post(f"{system.url}/api/v1/predict", json={"email_content": mail}) as response:
        assert response.status == 200
        return float((await response.json())["spam_probability"])


@pytest.mark.parametrize("name", REQUESTS)
def test_hostile_requests_have_a_described_status_and_no_header_of_their_own(shared: System, name: str) -> None:
    raw, statuses = REQUESTS[name]
    head = first_answer(shared, raw).partition(b"\r\n\r\n")[0]
    assert int(head[9:12]) in statuses
    assert not any(line.startswith((MARK.encode(), b"{")) for line in head.split(b"\r\n"))


def test_hostile_requests_leave_no_line_of_log_of_their_own(shared: System) -> None:
    for raw, _ in REQUESTS.values():
        first_answer(shared, raw)
    for name in shared.processes:
        for line in (shared.folder / f"{name}.log").read_text().splitlines():
            assert json.loads(line)["message"] != MARK


def first_answer(system: System, raw: bytes) -> bytes:
    with socket.create_connection(system.address, timeout=20) as connection:
        # A server that refuses a request early closes the connection while it is still being sent.
        with suppress(OSError):
            connection.sendall(raw)
        return connection.recv(1 << 16)
