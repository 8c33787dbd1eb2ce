"""Reports as the drift detector writes them."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import NOW, Bundles, answers, configure, mails, shadow

import bundle
from evidence.build import Settings, make
from evidence.check import Check
from evidence.errors import EvidenceError
from inferencelog.schema import partition


def report(settings: Settings, folder: Path, status: str, end: datetime, environment: str = "staging") -> None:
    """What services/drift/src/drift/result.py says of a period, as far as it is read here."""
    content = {
        "status": status,
        "window": {"start": (end - timedelta(hours=1)).isoformat(), "end": end.isoformat()},
        "rows": 500,
        "drifted": [{"measure": "links"}] if status == "drift" else [],
        "baseline": {"model_sha256": bundle.read_manifest(folder).files["model.joblib"]},
    }
    path = Path(settings.log_uri, "_drift", partition(environment, end - timedelta(hours=1)), "report.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def drift(settings: Settings, of: str = "candidate") -> Check:
    (found,) = [each for each in make(settings, NOW).checks if each.name == f"drift, {of}"]
    return found


def test_the_newest_report_about_this_model_decides(settings: Settings, bundles: Bundles) -> None:
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


def test_thresholds_decide_about_drift_and_too_little_mail(settings: Settings, bundles: Bundles) -> None:
    report(settings, bundles.better, "drift", NOW - timedelta(hours=2))
    configure(settings.root, allow_drift=True, require_drift_report=True)
    assert drift(settings).outcome == "told"
    report(settings, bundles.better, "insufficient data", NOW - timedelta(hours=1))
    assert drift(settings).outcome == "refused"
    configure(settings.root)
    assert drift(settings).outcome == "told"


def test_reports_of_before_the_period_do_not_count(settings: Settings, bundles: Bundles) -> None:
    report(settings, bundles.better, "drift", NOW - timedelta(days=8))
    assert drift(settings).measured == "no report about this model in the period"


def test_what_is_no_report_is_said(settings: Settings, bundles: Bundles) -> None:
    shadow(settings, answers(bundles, mails(3)))
    report(settings, bundles.better, "drift", NOW - timedelta(hours=2))
    (path,) = Path(settings.log_uri, "_drift").rglob("report.json")
    path.write_text("{}")
    with pytest.raises(EvidenceError, match=r"report.json is no report of the drift detector \(KeyError"):
        make(settings, NOW)
