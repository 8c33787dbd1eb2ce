"""Tests of API keys across the real processes: a command makes them, and their file changes while the gateway runs."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import ROOT, System, system
from test_smoke import smoke

GATEWAY = ROOT / "services" / "gateway" / ".venv" / "bin" / "gateway"
BODIES = {
    "/api/v1/predict": {"email_content": "Subject: Lunch\n\nSee you at ten."},
    "/api/v1/batch-predict": {"emails": ["See you at ten.", "You have won $1,000,000!!!"]},
}


@dataclass
class Guarded:
    """System that requires keys, and the keys."""

    system: System
    file: Path
    shop: str
    mill: str


def make_key(file: Path, name: str, environments: str, *options: str) -> str:
    """Make a key, add its entry to the file, and return the key."""
    command = [GATEWAY, "api-key", "--name", name, "--environments", environments, "--file", file, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Guarded]:
    """Yield a system whose key file is mounted as the kubelet mounts a Secret: a link to a link, which is swapped."""
    mounted = tmp_path_factory.mktemp("secret")
    (mounted / "..first").mkdir()
    first = mounted / "..first" / "keys.json"
    shop = make_key(first, "shop", "staging")
    mill = make_key(first, "mill", "staging,production", "--mails-per-second", "0.05", "--burst", "3")
    (mounted / "..data").symlink_to("..first")
    (mounted / "keys.json").symlink_to("..data/keys.json")
    folder = tmp_path_factory.mktemp("guarded")
    with system(folder, model, {"API_KEYS_FILE": str(mounted / "keys.json")}) as found:
        yield Guarded(found, mounted / "keys.json", shop, mill)


async def ask(
    http: aiohttp.ClientSession, guarded: Guarded, path: str, key: str = "", environment: str = "staging"
) -> tuple[int, dict[str, Any], dict[str, str]]:
    headers = {"X-Environment": environment} | ({"Authorization": f"Bearer {key}"} if key else {})
    async with http.post(guarded.system.url + path, json=BODIES[path], headers=headers) as response:
        return response.status, await response.json(content_type=None), dict(response.headers)


@pytest.mark.parametrize("path", BODIES)
async def test_keys_open_what_they_are_for(http: aiohttp.ClientSession, guarded: Guarded, path: str) -> None:
    status, problem, headers = await ask(http, guarded, path)
    assert (status, problem["type"], headers["WWW-Authenticate"]) == (401, "urn:problem:unauthorized", "Bearer")
    assert (await ask(http, guarded, path, guarded.shop[:-1] + "_"))[0] == 401
    assert (await ask(http, guarded, path, guarded.shop))[0] == 200
    status, problem, _ = await ask(http, guarded, path, guarded.shop, "production")
    assert (status, problem["allowed_environments"]) == (403, ["staging"])


async def test_a_key_over_its_rate_is_told_when_to_come_back(http: aiohttp.ClientSession, guarded: Guarded) -> None:
    """The burst is three mails: a single one, and a batch of two."""
    paths = [*BODIES, "/api/v1/predict"]
    statuses = [(await ask(http, guarded, path, guarded.mill, "production"))[0] for path in paths]
    assert statuses == [200, 200, 429]
    _, problem, headers = await ask(http, guarded, "/api/v1/predict", guarded.mill)
    assert problem["type"] == "urn:problem:rate-limited"
    assert 1 <= int(headers["Retry-After"]) <= 20
    assert (await ask(http, guarded, "/api/v1/predict", guarded.shop))[0] == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/openapi.json"])
async def test_what_asks_no_mail_is_open(http: aiohttp.ClientSession, guarded: Guarded, path: str) -> None:
    async with http.get(guarded.system.url + path) as response:
        assert response.status == 200


def test_the_smoke_test_needs_a_key(guarded: Guarded) -> None:
    code, said = smoke(guarded.system, ENVIRONMENT="staging")
    assert (code, "401: an API key is needed" in said) == (1, True)
    code, said = smoke(guarded.system, ENVIRONMENT="staging", TIMEOUT_SECONDS="30", API_KEY=f"{guarded.shop}\n")
    assert code == 0, said


@pytest.mark.parametrize(("keyed", "code"), [(True, 0), (False, 1)])
def test_simulated_mail_has_the_key_of_the_variable(guarded: Guarded, tmp_path: Path, keyed: bool, code: int) -> None:
    for kind in ("ham", "spam"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "1").write_text("Subject: Lunch\n\nSee you at ten.")
    command = [ROOT / "tools" / "local" / ".venv" / "bin" / "simulate", "--url", guarded.system.url]
    environ = {**os.environ, "API_KEY": guarded.shop if keyed else ""}
    options = ["--corpus", tmp_path, "--mails", "3"]
    done = subprocess.run([*command, *options], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "401 an API key is needed" in done.stderr) == (code, not keyed)


async def test_a_changed_secret_is_read_by_the_running_gateway(http: aiohttp.ClientSession, guarded: Guarded) -> None:
    path = "/api/v1/predict"
    swap(guarded.file, "..wrong", json.dumps({"keys": []}))
    await logged(guarded, "API keys refused, those before stay")
    assert (await ask(http, guarded, path, guarded.shop))[0] == 200

    folder = guarded.file.parent / "made"
    folder.mkdir()
    new = make_key(folder / "keys.json", "next", "production")
    swap(guarded.file, "..second", (folder / "keys.json").read_text())
    await logged(guarded, "API keys read")
    assert (await ask(http, guarded, path, new, "production"))[0] == 200
    assert (await ask(http, guarded, path, guarded.shop))[0] == 401


def swap(file: Path, name: str, content: str) -> None:
    """Replace the content as the kubelet does: a new folder, and the link to it in one step."""
    (file.parent / name).mkdir()
    (file.parent / name / "keys.json").write_text(content)
    (file.parent / "..new").symlink_to(name)
    os.replace(file.parent / "..new", file.parent / "..data")


async def logged(guarded: Guarded, value: str, field: str = "message") -> None:
    """Wait for a log line that has the value in a field."""
    end = time.monotonic() + 20
    while not [line for line in guarded.system.log("gateway") if line.get(field) == value]:
        assert time.monotonic() < end, f"no line has {field} {value!r}"
        await asyncio.sleep(0.1)


async def test_the_log_has_names_and_no_key(guarded: Guarded) -> None:
    """This test runs last, so everything that was sent is in the log."""
    for name in ("shop", "mill", "next"):
        await logged(guarded, name, "key")
    text = json.dumps(guarded.system.log("gateway"))
    assert not [key for key in (guarded.shop, guarded.mill, "msk_") if key in text]
