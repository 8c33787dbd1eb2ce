"""Settings of the gateway, read from environment variables."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

MIB = 1024 * 1024


class GatewaySettings(BaseSettings):
    """Settings of the gateway; each field is an environment variable of the same name in capitals."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen at; in a pod 0.0.0.0."""
    port: int = 8080
    """TCP port to listen at."""
    environments: Annotated[dict[str, HttpUrl], Field(min_length=1)]
    """Base URL of each environment's transformer, as JSON: `{"staging": "http://…", …}`."""
    default_environment: str = "staging"
    """Environment that answers requests without `X-Environment`."""
    model_name: str = "spam-detector"
    """Name of the model in the URLs of the Open Inference Protocol."""

    coalescing: bool = True
    """Whether requests share batches; if off, each goes upstream alone and at once."""
    max_batch_mails: Positive = 32
    """Mails of one batch that several requests share."""
    max_bulk_mails: Positive = 128
    """Mails of a batch-predict request in one batch; larger batches cost less per mail but delay others longer."""
    max_batch_bytes: Positive = 4 * MIB
    """Bytes of the mails of one batch."""
    max_batches_in_flight: Positive = 2
    """Batches under way at once, for each replica of an environment's transformer."""
    linger_seconds: Annotated[float, Field(ge=0, le=1)] = 0.002
    """Seconds that a batch that is not full may wait after another has returned, if a third is still under way."""
    max_queued_mails: Positive = 4_000
    """Mails waiting or under way, for each environment; more are refused with 503."""
    max_queued_bytes: Positive = 64 * MIB
    """Bytes of mail waiting or under way, for each environment; more are refused with 503."""
    max_queue_seconds: Seconds = 5.0
    """Longest expected wait in the queue, in seconds, judged by the duration of recent batches.

    Mail that would wait longer is refused with 503 even if there is room: behind a slow model it would miss its
    deadline.
    """
    max_arriving_bytes: Positive = 64 * MIB
    """Bytes of unfinished bodies, for each environment; more are refused with 503."""
    deadline_seconds: Seconds = 10.0
    """Seconds from a request's arrival to its answer; after that the client gets 504."""

    api_keys_file: Path | None = None
    """File with the hashes of the API keys (`gateway api-key` makes one); if unset, no key is needed."""

    max_mail_bytes: Positive = MIB
    """Bytes of one mail as UTF-8; a larger one is refused with 413."""
    max_body_bytes: Positive = 16 * MIB
    """Bytes of a request's body; a larger one is refused with 413 before the rest of it is read."""
    max_emails: Positive = 1_000
    """Mails of one batch-predict request."""
    experiment_baseline: str = "production"
    """Environment called production in an experiment: its mail is compared, and partly answered by the candidate."""
    experiment_candidate: str = "staging"
    """Environment that is tried on production's mail."""
    shadow_share: Share = 0.0
    """Share of production's requests whose mail, once answered, is also sent to the candidate and compared."""
    shadow_max_mails: Positive = 2_000
    """Shadowed mails waiting or under way; more are dropped."""
    shadow_max_bytes: Positive = 16 * MIB
    """Bytes of shadowed mail waiting or under way; more are dropped."""
    shadow_drain_seconds: Annotated[float, Field(ge=0)] = 3.0
    """Seconds at shutdown, after the last request, to send the shadowed mails that wait."""
    canary_share: Share = 0.0
    """Share of production's requests that the candidate answers, until it exceeds a limit."""
    canary_max_error_rate: Share | None = None
    """Largest share of the canary's requests that the candidate fails and production answers.

    Required if the canary has a share.
    """
    canary_max_latency_seconds: Seconds | None = None
    """Longest 95th percentile, in seconds, of the candidate's answer time; required if the canary has a share."""
    canary_minimum_requests: Positive = 100
    """Requests of the candidate within the window below which the canary is not stopped."""
    canary_window_seconds: Positive = 60
    """Seconds of the candidate's latest requests by which the canary is judged."""

    max_explains: Positive = 8
    """Explain requests under way, for each environment; more are refused with 503."""
    page: bool = True
    """Whether `GET /` serves a page to try the API."""

    max_connection_seconds: Seconds = 15.0
    """Seconds after which a connection's next answer closes it; up to half of that earlier.

    So clients that keep their connections reach new replicas.
    """
    max_connections: Positive = 10_000
    """Connections of all clients, at most what the limit of open files allows.

    For one more, a connection that never sent a request is closed, or else the longest idle one. If none is idle, the
    new one gets 503.
    """
    max_headers: Positive = 100
    """Headers of one request; more are refused with 431."""
    max_waiting_bytes: Positive = 64 * MIB
    """Bytes of heads, and of requests that wait behind another of their connection, over all connections.

    Beyond it, connections that bring more are closed: after the answer under way, or with 503 within a head.
    """
    max_head_seconds: Seconds = 10.0
    """Seconds that a request's head may take; after that the client gets 408 and the connection ends."""
    max_body_seconds: Seconds = 30.0
    """Seconds that a request's body may take after its head; after that the client gets 408 likewise."""
    max_write_seconds: Seconds = 10.0
    """Seconds that a client may leave answers unread once its side can buffer no more."""
    drain_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Seconds after SIGTERM during which requests are still taken.

    Each answer then closes its connection, while the cluster learns that this replica is going.
    """
    shutdown_seconds: Positive = 30
    """Seconds that requests under way may take after draining."""

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _file_is_named(cls, path: object) -> object:
        # An empty value must not switch authentication off.
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
        """Return whether a shadow or a canary is configured."""
        return self.shadow_share > 0 or self.canary_share > 0
