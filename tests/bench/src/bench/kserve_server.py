"""KServe SDK server of the spam model: raw mails in, probabilities out, no hop in between."""

import logging.config
import os
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

import bundle
import features


class SpamDetector(Model):
    """Model that scores `email_content` (BYTES [n]) with the bundle in the folder MODEL_DIR."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bundle = bundle.load(Path(os.environ["MODEL_DIR"]))
        self.ready = True

    # Score on the event loop: a thread would keep health checks alive, but only add to the CPU for each mail.
    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        mails = [features.extract(mail) for mail in payload.inputs[0].data]
        values = np.array([mail.values for mail in mails])
        scores = self._bundle.score([mail.text for mail in mails], values)
        output = InferOutput(name="spam_probability", shape=[len(mails)], datatype="FP64", data=scores.tolist())
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


def quiet_logging() -> dict[str, Any]:
    """Return a logging configuration without the SDK's four lines for each request."""
    handlers = {"stderr": {"class": "logging.StreamHandler"}}
    # Without a handler in reach uvicorn does not even format the access line.
    access = {"propagate": False}
    root = {"level": "WARNING", "handlers": ["stderr"]}
    return {"version": 1, "handlers": handlers, "root": root, "loggers": {"uvicorn.access": access}}


def main() -> None:
    """Serve on HTTP_PORT: one worker, no gRPC."""
    logging.config.dictConfig(quiet_logging())
    # Use asyncio's loop, as the SDK does whatever its event_loop setting. On uvloop a mail costs the same CPU, but p99
    # is ten times as long, because uvloop serves the connections of a busy loop unevenly.
    port = int(os.environ["HTTP_PORT"])
    server = ModelServer(http_port=port, workers=1, enable_grpc=False, enable_latency_logging=False)
    server.start([SpamDetector("spam-detector")])


if __name__ == "__main__":
    main()
