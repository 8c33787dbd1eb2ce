"""MLServer runtime of the spam model: raw mails in, probabilities out, adaptively batched by MLServer."""

import os
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

import bundle
import features


class SpamDetector(MLModel):
    """Model that scores `email_content` (BYTES [n]) with the bundle in the folder MODEL_DIR."""

    async def load(self) -> bool:
        self._bundle = bundle.load(Path(os.environ["MODEL_DIR"]))
        self._mails = 0
        self._batches = 0
        return True

    # Score on the event loop, as MLServer's own scikit-learn runtime does: a thread would only add to its CPU.
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        mails = [features.extract(mail) for mail in payload.inputs[0].data.root]
        values = np.array([mail.values for mail in mails])
        scores = self._bundle.score([mail.text for mail in mails], values)
        self._mails += len(mails)
        self._batches += 1
        output = ResponseOutput(name="spam_probability", shape=[len(mails)], datatype="FP64", data=scores.tolist())
        return InferenceResponse(model_name=self.name, outputs=[output])

    @custom_handler(rest_path="/batches", rest_method="GET")
    async def batches(self) -> dict[str, int]:
        """Return mails and batches so far, so that a benchmark can show that batching took place."""
        return {"mails": self._mails, "batches": self._batches}
