"""Client outside the cluster, through a port-forward."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from waiting import Pending, until

FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
REQUEST_SECONDS = 30
HAM = {"email_content": "Subject: Re: build\n\nThe patch applies cleanly, I committed it."}
LIVE_SECONDS = 240
"""Longest time in seconds from a push to its effect."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """Client of one gateway."""

    url: str

    def post(self, path: str, body: object, environment: str = "") -> Answer:
        """Return the answer to a request, whatever its status."""
        headers = {"Content-Type": "application/json"} | ({"X-Environment": environment} if environment else {})
        return self._ask(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers))

    def get(self, path: str) -> Answer:
        """Return the answer to a request, whatever its status."""
        return self._ask(urllib.request.Request(self.url + path))

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                return Answer(response.status, json.load(response), dict(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error), dict(error.headers))


def ask(path: str, body: object, environment: str) -> Answer:
    """Return the answer of some pod of production's gateway, over a new connection.

    Raises:
        Pending: If the pod has gone away meanwhile.
    """
    try:
        with forwarded("api-gateway", "serving") as client:
            return client.post(path, body, environment)
    except OSError as error:
        raise Pending(f"gateway: {error}") from None


def wait_model(environment: str, version: str) -> None:
    """Wait until a model answers."""

    def answers() -> None:
        answer = ask("/api/v1/predict", HAM, environment)
        if answer.body.get("model_version") != version:
            raise Pending(str(answer.body))

    until(f"model {version} answers in {environment}", answers, LIVE_SECONDS)


@contextmanager
def forwarded(service: str, namespace: str, port: int = 8080) -> Iterator[Client]:
    """Yield a client of a Service, through a free port of this machine."""
    command = ["kubectl", "port-forward", f"svc/{service}", "-n", namespace, f":{port}", "--address", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout
        said = process.stdout.readline()
        found = FORWARDING.search(said)
        assert found, f"{' '.join(command)}: {said}"
        yield Client(f"http://127.0.0.1:{found[1]}")
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
