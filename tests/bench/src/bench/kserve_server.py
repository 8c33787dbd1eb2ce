"""The spam model as one KServe SDK server: raw mails in, probabilities out, no hop in between."""

import logging.config
import os
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

import bundle
import features


class SpamDetector(Model):
    """Scores `email_content` (BYTES [n]) with the bundle in the folder MODEL_DIR."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bundle = bundle.load(Path(os.environ["MODEL_DIR"]))
        self.ready = True

    # On the event loop: a thread would keep health checks alive, but only add to the CPU a mail.
    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        mails = [features.extract(mail) for mail in payload.inputs[0].data]
        values = np.array([mail.values for mail in mails])
        scores = self._bundle.score([mail.text for mail in mails], values)
        output = InferOutput(name="spam_probability", shape=[len(mails)], datatype="FP64", data=scores.tolist())
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


def quiet_logging() -> dict[str, Any]:
    """A logging configuration without the SDK's four lines a request."""
    handlers = {"stderr": {"class": "logging.StreamHandler"}}
    # Without a handler within reach uvicorn does not even make the access line.
    access = {"propagate": False}
    root = {"level": "WARNING", "handlers": ["stderr"]}
    return {"version": 1, "handlers": handlers, "root": root, "loggers": {"uvicorn.access": access}}


def main() -> None:
    """Serve on HTTP_PORT: one worker, no gRPC."""
    logging.config.dictConfig(quiet_logging())
    # On asyncio's loop, as the SDK has it whatever its event_loop setting: tried on uvloop, which costs the same CPU
    # a mail and makes p99 ten times as long, for it serves a busy loop's connections unevenly.
    port = int(os.environ["HTTP_PORT"])
    server = ModelServer(http_port=port, workers=1, enable_grpc=False, enable_latency_logging=False)
    server.start([SpamDetector("spam-detector")])


if __name__ == "__main__":
    main()
