"""HTTP client for single requests to a server on this machine."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 60.0
"""Seconds to wait for an answer."""


class Client:
    """Client with one kept connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)

    def post(self, path: str, body: str) -> Any:
        """Post a JSON body and return the JSON answer."""
        return json.loads(self._read("POST", path, body.encode()))

    def get(self, path: str) -> str:
        """Return the text at a path."""
        return self._read("GET", path, None).decode()

    def _read(self, method: str, path: str, body: bytes | None) -> bytes:
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
