"""Real model server in its own process: answers, log and end."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

SERVER = Path(__file__).parent / "echo_server.py"
INFER = "/v2/models/echo/infer"
SECONDS = 30


@dataclass
class Server:
    """Server process, its client and its output."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    output: Path
    is_ready: Path
    """File whose existence makes the model's dependency ready."""

    def ask(self, value: str, **options: Any) -> httpx.Response:
        return self.http.post(INFER, **({"json": body(value)} | options))

    def lines(self) -> list[dict[str, Any]]:
        """Return the log; fail if a line is not one JSON object."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def count(self) -> int:
        """Return the number of log lines, once all earlier ones have been written."""
        marker = str(uuid4())
        self.ask(marker)
        self.wait_for("asked", value=marker)
        return len(self.lines())

    def wait_for(self, message: str, **fields: object) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for line in self.lines():
                if line["message"].startswith(message) and fields.items() <= line.items():
                    return line
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.02)
        pytest.fail(f"no line {message!r} {fields}\n{self.output.read_text()}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Server shared by tests that do it no harm."""
    yield from started(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """Server of one test alone."""
    yield from started(tmp_path)


def started(folder: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = folder / "log"
    with output.open("wb") as out:
        is_ready = folder / "ready"
        is_ready.touch()
        command = [sys.executable, SERVER, str(port), str(is_ready)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as http:
            server = Server(process, http, output, is_ready)
            server.wait_for("Uvicorn running")
            yield server
    finally:
        process.kill()
        process.wait()


def body(value: str, **more: object) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [value]}], **more}


BINARY = {"Content-Type": "application/octet-stream"}
CLOUD_EVENT = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "test", "ce-type": "test"}


@pytest.mark.parametrize(
    ("headers", "value", "status", "error"),
    [
        ({}, "invalid", 400, "no such column"),
        ({}, "down", 503, "the predictor is down"),
        ({}, "bug", 500, "oops"),
        (CLOUD_EVENT, "invalid", 400, "no such column"),
        (CLOUD_EVENT, "down", 503, "the predictor is down"),
    ],
)
def test_failures_have_one_shape_on_our_way_and_the_sdks(
    shared: Server, headers: dict[str, str], value: str, status: int, error: str
) -> None:
    response = shared.ask(value, headers=headers)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert error in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        (INFER, b"{", {}, 400),
        (INFER, b"{}", BINARY, 400),
        (INFER, b"{", CLOUD_EVENT, 400),
        (INFER, b'{"inputs": 1}', CLOUD_EVENT, 400),
        ("/v1/models/echo:predict", b'{"instances": 1}', {}, 400),
        ("/v2/models/other/infer", json.dumps(body("a")).encode(), {}, 404),
        ("/v2/models/echo/versions/1/infer", json.dumps(body("a")).encode(), {}, 501),
    ],
)
def test_refusals_are_answered_and_leave_no_traceback(
    shared: Server, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    before = shared.count()
    response = shared.http.post(path, content=content, headers={"Content-Type": "application/json", **headers})
    assert (response.status_code, list(response.json())) == (status, ["error"])
    shared.ask("after")
    shared.wait_for("asked", value="after")
    assert not [line for line in shared.lines()[before:] if "exc_info" in line]


def test_a_bug_is_logged_with_its_request(shared: Server) -> None:
    shared.ask("bug", headers={"X-Request-ID": "r-1"})
    line = shared.wait_for("inference failed", request_id="r-1")
    assert (line["level"], line["logger"]) == ("ERROR", "kserving")
    assert "RuntimeError: oops" in line["exc_info"]


def test_what_a_hop_behind_fails_with_is_logged_with_its_request(shared: Server) -> None:
    shared.ask("down", headers={"X-Request-ID": "r-2"})
    assert shared.wait_for("unavailable", request_id="r-2")["reason"] == "the predictor is down"


def test_requests_leave_no_lines(shared: Server) -> None:
    """The SDK and uvicorn write five lines a request by default, which cost a third of it."""
    before = shared.count()
    for _ in range(3):
        assert shared.ask("quiet").status_code == 200
    shared.ask("end")
    shared.wait_for("asked", value="end")
    assert [line["logger"] for line in shared.lines()[before:]] == ["echo"] * 4


def test_requests_under_way_are_finished_at_sigterm(own: Server) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(own.ask("slow")))
    asking.start()
    own.wait_for("asked", value="slow")
    own.process.send_signal(signal.SIGTERM)
    asking.join(SECONDS)
    assert [answer.status_code for answer in answers] == [200]
    assert own.process.wait(SECONDS) in (0, -signal.SIGTERM)
    assert {line["level"] for line in own.lines()} == {"INFO"}


READY = ("/v2/health/ready", "/v2/models/echo/ready", "/v1/models/echo")


def test_probes_of_both_protocols_ask_what_the_model_needs(own: Server) -> None:
    assert [own.http.get(path).status_code for path in READY] == [200, 200, 200]
    own.is_ready.unlink()
    assert [own.http.get(path).status_code for path in READY] == [503, 503, 503]
    assert own.ask("still").status_code == 200
    assert own.ask("still", headers=CLOUD_EVENT).status_code == 200
    assert own.http.get("/v2/health/live").status_code == 200
    assert own.http.get("/v2/models/other/ready").status_code == 404
    assert not [line for line in own.lines() if "exc_info" in line]
