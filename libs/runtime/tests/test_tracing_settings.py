"""Tracing settings: invalid ones, and when tracing is on."""

import pytest
from pydantic import ValidationError

from runtime.tracing import TracingSettings

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    def settings(variables: dict[str, str]) -> TracingSettings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return TracingSettings()

    return settings


def test_off_by_default(read) -> None:  # noqa: ANN001
    assert not read({}).on


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_on"}, "OTEL_TRACES_SAMPLER without OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, "OTEL_TRACES_SAMPLER_ARG without OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({**ENDPOINT, "OTEL_TRACES_SAMPLER": "jaeger_remote"}, "parentbased_traceidratio"),
        ({**ENDPOINT, "OTEL_TRACES_SAMPLER_ARG": "1.5"}, "less than or equal to 1"),
        ({**ENDPOINT, "OTEL_TRACES_SAMPLER_ARG": "some"}, "valid number"),
        ({**ENDPOINT, "OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "1"}, "which takes none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "URL scheme"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({**ENDPOINT, "TRACING_PARENTS_PER_SECOND": "-1"}, "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_or_half_is_refused(read, variables: dict[str, str], complaint: str) -> None:  # noqa: ANN001
    with pytest.raises(ValidationError, match=complaint):
        read(variables)


def test_disabled_is_off_whatever_else_is_said(read) -> None:  # noqa: ANN001
    assert not read({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_SAMPLER": "always_on", **ENDPOINT}).on
    assert not read({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}).on


@pytest.mark.parametrize(
    ("sampler", "arg", "ratio", "follows"),
    [
        (None, None, 0.01, True),
        (None, "0.5", 0.5, True),
        ("traceidratio", "0.25", 0.25, False),
        ("always_on", None, 1, False),
        ("parentbased_always_on", None, 1, True),
        ("parentbased_always_off", None, 0, True),
    ],
)
def test_samplers(read, sampler: str | None, arg: str | None, ratio: float, follows: bool) -> None:  # noqa: ANN001
    given = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": arg}
    settings = read(ENDPOINT | {name: value for name, value in given.items() if value is not None})
    assert (settings.on, settings.ratio, settings.follows_parents) == (True, ratio, follows)


def test_never_is_off(read) -> None:  # noqa: ANN001
    assert not read(ENDPOINT | {"OTEL_TRACES_SAMPLER": "always_off"}).on


def test_where_spans_are_posted(read) -> None:  # noqa: ANN001
    assert read({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}).endpoint == "http://collector:4318/v1/traces"
    own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://traces.example.com/in"}
    assert read(own).endpoint == "https://traces.example.com/in"
