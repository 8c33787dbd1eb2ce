"""Limits of a model server's connections, other protocols, and routes that do not exist."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parent / "echo_server.py"
SECONDS = 30
INFER = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\n"
MAX_BODY_BYTES = 1_000_000


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Client with one connection that reads answers in order."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._file = self.socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer | None:
        """Return the next answer, or None at the end of the connection."""
        line = self._file.readline()
        if not line:
            return None
        headers = {}
        while (header := self._file.readline().decode().strip()) != "":
            name, _, value = header.partition(": ")
            headers[name] = value
        text = self._file.read(int(headers["content-length"]))
        is_json = headers.get("content-type") == "application/json"
        return Answer(int(line.split()[1]), headers, json.loads(text) if is_json else text)

    def rest(self) -> list[int]:
        """Return the statuses of all remaining answers."""
        statuses = []
        while found := self.answer():
            statuses.append(found.status)
        return statuses


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    with (tmp_path_factory.mktemp("log") / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, SERVER, str(free), SERVER], stdout=log, stderr=log)
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", free)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield free
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    made = Client(port)
    yield made
    made.close()


def infer(value: str, *headers: bytes) -> bytes:
    body = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [value]}]}
    text = json.dumps(body).encode()
    lines = b"".join(b"%b\r\n" % header for header in (*headers, b"Content-Length: %d" % len(text)))
    return INFER + lines + b"\r\n" + text


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def echoed(answer: Answer | None) -> str:
    assert answer is not None and answer.status == 200, answer
    return str(answer.body["outputs"][0]["data"][0])


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"x", b"TLS/1.0", b"h2c, websocket"])
@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_an_offer_of_another_protocol_is_ignored(client: Client, protocol: bytes, pieces: int) -> None:
    smuggled = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    value = smuggled.decode()
    first = infer(value, b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AA", b"Upgrade: " + protocol)
    sent = first + infer("next")
    size = -(-len(sent) // pieces)
    for at in range(0, len(sent), size):
        client.send(sent[at : at + size])
    assert [echoed(client.answer()), echoed(client.answer())] == [value, "next"]
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == []


def test_an_offer_with_a_chunked_body_or_none_is_ignored(client: Client) -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: x\r\n"
    body = infer("chunks").partition(b"\r\n\r\n")[2]
    client.send(INFER + offer + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body[:5], body[5:]))
    assert echoed(client.answer()) == "chunks"
    client.send(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n" + offer + b"\r\n" + infer("next"))
    live = client.answer()
    assert live is not None and live.body == {"live": True}
    assert echoed(client.answer()) == "next"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (INFER + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (INFER + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*[b"x" * 60_000] * 20), 413),
        (b"POST /v1/models/echo:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         + chunked(*[b"x" * 60_000] * 20), 413),
        (INFER + b"X: y\r\n" * 101 + b"\r\n", 431),
        (INFER + b"X: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (INFER + b"X: " + b"y" * 70_000, 431),
        (b"GET /" + b"x" * 70_000, 431),
        (INFER + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(), 501),
        (INFER + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(), 400),
        (b"no request\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_exceeds_a_limit_is_refused_in_the_protocols_shape(client: Client, sent: bytes, status: int) -> None:
    client.send(sent)
    answer = client.answer()
    assert answer is not None
    assert (answer.status, list(answer.body), answer.headers["connection"]) == (status, ["error"], "close")
    assert client.answer() is None


def test_the_largest_body_is_taken(client: Client) -> None:
    frame = len(infer("").partition(b"\r\n\r\n")[2])
    value = "x" * (MAX_BODY_BYTES - frame)
    client.send(infer(value))
    assert echoed(client.answer()) == value


def test_requests_behind_one_that_waits_are_answered_after_it(client: Client) -> None:
    client.send(infer("slow") + b"".join(infer(str(n)) for n in range(100)))
    assert [echoed(client.answer()) for _ in range(101)] == ["slow", *map(str, range(100))]


def test_a_client_that_ends_its_side_gets_its_answer(client: Client) -> None:
    client.send(infer("slow"))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == [200]


@pytest.mark.parametrize(
    "sent", [b"GET /v2/health/live HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"]
)
def test_an_ambiguous_head_is_refused(client: Client, sent: bytes) -> None:
    client.send(sent)
    answer = client.answer()
    assert answer is not None and (answer.status, list(answer.body)) == (400, ["error"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/echo/load"),
        ("POST", "/v2/repository/models/echo/unload"),
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/redoc"),
        ("GET", "/openapi.json"),
        ("POST", "/v2/models/echo/load"),
        ("POST", "/v2%2Frepository/models/echo/unload"),
        ("POST", "/v2/repository/models/echo/unload/"),
        ("POST", "//v2/repository/models/echo/unload"),
        ("GET", "/openai/v1/models"),
    ],
)
def test_what_the_protocol_does_not_have_is_404(client: Client, method: str, path: str) -> None:
    client.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    answer = client.answer()
    assert answer is not None and (answer.status, list(answer.body)) == (404, ["error"])
    client.send(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n" + infer("still there"))
    ready = client.answer()
    assert ready is not None and ready.body == {"ready": True}
    assert echoed(client.answer()) == "still there"


def test_explain_is_off(client: Client) -> None:
    client.send(b"POST /v1/models/echo:explain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    answer = client.answer()
    assert answer is not None and (answer.status, list(answer.body)) == (405, ["error"])


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/v1/models", "/v1/models/echo", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models",
     "/v2/models/echo", "/v2/models/echo/ready"],
)  # fmt: skip
def test_what_it_has_is_there(client: Client, path: str) -> None:
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = client.answer()
    assert answer is not None and answer.status == 200


def test_only_its_own_machine_can_ask(port: int) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    (address,) = [line.split()[1] for line in listening if line.split()[1].endswith(f":{port:04X}")
                  and line.split()[3] == "0A"]  # fmt: skip
    assert address.startswith("0100007F")
