"""Tests of evidence from real bundles and real rows."""

import dataclasses
import hashlib
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import NOW, START, Bundles, answers, configure, mails, shadow, write_bundle

from bundle import read_manifest
from evidence import cli
from evidence.build import EvidenceSettings, make
from evidence.check import Check
from evidence.errors import EvidenceError
from evidence.report import write
from evidence.result import Evidence
from inferencelog import open_store, read_scored
from release.errors import ReleaseError
from release.evidence import Asked, summary
from release.releasefile import Pins

PNG = b"\x89PNG\r\n\x1a\n"
WITHOUT_HEALTH = {"require_health": False}


def outcomes(evidence: Evidence) -> dict[str, str]:
    return {each.name: each.outcome for each in evidence.checks}


def the(evidence: Evidence, name: str) -> Check:
    (found,) = [each for each in evidence.checks if each.name == name]
    return found


def test_a_model_as_good_is_accepted(settings: EvidenceSettings, bundles: Bundles, tmp_path: Path) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(1200, 7, 9)))
    evidence = make(settings, NOW)
    assert evidence.outcome == "accepted", evidence.refused
    assert outcomes(evidence) == {
        "offline AUC (DeLong)": "accepted",
        "offline errors (McNemar)": "accepted",
        "shadowed mails": "accepted",
        "agreement": "accepted",
        "agreement where production said spam": "accepted",
        "agreement where production said ham": "accepted",
        "latency, median": "accepted",
        "latency, 99th percentile": "accepted",
        "drift, candidate": "told",
        "drift, production": "told",
        "health": "told",
    }
    # Mail 9 was spam to production, mail 7 was ham.
    assert evidence.shadow.table == {"spam": {"spam": 399, "ham": 1}, "ham": {"spam": 1, "ham": 799}}
    assert [each.request_id for each in evidence.shadow.disagreements] == ["r7", "r9"]
    assert evidence.shadow.disagreements[0].features["words"] == 7.0
    assert (evidence.shadow.start, evidence.shadow.requests) == (START, 1200)


def test_a_model_that_was_told_wrong_is_refused(settings: EvidenceSettings, bundles: Bundles) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    shadow(settings, answers((bundles.worse, bundles.production), mails(1200)))
    evidence = make(dataclasses.replace(settings, candidate=bundles.worse), NOW)
    refused = [each.name for each in evidence.refused]
    assert "offline AUC (DeLong)" in refused and set(refused) <= {"offline AUC (DeLong)", "offline errors (McNemar)"}
    found = the(evidence, "offline AUC (DeLong)")
    assert found.threshold == "not worse at one-sided alpha 0.01" and "train anew" in found.advice
    # The same models the other way round are accepted.
    shadow(settings, answers((bundles.production, bundles.worse), mails(1200)))
    turned = make(dataclasses.replace(settings, candidate=bundles.production, production=bundles.worse), NOW)
    assert turned.outcome == "accepted", turned.refused


def test_errors_are_counted_at_each_models_own_threshold(
    settings: EvidenceSettings, bundles: Bundles, tmp_path: Path
) -> None:
    """The scores are production's own with three mails inverted, of which two had been right."""
    configure(settings.root, **WITHOUT_HEALTH)
    scored = read_scored((bundles.production / "evaluation.parquet").read_bytes(), "")
    threshold = 0.5
    wrong = (scored.scores >= threshold) != scored.spam
    right, missed = np.flatnonzero(~wrong)[:2], np.flatnonzero(wrong)[:1]
    scores = scored.scores.copy()
    for place in (*right, *missed):
        scores[place] = 1 - scores[place]
    folders = []
    for name, pickled, values in (("first", b"1", scored.scores), ("second", b"2", scores)):
        sha256 = hashlib.sha256(pickled).hexdigest()
        found = dataclasses.replace(scored, scores=values, model_file_sha256=sha256)
        folders.append(write_bundle(tmp_path / name, pickled, found, threshold))
    evidence = make(dataclasses.replace(settings, production=folders[0], candidate=folders[1]), NOW)
    assert not isinstance(evidence.offline, str)
    errors = evidence.offline.errors
    assert (errors.candidate_only, errors.production_only, errors.both) == (2, 1, wrong.sum() - 1)
    # At least 2 of 3 occur by chance with (3 + 1) / 8.
    assert errors.p_worse == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("environment", "threshold", "agreed"),
    [("production", 0.8, 1200), ("production", 0.5, 1180), ("staging", 0.8, 1180)],
)
def test_an_environments_threshold_labels_the_mails_of_both(
    settings: EvidenceSettings, bundles: Bundles, environment: str, threshold: float, agreed: int
) -> None:
    """The candidate will run at production's threshold, or else at its own of 0.5, and never at staging's."""
    configure(settings.root, **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(1200, *range(20))))
    values = {"global": {"model": {"threshold": threshold}}}
    (settings.root / "environments" / environment / "values.yaml").write_text(yaml.safe_dump(values))
    evidence = make(settings, NOW)
    assert evidence.shadow.agreement.agreed == agreed
    expected = threshold if environment == "production" else None
    assert (evidence.candidate.override, evidence.production.override) == (expected, expected)


def test_errors_are_counted_at_the_targets_threshold(settings: EvidenceSettings) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    path = settings.root / "environments/production/values.yaml"
    path.write_text("global: {model: {threshold: 0.999999}}")
    found = make(settings, NOW)
    assert not isinstance(found.offline, str)
    called = [scores >= 0.999999 for scores in (found.offline.candidate, found.offline.production)]
    both = (called[0] != found.offline.spam) & (called[1] != found.offline.spam)
    assert found.offline.errors.both == both.sum()


@pytest.mark.parametrize("text", ["1", "0", "94.8", "'0.9'", "true", ".nan"])
def test_a_threshold_in_git_that_is_none_is_no_evidence(settings: EvidenceSettings, text: str) -> None:
    path = settings.root / "environments/production/values.yaml"
    path.write_text(f"global: {{model: {{threshold: {text}}}}}")
    with pytest.raises(EvidenceError, match=r"production: global.model.threshold must be above 0 and below 1, is "):
        make(settings, NOW)


def test_nothing_counts_twice(settings: EvidenceSettings, bundles: Bundles) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    rows = answers(bundles, mails(600, 3))
    shadow(settings, rows)
    shadow(settings, rows, START + timedelta(hours=1))
    shadow(settings, rows[:100], START + timedelta(minutes=1))
    evidence = make(settings, NOW)
    assert (evidence.shadow.agreement.mails, evidence.shadow.agreement.agreed) == (600, 599)
    assert evidence.shadow.window.duplicates == 700
    assert outcomes(evidence)["shadowed mails"] == "refused"
    assert len(evidence.shadow.disagreements) == 1
    shadow(settings, answers(bundles, mails(600), position=1))
    assert make(settings, NOW).shadow.agreement.mails == 1200


def test_rows_of_other_models_count_nothing(settings: EvidenceSettings, bundles: Bundles) -> None:
    shadow(settings, answers((bundles.worse, bundles.production), mails(1000)))
    shadow(settings, answers((bundles.better, bundles.worse), mails(1000)))
    shadow(settings, answers(bundles, mails(10)))
    evidence = make(settings, NOW)
    assert evidence.shadow.agreement.mails == 10
    found = the(evidence, "shadowed mails")
    assert found.outcome == "refused" and "2000 rows are of other models" in found.advice


def test_numbers_that_are_none_are_set_aside(settings: EvidenceSettings, bundles: Bundles, tmp_path: Path) -> None:
    rows = answers(bundles, mails(5))
    rows[2] = dataclasses.replace(rows[2], probabilities=[float("nan")])
    rows[3] = dataclasses.replace(rows[3], seconds=float("inf"))
    shadow(settings, rows)
    evidence = make(settings, NOW)
    assert (evidence.shadow.agreement.mails, evidence.shadow.unusable) == (3, 2)
    write(evidence, tmp_path / "out")
    assert "2 rows with a value that no mail has" in (tmp_path / "out/evidence.md").read_text()


def test_a_model_that_always_says_ham_agrees_nearly_always_and_is_refused(
    settings: EvidenceSettings, bundles: Bundles
) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    kinds = [(f"r{n}", "spam" if n % 100 == 0 else "ham", "ham") for n in range(2000)]
    shadow(settings, answers(bundles, kinds))  # type: ignore[arg-type]
    found = outcomes(make(settings, NOW))
    assert found["agreement"] == found["agreement where production said ham"] == "accepted"
    assert found["agreement where production said spam"] == "refused"


def test_agreement_that_few_mails_cannot_prove_is_refused(settings: EvidenceSettings, bundles: Bundles) -> None:
    configure(settings.root, minimum_mails=100, **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(150, 1)))
    found = the(make(settings, NOW), "agreement")
    assert (found.outcome, found.measured) == ("refused", "149 of 150 mails, 99.33% (95 % 96.32% to 99.88%)")
    assert found.advice.startswith("the share itself is above 97.0%, and too few mails prove it")
    shadow(settings, answers(bundles, mails(200), position=1))
    assert the(make(settings, NOW), "agreement").outcome == "accepted"


def test_a_margin_lets_a_little_less_pass(settings: EvidenceSettings, bundles: Bundles) -> None:
    turned = dataclasses.replace(settings, candidate=bundles.production, production=bundles.better)
    evidence = make(turned, NOW)
    assert not isinstance(evidence.offline, str) and -0.01 < evidence.offline.auc.difference < 0
    assert the(evidence, "offline AUC (DeLong)").outcome == "refused"
    configure(settings.root, auc_margin=0.01)
    found = the(make(turned, NOW), "offline AUC (DeLong)")
    assert found.outcome == "accepted" and found.threshold.endswith("beyond a margin of 0.01")


def test_a_slower_model_is_refused(settings: EvidenceSettings, bundles: Bundles) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(1200), seconds=(0.013, 0.01)))
    evidence = make(settings, NOW)
    assert [each.name for each in evidence.refused] == ["latency, median"]
    assert evidence.shadow.disagreements == []
    assert (
        the(evidence, "latency, median").measured
        == "13.00 ms against 10.00 ms, 1.30 times (95 % 1.30 to 1.30), 1200 mails"
    )
    configure(settings.root, maximum_latency_ratio=1.31, **WITHOUT_HEALTH)
    assert make(settings, NOW).outcome == "accepted"


def test_times_of_batches_that_differ_are_not_compared(settings: EvidenceSettings, bundles: Bundles) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(1200), seconds=(0.09, 0.01), batch_mails=3))
    few = the(make(settings, NOW), "latency, median")
    assert few.outcome == "refused" and few.measured.startswith("0 mails that both had in batches of one size")
    shadow(settings, answers(bundles, mails(99), position=1))
    assert the(make(settings, NOW), "latency, median").measured.startswith("99 mails")
    shadow(settings, answers(bundles, mails(1), position=2))
    evidence = make(settings, NOW)
    assert evidence.outcome == "accepted"
    assert (
        the(evidence, "latency, median").measured
        == "10.00 ms against 10.00 ms, 1.00 times (95 % 1.00 to 1.00), 100 mails"
    )
    assert evidence.shadow.agreement.mails == 1300


def test_no_mail_at_all_is_refused_check_by_check(settings: EvidenceSettings, tmp_path: Path) -> None:
    evidence = make(settings, NOW)
    refused = {each.name for each in evidence.refused}
    assert {"shadowed mails", "agreement", "latency, median", "health"} <= refused
    assert all(each.advice for each in evidence.refused)
    write(evidence, tmp_path / "out")
    assert json.loads((tmp_path / "out/evidence.json").read_text())["shadow"]["agreement"]["mails"] == 0


def test_bundles_without_scores_or_of_another_corpus_are_not_compared(
    settings: EvidenceSettings, bundles: Bundles, tmp_path: Path
) -> None:
    configure(settings.root, **WITHOUT_HEALTH)
    bare = dataclasses.replace(settings, production=write_bundle(tmp_path / "bare", b"x", None))
    found = the(make(bare, NOW), "offline")
    assert found.outcome == "refused"
    assert found.measured == "not compared: the bundle of production, bare, has no evaluation.parquet"
    scored = read_scored((bundles.production / "evaluation.parquet").read_bytes(), "")
    sha256 = hashlib.sha256(b"y").hexdigest()
    for change, why in (
        ({"corpus_digest": "0" * 64}, "trained on other corpora"),
        ({"folds": scored.folds[::-1].copy()}, "other folds"),
        ({"mails": scored.mails[::-1]}, "other mails"),
    ):
        other = dataclasses.replace(scored, model_file_sha256=sha256, **change)
        folder = write_bundle(tmp_path / "other", b"y", other)
        assert why in the(make(dataclasses.replace(settings, production=folder), NOW), "offline").measured
    configure(settings.root, require_offline=False, **WITHOUT_HEALTH)
    assert the(make(bare, NOW), "offline").outcome == "told"


def test_the_report_says_what_was_found_and_no_more(
    settings: EvidenceSettings, bundles: Bundles, tmp_path: Path
) -> None:
    configure(settings.root, maximum_age="3d", **WITHOUT_HEALTH)
    hostile = [("r|<img src=x>`\n", "spam", "ham")]
    shadow(settings, answers(bundles, [*mails(1200), *hostile]))  # type: ignore[list-item]
    evidence = make(settings, NOW)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "roc.png").write_text("of an earlier run")
    write(evidence, folder)
    text = (folder / "evidence.md").read_text()
    assert "# Evidence: `better` is accepted" in text
    assert "| spam | 400 | 1 |\n| ham | 0 | 800 |" in text
    assert "| `r??img?src=x???` | 0 | spam 0.7500 | ham 0.2500 |" in text
    assert "<img" not in text
    shown = re.findall(r"!\[.*\]\((.*)\)", text)
    assert shown == ["roc.png", "scores.png", "differences.png", "latency.png"]
    for name in shown:
        data = (folder / name).read_bytes()
        assert data.startswith(PNG) and len(data) < 60_000
    found = json.loads((folder / "evidence.json").read_text())
    assert (found["format"], found["outcome"], found["made"]) == (1, "accepted", NOW.isoformat())
    assert found["candidate"]["sha256"] == evidence.candidate.sha256
    assert found["configured"] == {"maximum_age": "3d", "require_health": False}
    assert found["thresholds"]["maximum_age_seconds"] == 3 * 86400
    assert found["shadow"]["predictions"]["spam"] == {"spam": 400, "ham": 1}
    assert len(found["shadow"]["largest_disagreements"][0]["features"]) > 5


def pin(settings: EvidenceSettings, environment: str, uri: str, sha256: str) -> None:
    path = settings.root / "environments" / environment / "release.yaml"
    path.write_text(f"global: {{model: {{uri: '{uri}', sha256: '{sha256}'}}}}")


def test_pinned_bundles_are_fetched_and_checked(settings: EvidenceSettings, bundles: Bundles, s3: str) -> None:
    pinned = dataclasses.replace(settings, candidate=None, production=None)
    pin(pinned, "staging", "s3://models/spam-detector/000000000000", "")
    with pytest.raises(EvidenceError, match="staging: .*is the example that the file came with"):
        make(pinned, NOW)
    for environment, folder in (("staging", bundles.better), ("production", bundles.production)):
        store = open_store(f"{s3}/spam-detector/{folder.name}")
        for file in folder.iterdir():
            store.write(file.name, file.read_bytes())
        pin(pinned, environment, store.uri(), read_manifest(folder).sha256)
    configure(settings.root, **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(1200)))
    evidence = make(pinned, NOW)
    assert evidence.outcome == "accepted", evidence.refused
    assert evidence.candidate.uri == f"{s3}/spam-detector/better"
    pin(pinned, "staging", evidence.candidate.uri, evidence.production.sha256)
    with pytest.raises(EvidenceError, match=r"staging: .*the release pins .*; it was not unpickled"):
        make(pinned, NOW)
    pin(pinned, "staging", evidence.candidate.uri, evidence.candidate.sha256)
    open_store(f"{s3}/spam-detector/better").write("evaluation.parquet", b"tampered with")
    with pytest.raises(EvidenceError, match="evaluation.parquet has SHA-256 .*, model.json says"):
        make(pinned, NOW)


def test_a_manifest_that_was_changed_after_the_pin_is_no_evidence(
    settings: EvidenceSettings, bundles: Bundles, s3: str
) -> None:
    """Whoever can write to the bucket could otherwise make the candidate, or production, call all mail ham."""
    pinned = dataclasses.replace(settings, candidate=None)
    store, folder = open_store(f"{s3}/spam-detector/changed"), bundles.better
    for file in folder.iterdir():
        store.write(file.name, file.read_bytes())
    manifest = read_manifest(folder)
    pin(pinned, "staging", store.uri(), manifest.files["model.joblib"])
    with pytest.raises(EvidenceError, match="staging: .*as releases once pinned model.joblib; .*run make pin-model"):
        make(pinned, NOW)
    pin(pinned, "staging", store.uri(), manifest.sha256)
    for threshold in (1.0, 0.99):
        changed = json.loads((folder / "model.json").read_text()) | {"threshold": threshold}
        store.write("model.json", json.dumps(changed).encode())
        with pytest.raises(EvidenceError, match=f"model.json has SHA-256 .*, the release pins {manifest.sha256}"):
            make(pinned, NOW)


def test_a_folder_whose_threshold_calls_all_mail_ham_is_no_evidence(
    settings: EvidenceSettings, bundles: Bundles, tmp_path: Path
) -> None:
    shutil.copytree(bundles.better, tmp_path / "changed")
    path = tmp_path / "changed" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 1.0}))
    with pytest.raises(EvidenceError, match="'threshold' must be greater than 0 and less than 1, is 1.0"):
        make(dataclasses.replace(settings, candidate=tmp_path / "changed"), NOW)


def test_what_cannot_be_evidence_is_said(settings: EvidenceSettings, bundles: Bundles, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="the same model"):
        make(dataclasses.replace(settings, candidate=bundles.production), NOW)
    with pytest.raises(EvidenceError, match="PROMETHEUS_URL 'prometheus:9090' must be http"):
        make(dataclasses.replace(settings, prometheus_url="prometheus:9090"), NOW)
    with pytest.raises(EvidenceError, match="config.yaml does not exist"):
        make(dataclasses.replace(settings, target="live"), NOW)
    with pytest.raises(EvidenceError, match="staging: .*model.json does not exist|staging: model folder"):
        make(dataclasses.replace(settings, candidate=tmp_path / "nowhere"), NOW)


def run(settings: EvidenceSettings, out: Path, *more: str) -> int:
    return cli.main(
        [
            *("--root", str(settings.root), "--out", str(out), "--inference-log-uri", settings.log_uri),
            *("--candidate", str(settings.candidate), "--production", str(settings.production), *more),
        ]
    )


def test_the_exit_code_says_the_outcome(
    settings: EvidenceSettings, bundles: Bundles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    configure(settings.root, require_health=False, minimum_mails=100)
    assert run(settings, out) == 1
    assert "refused  shadowed mails: 0 of exactly these models (asked: at least 100)" in capsys.readouterr().out
    shadow(settings, answers(bundles, mails(600)), datetime.now(UTC) - timedelta(hours=1))
    assert run(settings, out) == 0
    assert "accepted: model better of staging" in capsys.readouterr().out
    assert run(settings, out, "--last", "5m") == 1
    configure(settings.root, minimum_mail=100)
    assert run(settings, out) == 2
    assert (
        "evidence.minimum_mail is unknown; known: require_offline, alpha, auc_margin, minimum_mails"
        in capsys.readouterr().err
    )


def test_a_promotion_understands_what_is_written(settings: EvidenceSettings, bundles: Bundles, tmp_path: Path) -> None:
    configure(settings.root, maximum_age="1h", **WITHOUT_HEALTH)
    shadow(settings, answers(bundles, mails(1200)))
    evidence = make(settings, NOW)
    write(evidence, tmp_path)
    pins = [
        Pins({}, f"s3://models/spam-detector/{side.version}", side.sha256)
        for side in (evidence.production, evidence.candidate)
    ]
    asked = Asked(settings.root, "staging", "production", pins[0], pins[1], NOW + timedelta(minutes=59))
    lines = summary(tmp_path / "evidence.json", asked, None)
    assert lines[0] == "Evidence: accepted, made 2026-03-02 12:00 UTC" and len(lines) == 1 + len(evidence.checks)
    for change, why in (
        ({"now": NOW + timedelta(minutes=61)}, "may be 1:00:00 old"),
        ({"source": "canary"}, "and canary pins better"),
        ({"after": Pins({}, "s3://models/spam-detector/other", "0" * 64)}, "and staging pins other"),
    ):
        with pytest.raises(ReleaseError, match=why):
            summary(tmp_path / "evidence.json", dataclasses.replace(asked, **change), None)
    configure(settings.root, alpha=0.4)
    with pytest.raises(ReleaseError, match="production's thresholds have changed"):
        summary(tmp_path / "evidence.json", asked, None)
