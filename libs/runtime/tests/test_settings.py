import json
import logging

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsError

from runtime import read_settings, refuse_settings, settings_fault


class Some(BaseModel):
    port: int = Field(default=8080, gt=0)
    url: str = "x"


class Pair(BaseSettings):
    """Settings whose fields must agree, one of them JSON."""

    routes: dict[str, str] = {}
    default: str = ""

    @model_validator(mode="after")
    def _agree(self) -> "Pair":
        if self.default not in {"", *self.routes}:
            raise ValueError(f"DEFAULT={self.default} is not in ROUTES")
        return self


def test_right_settings_are_returned() -> None:
    assert read_settings(lambda: Some(port=1)).port == 1


def test_wrong_settings_end_the_process_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit, match="^2$"):
        read_settings(lambda: Some.model_validate({"port": 0, "url": 1}))
    (record,) = caplog.records
    reason = record.__dict__["reason"]
    assert reason == "PORT: Input should be greater than 0; URL: Input should be a valid string"


def test_a_fault_of_several_variables_names_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT", "a")
    with pytest.raises(ValidationError) as refused:
        Pair()
    assert settings_fault(refused.value) == "Value error, DEFAULT=a is not in ROUTES"


def test_a_fault_within_a_variable_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTES", '{"a": 1}')
    with pytest.raises(ValidationError) as refused:
        Pair()
    assert settings_fault(refused.value) == "ROUTES: Input should be a valid string"


def test_a_variable_that_is_no_json_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTES", "nonsense")
    with pytest.raises(SettingsError) as refused:
        Pair()
    with pytest.raises(json.JSONDecodeError) as cause:
        json.loads("nonsense")
    assert settings_fault(refused.value) == f"{refused.value}: {cause.value}"
    assert '"routes"' in settings_fault(refused.value)


def test_another_reason_ends_the_process_likewise(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit, match="^2$"):
        refuse_settings("API_KEYS_FILE: it is empty")
    assert caplog.records[0].__dict__["reason"] == "API_KEYS_FILE: it is empty"
