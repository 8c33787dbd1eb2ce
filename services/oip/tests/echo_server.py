"""A model server of its own process: `python echo_server.py PORT`."""

import asyncio
import logging
import sys

from kserve import InferOutput, InferRequest, InferResponse, Model

from oip import InvalidInput, Unavailable, configure_logging, serve

log = logging.getLogger("echo")


class Echo(Model):  # type: ignore[misc]
    """Answers the first input with itself; some values make it fail, one makes it slow."""

    def __init__(self) -> None:
        super().__init__("echo")
        self.ready = True

    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        (first, *_) = payload.inputs
        value = str(first.data[0])
        log.info("asked", extra={"value": value})
        if value == "invalid":
            raise InvalidInput("no such column")
        if value == "down":
            raise Unavailable("the predictor is down")
        if value == "bug":
            raise RuntimeError("oops")
        if value == "slow":
            await asyncio.sleep(1)
        output = InferOutput(first.name, first.shape, first.datatype, data=first.data)
        return InferResponse(payload.id or "made", self.name, [output])


if __name__ == "__main__":
    configure_logging()
    serve(Echo(), int(sys.argv[1]))
