"""Fixtures with the real processes, started once for all tests that leave them alive."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import chromium
import pytest
from playwright.async_api import Browser
from s3_server import S3Server, s3_server

from corpus import MailFile, find_mails, read_mail

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
MODEL = "spam-detector"


@dataclass
class System:
    """System of two environments and a gateway."""

    url: str
    folder: Path
    commands: dict[str, tuple[str, dict[str, str]]]
    """Service and settings of each process, in the order of their start."""
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port of the gateway, for tests that speak HTTP by hand."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def start(self, name: str) -> None:
        service, settings = self.commands[name]
        self.processes[name] = start(service, settings, self.folder / f"{name}.log")

    def kill(self, *names: str) -> None:
        for name in names:
            self.processes[name].kill()
            self.processes[name].wait()

    def terminate(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGTERM)

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return the lines that a process has logged; fail if one is not a JSON object."""
        return [json.loads(line) for line in (self.folder / f"{name}.log").read_text().splitlines()]


@contextmanager
def system(
    folder: Path,
    model: Path,
    gateway: dict[str, str] | None = None,
    staging_model: Path | None = None,
    **transformer: str,
) -> Iterator[System]:
    """Start predictors, transformers and the gateway; end them whatever happens.

    Args:
        gateway: More settings of the gateway.
        staging_model: Model of staging, if it is another.
        transformer: Settings of both transformers.
    """
    ports = {name: free_port() for name in ("ps", "pp", "ts", "tp", "gateway")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    found = System(urls["gateway"], folder, commands(model, ports, urls, transformer), {})
    found.commands["gateway"][1].update(gateway or {})
    found.commands["ps"][1]["MODEL_DIR"] = str(staging_model or model)
    try:
        for name in found.commands:
            found.start(name)
        for name in ("ts", "tp"):
            wait_for(f"{urls[name]}/v2/models/{MODEL}/ready", folder)
        wait_for(f"{urls['gateway']}/ready", folder)
        yield found
    finally:
        for process in found.processes.values():
            process.kill()
            process.wait()


def commands(
    model: Path, ports: dict[str, int], urls: dict[str, str], transformer: dict[str, str]
) -> dict[str, tuple[str, dict[str, str]]]:
    def http(name: str, **settings: str) -> dict[str, str]:
        return {"HTTP_PORT": str(ports[name]), **settings}

    environments = json.dumps({"staging": urls["ts"], "production": urls["tp"]})
    return {
        "ps": ("predictor", http("ps", MODEL_DIR=str(model))),
        "pp": ("predictor", http("pp", MODEL_DIR=str(model))),
        "ts": ("transformer", http("ts", PREDICTOR_URL=urls["ps"], ENVIRONMENT="staging", **transformer)),
        "tp": ("transformer", http("tp", PREDICTOR_URL=urls["pp"], ENVIRONMENT="production", **transformer)),
        "gateway": ("gateway", {"PORT": str(ports["gateway"]), "HOST": "127.0.0.1", "ENVIRONMENTS": environments}),
    }


def start(service: str, settings: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = ROOT / "services" / service / ".venv" / "bin" / service
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
    with log.open("ab") as out:
        return subprocess.Popen([command], env=environ, stdout=out, stderr=subprocess.STDOUT)


def wait_for(url: str, logs: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    tails = "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(logs.glob("*.log")))
    pytest.fail(f"{url} is not ready after {START_SECONDS} s\n{tails}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def model() -> Path:
    """Return the bundle of `MODEL_DIR`, or the one that was trained last."""
    trained = sorted((ROOT / "build" / "models" / MODEL).glob("*/model.json"), key=lambda path: path.stat().st_mtime)
    if named := os.environ.get("MODEL_DIR"):
        return Path(named)
    return trained[-1].parent if trained else pytest.fail("there is no model: run `make train`, or set MODEL_DIR")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[System]:
    """Yield a system that tests must leave unharmed."""
    with system(tmp_path_factory.mktemp("shared"), model) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path, model: Path) -> Iterator[System]:
    """Yield a system for one test alone."""
    with system(tmp_path, model) as found:
        yield found


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """Yield a real S3 server, which this process and those that it starts may use."""
    with pytest.MonkeyPatch.context() as patch, s3_server(tmp_path / "s3") as server:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = chromium.find()
    if executable is None:
        pytest.skip("NO BROWSER, so nothing is known about the pages: install chromium")
    async with chromium.launched(executable) as found:
        yield found


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of `CORPUS_DIR`, or the one that `make train` has recorded."""
    noted = ROOT / "build" / "corpus"
    if named := os.environ.get("CORPUS_DIR") or (noted.is_file() and noted.read_text().strip()):
        return ROOT / named
    pytest.fail("there is no corpus: run `make train`, or set CORPUS_DIR")


@pytest.fixture(scope="session")
def mails(corpus: Path) -> list[str]:
    """Return 1,000 real mails, an equal share of each folder; fewer if the user's own corpus holds fewer."""
    groups = by_folder(corpus).values()
    found = [text for group in groups for text in texts_of(group[: 1000 // len(groups)])]
    assert len(found) >= 100, f"{corpus} holds too few mails"
    return found


def by_folder(corpus: Path) -> dict[tuple[Path, bool], list[MailFile]]:
    """Return the mails of a corpus by kind and by their folder, or by the file that holds many of them."""
    found: dict[tuple[Path, bool], list[MailFile]] = {}
    for mail in find_mails(corpus, 0):
        found.setdefault((mail.path if mail.number else mail.path.parent, mail.spam), []).append(mail)
    return found


def texts_of(mails: list[MailFile]) -> list[str]:
    return [read_mail(mail).decode("latin-1") for mail in mails]
