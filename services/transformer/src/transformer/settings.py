"""Settings of the transformer, read from environment variables."""

from typing import Annotated, Self

from pydantic import Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings

from inferencelog import ENVIRONMENT_PATTERN, LogError, WriterLimits, open_store
from inferencelog.bounded import FILE_ROWS

DEFAULTS = WriterLimits()


class TransformerSettings(BaseSettings):
    """Settings of the transformer; each field is an environment variable of the same name in capitals."""

    model_name: str = "spam-detector"
    """Name of the model in the URLs of the Open Inference Protocol."""
    environment: Annotated[str, Field(pattern=f"^{ENVIRONMENT_PATTERN}$")]
    """Name of the environment that this transformer serves, as written to the inference log."""
    predictor_url: HttpUrl
    """Base URL of the predictor, such as `http://spam-detector-predictor.kserve`."""
    http_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on; 0.0.0.0 in a pod."""
    http_port: int = 8080
    """TCP port to listen at."""
    max_body_bytes: Annotated[int, Field(gt=0)] = 33_554_432
    """Bytes of the largest request: a gateway's largest batch, with every character escaped in JSON."""
    predictor_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that the predictor may take for a batch; a request's own deadline may leave less."""
    spam_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Spam threshold of this environment, in place of the model's own; a predictor that sends none needs it."""
    inference_log_uri: str = ""
    """Store of the inference log: `file:///folder` or `s3://bucket/prefix`; empty for no log."""
    inference_log_flush_seconds: Annotated[float, Field(gt=0)] = DEFAULTS.flush_seconds
    """Seconds that a row waits at most before its file is written."""
    inference_log_flush_rows: Annotated[int, Field(ge=1, le=FILE_ROWS // 2)] = DEFAULTS.flush_rows
    """Rows that make a file at once, however short they have waited."""
    inference_log_buffer_rows: Annotated[int, Field(ge=2)] = DEFAULTS.buffer_rows
    """Rows that may wait while the store is away, about 0.4 kB each; beyond it the oldest are dropped."""
    inference_log_close_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Seconds at SIGTERM to write the last rows; part of the pod's grace period."""

    @field_validator("inference_log_uri")
    @classmethod
    def _is_a_place(cls, uri: str) -> str:
        try:
            if uri:
                open_store(uri)
        except LogError as error:
            raise ValueError(str(error)) from None
        return uri

    @model_validator(mode="after")
    def _buffer_holds_two_files(self) -> Self:
        if self.inference_log_buffer_rows < 2 * self.inference_log_flush_rows:
            raise ValueError(
                f"INFERENCE_LOG_BUFFER_ROWS ({self.inference_log_buffer_rows}) must be at least twice"
                f" INFERENCE_LOG_FLUSH_ROWS ({self.inference_log_flush_rows})"
            )
        return self
