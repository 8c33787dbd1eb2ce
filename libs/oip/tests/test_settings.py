import logging

import pytest
from pydantic import BaseModel, Field

from oip import read_settings


class Some(BaseModel):
    port: int = Field(default=8080, gt=0)
    url: str = "x"


def test_right_settings_are_returned() -> None:
    assert read_settings(lambda: Some(port=1)).port == 1


def test_wrong_settings_end_the_process_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit, match="^2$"):
        read_settings(lambda: Some.model_validate({"port": 0, "url": 1}))
    (record,) = caplog.records
    reason = record.__dict__["reason"]
    assert "PORT: Input should be greater than 0; URL: Input should be" in reason
