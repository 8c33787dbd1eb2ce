"""What the environment of the process sets."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

MIB = 1024 * 1024


class Settings(BaseSettings):
    """Each field is an environment variable of the same name in capitals."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: int = 8080
    environments: Annotated[dict[str, HttpUrl], Field(min_length=1)]
    """Base URL of each environment's transformer, as JSON: `{"staging": "http://…", …}`."""
    default_environment: str = "staging"
    """Where a request without `X-Environment` goes."""
    model_name: str = "spam-detector"

    coalescing: bool = True
    """Whether requests share batches; off, each goes upstream alone and at once."""
    max_batch_mails: Positive = 32
    max_bulk_mails: Positive = 128
    """Mails of a batch-predict request that travel in one batch: more cost less each, and hold up others longer."""
    max_batch_bytes: Positive = 4 * MIB
    max_batches_in_flight: Positive = 2
    """Batches under way at once, for each replica of an environment's transformer."""
    linger_seconds: Annotated[float, Field(ge=0, le=1)] = 0.002
    """How long a batch that is not full may wait, once another has returned and a third is still under way."""
    max_queued_mails: Positive = 4_000
    """Mails waiting or under way, for each environment; more are refused with 503."""
    max_queued_bytes: Positive = 64 * MIB
    max_queue_seconds: Seconds = 5.0
    """Mail that would wait longer, judged by how long recent batches took, is refused with 503 although there is room:
    behind a slow model it would only meet its deadline."""
    max_arriving_bytes: Positive = 64 * MIB
    """Of bodies that have begun and not yet ended, for each environment; more are refused with 503."""
    deadline_seconds: Seconds = 10.0
    """From a request's arrival to its answer; past it the client gets 504."""

    api_keys_file: Path | None = None
    """Who may ask, by the hashes of their keys (`gateway api-key` makes one); unset, everybody may."""

    max_mail_bytes: Positive = MIB
    max_body_bytes: Positive = 16 * MIB
    max_emails: Positive = 1_000
    """Mails of one batch-predict request."""
    experiment_baseline: str = "production"
    """The environment whose mail is compared, and answered by the candidate in part."""
    experiment_candidate: str = "staging"
    """The environment that is tried on it."""
    shadow_share: Share = 0.0
    """Of the baseline's requests: their mail is sent to the candidate too, once it is answered, and compared."""
    shadow_max_mails: Positive = 2_000
    """Shadowed mails waiting or under way; more are dropped."""
    shadow_max_bytes: Positive = 16 * MIB
    shadow_drain_seconds: Annotated[float, Field(ge=0)] = 3.0
    """How long those that wait may take at the end, after the last request."""
    canary_share: Share = 0.0
    """Of the baseline's requests: the candidate answers them, until it leaves a bound."""
    canary_max_error_rate: Share | None = None
    """Of those that the candidate did not answer and the baseline did; to be set where there is a share."""
    canary_max_latency_seconds: Seconds | None = None
    """Of the 95th percentile of the candidate's; to be set where there is a share."""
    canary_minimum_requests: Positive = 100
    """Of the candidate within the window; fewer stop nothing."""
    canary_window_seconds: Positive = 60

    max_explains: Positive = 8
    """Explain requests under way, for each environment; more are refused with 503."""
    page: bool = True
    """Whether `GET /` is a page to try it."""

    max_connection_seconds: Seconds = 15.0
    """After this, and up to half of it earlier, an answer closes its connection, so that clients which keep theirs come
    to replicas that are new."""
    max_connections: Positive = 10_000
    """Of all clients, and at most what the limit of open files leaves room for. For one more, a connection that
    never asked anything is closed, or else the one that is idle for longest; where none is, the new one gets 503."""
    max_headers: Positive = 100
    """Headers of one request; more are refused with 431."""
    max_waiting_bytes: Positive = 64 * MIB
    """Of heads, and of requests that wait behind another of their connection, over all connections. Past it, those
    that bring more are closed: after the answer under way, or with 503 within a head."""
    max_head_seconds: Seconds = 10.0
    """How long a request's head may take to arrive; past it the client gets 408 and the connection ends."""
    max_body_seconds: Seconds = 30.0
    """How long its body may take after that, likewise."""
    max_write_seconds: Seconds = 10.0
    """How long a client may leave answers unread, once its side of the connection can hold no more."""
    drain_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long after SIGTERM requests are still taken, each answer closing its connection, while word spreads that this
    replica is going."""
    shutdown_seconds: Positive = 30
    """How long requests under way may take after that."""

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _file_is_named(cls, path: object) -> object:
        # An empty value must not let everybody in.
        if path == "":
            raise ValueError("names no file; name one, or leave the variable unset so that everybody may ask")
        return path

    @model_validator(mode="after")
    def _default_is_known(self) -> Self:
        if self.default_environment not in self.environments:
            known = ", ".join(self.environments)
            raise ValueError(f"DEFAULT_ENVIRONMENT={self.default_environment} is not in ENVIRONMENTS; known: {known}")
        return self

    @model_validator(mode="after")
    def _experiment_is_whole(self) -> Self:
        if not self.experiments:
            return self
        known = ", ".join(self.environments)
        for name in ("experiment_baseline", "experiment_candidate"):
            if getattr(self, name) not in self.environments:
                raise ValueError(f"{name.upper()}={getattr(self, name)} is not in ENVIRONMENTS; known: {known}")
        if self.experiment_baseline == self.experiment_candidate:
            both = f"EXPERIMENT_BASELINE and EXPERIMENT_CANDIDATE are both {self.experiment_baseline}"
            raise ValueError(f"{both}; name two of: {known}")
        for name in ("canary_max_error_rate", "canary_max_latency_seconds"):
            if self.canary_share and getattr(self, name) is None:
                raise ValueError(f"CANARY_SHARE={self.canary_share:g} without {name.upper()}, which is to stop it")
        return self

    @property
    def experiments(self) -> bool:
        """Whether anything is tried on the baseline's mail."""
        return self.shadow_share > 0 or self.canary_share > 0
