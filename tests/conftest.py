"""The real processes, started once for all tests that leave them alive."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
MODEL = "spam-detector"


@dataclass
class System:
    """Two environments and a gateway."""

    url: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def kill(self, *names: str) -> None:
        for name in names:
            self.processes[name].kill()
            self.processes[name].wait()


@contextmanager
def system(folder: Path, **gateway: str) -> Iterator[System]:
    """Start predictors, transformers and the gateway; end them whatever happens."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    ports = {name: free_port() for name in ("ps", "pp", "ts", "tp", "gateway")}
    model = os.environ.get("MODEL_DIR") or pytest.fail("MODEL_DIR names no bundle; run `make test`, which trains one")
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    environments = f'{{"staging": "{urls["ts"]}", "production": "{urls["tp"]}"}}'
    commands = {
        "ps": ("predictor", {"MODEL_DIR": model}),
        "pp": ("predictor", {"MODEL_DIR": model}),
        "ts": ("transformer", {"PREDICTOR_URL": urls["ps"], "ENVIRONMENT": "staging"}),
        "tp": ("transformer", {"PREDICTOR_URL": urls["pp"], "ENVIRONMENT": "production"}),
        "gateway": ("gateway", {"ENVIRONMENTS": environments, **gateway}),
    }
    try:
        for name, (service, settings) in commands.items():
            port = {"PORT" if service == "gateway" else "HTTP_PORT": str(ports[name])}
            processes[name] = start(service, {**settings, **port}, folder / f"{name}.log")
        for name, path in {
            "ts": f"v2/models/{MODEL}/ready",
            "tp": f"v2/models/{MODEL}/ready",
            "gateway": "ready",
        }.items():
            wait_for(f"{urls[name]}/{path}", folder)
        yield System(urls["gateway"], processes)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def start(service: str, settings: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = ROOT / "services" / service / ".venv" / "bin" / service
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
    with log.open("wb") as out:
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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that no test may harm."""
    with system(tmp_path_factory.mktemp("shared")) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[System]:
    """A system of the test's own."""
    with system(tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture(scope="session")
def corpus() -> Path:
    return Path(os.environ.get("CORPUS_DIR") or pytest.fail("CORPUS_DIR names no corpus; run `make test`"))


@pytest.fixture(scope="session")
def mails(corpus: Path) -> list[str]:
    """200 real mails of every folder."""
    folders = sorted(folder for folder in corpus.iterdir() if folder.is_dir())
    paths = [path for folder in folders for path in sorted(folder.glob("*.txt"))[: 200 // len(folders)]]
    assert len(paths) >= 100, f"{corpus} holds too few mails"
    return [path.read_bytes().decode("latin-1") for path in paths]


def terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
