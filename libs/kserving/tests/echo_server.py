"""Echo model for tests, served in a process of its own: `python echo_server.py PORT FILE`.

The model's dependency is ready while FILE exists.
"""

import asyncio
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from kserve import InferOutput, InferRequest, InferResponse, Model

from kserving import InvalidInput, Unavailable, configure_logging, serve

log = logging.getLogger("echo")


@dataclass
class Settings:
    http_port: int
    http_host: str = "127.0.0.1"
    max_body_bytes: int = 1_000_000


FAILURES: dict[str, Exception] = {
    "invalid": InvalidInput("no such column"),
    "down": Unavailable("the predictor is down"),
    "bug": RuntimeError("oops"),
}


class Echo(Model):  # type: ignore[misc]
    """Model that answers the first input with itself; some values make it fail, one makes it slow."""

    def __init__(self) -> None:
        super().__init__("echo")
        self.ready = True

    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        (first, *_) = payload.inputs
        value = str(first.data[0])
        log.info("asked", extra={"value": value})
        if value in FAILURES:
            raise FAILURES[value]
        if value == "slow":
            await asyncio.sleep(1)
        output = InferOutput(first.name, first.shape, first.datatype, data=first.data)
        return InferResponse(payload.id or "made", self.name, [output], model_version="7", parameters={"a": 1})


if __name__ == "__main__":
    configure_logging()

    async def is_ready() -> bool:
        return Path(sys.argv[2]).exists()

    serve(Echo(), Settings(http_port=int(sys.argv[1])), is_ready)
