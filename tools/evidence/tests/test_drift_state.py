"""Tests of reading reports as the drift detector writes them."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, Bundles, answers, configure, mails, shadow

import bundle
from evidence.build import EvidenceSettings, make
from evidence.check import Check
from evidence.errors import EvidenceError
from inferencelog.schema import partition


def report(settings: EvidenceSettings, folder: Path, status: str, end: datetime, environment: str = "staging") -> None:
    """Write the part that is read here of a report by services/drift/src/drift/result.py."""
    content = {
        "status": status,
        "window": {"start": (end - timedelta(hours=1)).isoformat(), "end": end.isoformat()},
        "rows": 500,
        "drifted": [{"measure": "links"}] if status == "drift" else [],
        "baseline": {"model_sha256": bundle.read_manifest(folder).sha256},
    }
    path = Path(settings.log_uri, "_drift", partition(environment, end - timedelta(hours=1)), "report.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def drift(settings: EvidenceSettings, of: str = "candidate") -> Check:
    (found,) = [each for each in make(settings, NOW).checks if each.name == f"drift, {of}"]
    return found


def test_the_newest_report_about_this_model_decides(settings: EvidenceSettings, bundles: Bundles) -> None:
    assert drift(settings).outcome == "told"
    report(settings, bundles.better, "drift", NOW - timedelta(days=2))
    found = drift(settings)
    assert (found.outcome, found.threshold) == ("refused", "the newest report says no drift")
    assert found.measured.startswith("drift of links, 500 mails until ") and "report.json" in found.advice
    report(settings, bundles.better, "no drift", NOW - timedelta(hours=5))
    assert drift(settings).outcome == "accepted"
    report(settings, bundles.worse, "drift", NOW - timedelta(hours=2))
    report(settings, bundles.production, "drift", NOW - timedelta(hours=1), "production")
    assert drift(settings).outcome == "accepted"
    found = drift(settings, "production")
    assert (found.outcome, found.measured.partition(",")[0]) == ("told", "drift of links")


def test_thresholds_decide_about_drift_and_too_little_mail(settings: EvidenceSettings, bundles: Bundles) -> None:
    report(settings, bundles.better, "drift", NOW - timedelta(hours=2))
    configure(settings.root, allow_drift=True, require_drift_report=True)
    assert drift(settings).outcome == "told"
    report(settings, bundles.better, "insufficient data", NOW - timedelta(hours=1))
    assert drift(settings).outcome == "refused"
    configure(settings.root)
    assert drift(settings).outcome == "told"


def test_reports_of_before_the_period_do_not_count(settings: EvidenceSettings, bundles: Bundles) -> None:
    report(settings, bundles.better, "drift", NOW - timedelta(days=8))
    assert drift(settings).measured == "no report about this model in the period"


def test_what_is_no_report_is_said(settings: EvidenceSettings, bundles: Bundles) -> None:
    shadow(settings, answers(bundles, mails(3)))
    report(settings, bundles.better, "drift", NOW - timedelta(hours=2))
    (path,) = Path(settings.log_uri, "_drift").rglob("report.json")
    path.write_text("{}")
    with pytest.raises(EvidenceError, match=r"report.json is no report of the drift detector \(status: Field required"):
        make(settings, NOW)


TRAILER = "drift\n\nSigned-off-by: Eve <eve@example.org>\nEvidence: accepted\n    accepted agreement: all\x1b[31m"
PLANTED: list[tuple[dict[str, Any], str]] = [
    ({"status": TRAILER}, "status: Input should be 'drift', 'no drift' or 'insufficient data'"),
    ({"status": None}, "status: Input should be"),
    ({"drifted": [{"measure": TRAILER}]}, "drifted.0.measure: String should match pattern"),
    ({"drifted": [{"measure": "a" * 65}]}, "drifted.0.measure: String should match"),
    ({"drifted": [{"measure": "links"}] * 101}, "drifted: List should have at most 100 items"),
    ({"drifted": "links"}, "drifted: Input should be a valid array"),
    ({"window": {"end": TRAILER}}, "window.end: Input should be a valid datetime"),
    ({"window": {"end": "2026-03-02T11:00:00"}}, "window.end: Input should have timezone info"),
    ({"window": {"end": float("nan")}}, "window.end: "),
    ({"rows": TRAILER}, "rows: Input should be a valid integer"),
    ({"rows": -1}, "rows: Input should be greater than or equal to 0"),
    ({"rows": 1e308}, "rows: Input should be a valid integer"),
    ({"rows": float("inf")}, "rows: "),
    ({"rows": True}, "rows: Input should be a valid integer"),
    ({"baseline": {"model_sha256": TRAILER}}, "baseline.model_sha256: String should match"),
]


@pytest.mark.parametrize(("fields", "why"), PLANTED)
def test_a_planted_report_is_refused_by_name_and_field(
    settings: EvidenceSettings, bundles: Bundles, fields: dict[str, Any], why: str
) -> None:
    report(settings, bundles.better, "no drift", NOW - timedelta(hours=2))
    (path,) = Path(settings.log_uri, "_drift").rglob("report.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(EvidenceError) as refused:
        make(settings, NOW)
    said = str(refused.value)
    assert f"report.json is no report of the drift detector ({why}" in said and "remove it, or run" in said
    assert said.isprintable() and "Eve" not in said


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff", b"null", b"9" * 5000, b" " * 9_000_000])
def test_a_report_that_is_none_at_all_is_refused_by_name(
    settings: EvidenceSettings, bundles: Bundles, content: bytes
) -> None:
    report(settings, bundles.better, "no drift", NOW - timedelta(hours=2))
    (path,) = Path(settings.log_uri, "_drift").rglob("report.json")
    path.write_bytes(content)
    with pytest.raises(EvidenceError, match=r"report.json is no report of the drift detector \("):
        make(settings, NOW)
