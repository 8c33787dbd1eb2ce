"""Settings of tracing, read from environment variables."""

from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, TypeAdapter, field_validator, model_validator
from pydantic_settings import BaseSettings

Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
DEFAULT_RATIO = 0.01

_URL = TypeAdapter(HttpUrl)


class TracingSettings(BaseSettings):
    """OpenTelemetry's own variables and one more; each field is an environment variable of the same name in capitals.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. The SDK reads further ones
    itself: OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_BSP_* and so on.
    """

    otel_sdk_disabled: bool = False
    """Whether tracing is off, whatever else is set."""
    otel_exporter_otlp_endpoint: str = ""
    """Base URL of a collector, such as `http://collector:4318`; empty for no tracing."""
    otel_exporter_otlp_traces_endpoint: str = ""
    """Full URL to which spans are posted, if it is not `/v1/traces` below the base URL."""
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    """Protocol of the collector."""
    otel_exporter_otlp_traces_protocol: Literal["http/protobuf"] = "http/protobuf"
    """Protocol of the collector, for traces alone."""
    otel_traces_sampler: Sampler | None = None
    """Sampler by OpenTelemetry's name; default: `parentbased_traceidratio`."""
    otel_traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of requests that the two ratio samplers sample."""
    otel_service_name: Annotated[str, Field(min_length=1)] | None = None
    """Name of the service in its spans, instead of the process's own."""
    tracing_parents_per_second: Annotated[float, Field(ge=0)] = 10.0
    """Requests a second that are sampled because their client says so.

    The limit exists because clients do not pay for traces.
    """

    @field_validator("otel_exporter_otlp_endpoint", "otel_exporter_otlp_traces_endpoint")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if url:
            _URL.validate_python(url)
        return url

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.otel_sdk_disabled:
            return self
        asked = {
            "OTEL_TRACES_SAMPLER": self.otel_traces_sampler,
            "OTEL_TRACES_SAMPLER_ARG": self.otel_traces_sampler_arg,
        }
        if not self.endpoint and (alone := [name for name, value in asked.items() if value is not None]):
            raise ValueError(
                f"{' and '.join(alone)} without OTEL_EXPORTER_OTLP_ENDPOINT: set where spans go,"
                " such as http://collector:4318, or unset the rest"
            )
        if self.otel_traces_sampler_arg is not None and not self.sampler.endswith("traceidratio"):
            raise ValueError(
                f"OTEL_TRACES_SAMPLER_ARG={self.otel_traces_sampler_arg:g} with OTEL_TRACES_SAMPLER={self.sampler},"
                " which takes none; use traceidratio or parentbased_traceidratio, or unset it"
            )
        return self

    @property
    def endpoint(self) -> str:
        """Return the full URL to which spans are posted, or "" for no tracing."""
        if self.otel_exporter_otlp_traces_endpoint or not self.otel_exporter_otlp_endpoint:
            return self.otel_exporter_otlp_traces_endpoint
        return self.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"

    @property
    def sampler(self) -> Sampler:
        """Return the sampler's name."""
        return self.otel_traces_sampler or "parentbased_traceidratio"

    @property
    def on(self) -> bool:
        """Return whether any span can ever be made."""
        return bool(self.endpoint) and not self.otel_sdk_disabled and self.sampler != "always_off"

    @property
    def ratio(self) -> float:
        """Return the share of requests without a parent that are sampled."""
        if self.sampler.endswith("traceidratio"):
            return DEFAULT_RATIO if self.otel_traces_sampler_arg is None else self.otel_traces_sampler_arg
        return float(self.sampler.endswith("always_on"))

    @property
    def follows_parents(self) -> bool:
        """Return whether a client's sampled flag decides."""
        return self.sampler.startswith("parentbased")
