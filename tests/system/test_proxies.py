"""Tests of nginx and haproxy in front of the gateway: they pass on one request, which is answered as it is directly."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import System

from corpus import proxies, smuggling
from corpus.hostile_requests import REQUESTS

CLIENTS, ROUNDS = 16, 24
CPU = re.compile(r"^process_cpu_seconds_total .*$", re.MULTILINE)
COUNT = re.compile(r"^http_request_duration_seconds_count\{.*\} (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def address(request: pytest.FixtureRequest, shared: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield host and port of a proxy in front of the shared gateway."""
    if request.param not in proxies.installed():
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    with proxies.proxy(request.param, shared.url.removeprefix("http://"), folder) as found:
        yield found


def said(address: str, raw: bytes) -> bytes:
    """Return the head of the first answer; empty if there is none."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        # A server that refuses a request early closes the connection while it is still being sent.
        with suppress(OSError):
            connection.sendall(raw)
        answer = b""
        with suppress(OSError):
            while b"\r\n\r\n" not in answer and (more := connection.recv(1 << 16)):
                answer += more
    return answer.partition(b"\r\n\r\n")[0]


def counted(system: System) -> float:
    """Return the number of requests that the gateway has answered, from metrics made since this call."""
    first = text = metrics(system)
    end = time.monotonic() + 20
    # Frequent requests for metrics get a text that is a moment old.
    while CPU.findall(text) == CPU.findall(first):
        assert time.monotonic() < end
        text = metrics(system)
    return sum(float(value) for value in COUNT.findall(text))


def metrics(system: System) -> str:
    with urllib.request.urlopen(f"{system.url}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_proxy_passes_on_is_answered_as_it_is_directly(address: str, name: str) -> None:
    raw, statuses = REQUESTS[name]
    head = said(address, raw)
    if b"\r\nx-request-id:" in head.lower():
        # The gateway has seen the request, but perhaps changed: a proxy may have repaired a doubtful one.
        status = int(head[9:12])
        assert status in statuses or (statuses <= {400, 501, 505} and status in {200, 404, 408})


async def test_no_client_gets_the_answer_of_another(shared: System, address: str) -> None:
    name = f"proxy-{address.rpartition(':')[2]}"
    before = counted(shared)
    told = await smuggling.clients(address, CLIENTS, ROUNDS, name)
    assert (told.crossed, told.lost) == ([], 0)
    assert counted(shared) - before == told.statuses.total() == CLIENTS * ROUNDS
    assert smuggling.SMUGGLED.decode() not in (shared.folder / "gateway.log").read_text()


async def test_directly_no_client_gets_the_answer_of_another_either(shared: System) -> None:
    before = counted(shared)
    told = await smuggling.clients(shared.url.removeprefix("http://"), CLIENTS, ROUNDS, "direct")
    assert (told.crossed, told.lost) == ([], 0)
    assert counted(shared) - before == told.statuses.total() == CLIENTS * ROUNDS
    assert smuggling.SMUGGLED.decode() not in (shared.folder / "gateway.log").read_text()


BODY = json.dumps({"email_content": "Subject: Lunch\n\nSee you at ten."})
JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Ask {
    public static void main(String[] urls) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String url : urls) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .POST(HttpRequest.BodyPublishers.ofString("{\\"email_content\\": \\"See you at ten.\\"}")).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
        }
    }
}
"""


@pytest.mark.skipif(not shutil.which("java"), reason="java is not installed")
async def test_javas_client_offers_http_2_and_is_answered(shared: System, address: str, tmp_path: Path) -> None:
    source = tmp_path / "Ask.java"
    source.write_text(JAVA)
    urls = [f"{url}/api/v1/predict" for url in (shared.url, f"http://{address}", shared.url)]
    assert (await said_by("java", "-XX:TieredStopAtLevel=1", str(source), *urls)).split() == ["200"] * 3


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("path", ["predict", "explain"])
async def test_curl_offers_http_2_and_is_answered(shared: System, address: str, path: str) -> None:
    if "HTTP2" not in subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("curl is built without HTTP/2")
    for url in (shared.url, f"http://{address}"):
        options = ["-sS", "--http2", "-d", BODY, "-o", "/dev/null", "-w", "%{http_code}"]
        assert await said_by("curl", *options, f"{url}/api/v1/{path}") == "200"


async def said_by(*command: str) -> str:
    """Return the output of a command, which must succeed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0
    return output.decode()
