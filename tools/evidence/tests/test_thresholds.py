"""Tests of thresholds: they are read strictly, and what is not understood is refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from evidence.errors import EvidenceError
from evidence.thresholds import Thresholds, parse_thresholds, read_configured

ROOT = Path(__file__).parents[3]


def test_what_is_not_configured_has_its_default() -> None:
    found = parse_thresholds({"minimum_mails": 5, "maximum_gap": "3m", "alpha": 0.05}, "config.yaml")
    assert (found.minimum_mails, found.maximum_gap, found.alpha) == (5, timedelta(minutes=3), 0.05)
    assert found.minimum_agreement == Thresholds().minimum_agreement == 0.97


@pytest.mark.parametrize(
    ("configured", "why"),
    [
        ({"minimum_mail": 1}, "evidence.minimum_mail is unknown; known: require_offline, alpha"),
        ({"alpha": 0}, "alpha must be above 0 and below 0.5, is 0"),
        ({"alpha": float("nan")}, "alpha must be above 0"),
        ({"minimum_mails": 0}, "minimum_mails must be 1 to inf, is 0"),
        ({"minimum_mails": 1.5}, "minimum_mails must be int, is 1.5"),
        ({"minimum_mails": True}, "minimum_mails must be int, is True"),
        ({"minimum_agreement": 97}, "minimum_agreement must be 0 to 1, is 97"),
        ({"minimum_agreement": float("nan")}, "minimum_agreement must be 0 to 1"),
        ({"maximum_latency_ratio": float("inf")}, "maximum_latency_ratio must be"),
        ({"require_health": "no"}, "require_health must be bool, is 'no'"),
        ({"maximum_age": 7}, "maximum_age: '7' is no duration such as"),
    ],
)
def test_what_is_wrong_is_refused(configured: dict[str, Any], why: str) -> None:
    with pytest.raises(EvidenceError, match=why):
        parse_thresholds(configured, "config.yaml")


def test_the_repositorys_own_environments_are_understood() -> None:
    for path in (ROOT / "environments").glob("*/config.yaml"):
        parse_thresholds(read_configured(path), str(path))
    assert "minimum_mails" in read_configured(ROOT / "environments/production/config.yaml")


@pytest.mark.parametrize("text", ["evidence: 5", "evidence: [a]"])
def test_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(EvidenceError, match="must be a mapping of thresholds"):
        read_configured(tmp_path / "config.yaml")
