"""Tests of promotion in a real repository, rendered by a real helm."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import METRICS, Command, commit_all, digest, git, pinned, release, sha256, write, write_bundle

from release.git import Git

pytestmark = pytest.mark.usefixtures("helm")

EVIDENCE = Path("build/evidence/evidence.json")
STAGING, PRODUCTION = (Path("environments", name, "release.yaml") for name in ("staging", "production"))


@pytest.fixture
def tried(repository: Git) -> Git:
    """Return a repository whose staging runs a new gateway and model 2, with evidence for it."""
    STAGING.write_text("# As tried.\n" + release("2", gateway=digest("new")))
    commit_all(repository.root, "Pin staging")
    (repository.root / ".git/info").mkdir(exist_ok=True)
    (repository.root / ".git/info/exclude").write_text("/build/\n")
    write_evidence()
    return repository


def write_evidence(**fields: Any) -> None:
    """Write evidence in the format of tools/evidence; its own test reads it with this package."""
    sides = (("candidate", "staging", "2"), ("production", "production", "1"))
    content = {
        "format": 1,
        "outcome": "accepted",
        "made": datetime.now(UTC).isoformat(),
        "thresholds": {"maximum_age_seconds": 3600.0},
        "configured": {},
        "checks": [
            {"name": "agreement", "outcome": "accepted", "measured": "99 of 100 mails", "threshold": "at least 97 %"},
            {"name": "drift, candidate", "outcome": "told", "measured": "no report", "threshold": "no drift"},
        ],
        **{
            side: {"environment": environment, "version": version, "sha256": pinned(version), "uri": ""}
            for side, environment, version in sides
        },
        **fields,
    }
    EVIDENCE.parent.mkdir(parents=True, exist_ok=True)
    EVIDENCE.write_text(json.dumps(content))


def test_one_commit_copies_the_file_and_nothing_else(tried: Git, run: Command) -> None:
    Path("elsewhere").write_text("staged, and not part of it")
    git(tried.root, "add", "elsewhere")
    run("promote")
    assert PRODUCTION.read_bytes() == STAGING.read_bytes()
    assert git(tried.root, "show", "--format=", "--name-only") == str(PRODUCTION)
    assert git(tried.root, "rev-list", "--count", "HEAD") == "3"
    assert git(tried.root, "status", "--porcelain") == "A  elsewhere"


def test_the_message_shows_the_targets_threshold(tried: Git, run: Command, bundle: Path) -> None:
    line = "            spam from 0.7 on in production, which sets it in place of the model's own"
    assert line not in run("promote", "--models", bundle.parents[1], "--dry-run").splitlines()
    path = tried.root / "environments/production/values.yaml"
    path.write_text(path.read_text().replace("}", ", global: {model: {threshold: 0.7}}}"))
    commit_all(tried.root, "Another threshold")
    assert line in run("promote", "--models", bundle.parents[1], "--dry-run").splitlines()


def test_the_message_shows_what_changes(tried: Git, run: Command, bundle: Path) -> None:
    write_bundle(bundle.parent / "1", METRICS)
    printed = run("promote", "--models", bundle.parents[1])
    message = git(tried.root, "log", "-1", "--format=%B")
    lines = message.splitlines()
    assert lines[0] == "Promote to production: model 2, gateway"
    assert f"gateway     {digest('gateway')[:19]} -> {digest('new')[:19]}" in lines
    assert "drift       unchanged" in lines
    assert "model       s3://models/spam-detector/1 -> s3://models/spam-detector/2" in lines
    assert f"            SHA-256 {pinned('1')} -> {pinned('2')}" in lines
    assert "            threshold 0.9 -> 0.9" in lines
    assert "            one_minus_auc 0.0003 -> 0.0003" in lines
    assert "Rendered objects: 0 added, 2 changed, 0 removed" in lines
    assert "changed: Deployment serving/api-gateway" in lines
    assert f"    +  image: gateway@{digest('new')}" in lines
    assert message in printed
    assert (
        f"git push origin HEAD:refs/heads/promote/production-{git(tried.root, 'rev-parse', '--short', 'HEAD')}"
        in printed
    )


def test_metrics_of_another_model_of_that_version_are_not_shown(tried: Git, run: Command, tmp_path: Path) -> None:
    write_bundle(tmp_path / "models/spam-detector/2", {"one_minus_auc": 0.5}, model=b"another")
    assert "metrics: its model.json is not at hand" in run("promote", "--models", tmp_path / "models")


def test_a_dry_run_changes_nothing(tried: Git, run: Command) -> None:
    head = git(tried.root, "rev-parse", "HEAD")
    printed = run("promote", "--dry-run")
    assert "Promote to production: model 2, gateway" in printed
    assert f"    +  image: gateway@{digest('new')}" in printed
    assert (git(tried.root, "rev-parse", "HEAD"), tried.changes()) == (head, [])


def test_the_same_release_is_refused(repository: Git, run: Command) -> None:
    assert "production already runs what staging runs" in run.refusal("promote")
    STAGING.write_text("# Only a comment.\n" + release())
    commit_all(repository.root, "Comment")
    assert "nothing to promote" in run.refusal("promote")


@pytest.mark.parametrize("path", ["environments/production/values.yaml", "environments/x", "charts/model-serving/y"])
def test_what_nobody_reviewed_is_refused(tried: Git, run: Command, path: str) -> None:
    with Path(path).open("a") as file:
        file.write("\n")
    assert f"not committed: {path}" in run.refusal("promote")


def test_a_release_that_is_not_wholly_pinned_is_refused(tried: Git, run: Command) -> None:
    STAGING.write_text(release("2").replace(digest("baseline"), "''"))
    commit_all(tried.root, "Unpin")
    assert "environments/staging/release.yaml: drift.baseline.image.digest" in run.refusal("promote")


def test_what_does_not_render_is_refused(tried: Git, run: Command) -> None:
    # Only production has the error, where nobody has tried it.
    write(tried.root / "environments/production", {"values.yaml": "{notes: ["})
    commit_all(tried.root, "Break")
    assert "production does not render" in run.refusal("promote")
    assert PRODUCTION.read_text() == release()


def test_the_first_promotion_has_nothing_to_compare_with(tried: Git, run: Command) -> None:
    PRODUCTION.write_text(release().replace(digest("gateway"), "''"))
    commit_all(tried.root, "Not yet")
    printed = run("promote", "--without-evidence", "production has run nothing yet")
    assert "production did not render before:" in printed
    assert "ERROR: no gateway.image.digest" in printed
    assert f"gateway     nothing -> {digest('new')[:19]}" in printed


def test_a_commit_that_git_refuses_leaves_the_tree_as_it_was(tried: Git, run: Command) -> None:
    hook = tried.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "git commit failed: not today" in run.refusal("promote")
    assert tried.changes() == []


def test_a_long_diff_is_cut_and_says_so(tried: Git, run: Command) -> None:
    write(tried.root / "environments/production", {"values.yaml": "{notes: second, secret: s, extra: ''}"})
    chart = tried.root / "charts/model-serving/templates/all.yaml"
    rows = "".join(f"    {n} of {{{{ $.Values.global.model.uri }}}}\n" for n in range(2000))
    chart.write_text(chart.read_text().replace("    first\n", f"    first\n{rows}"))
    commit_all(tried.root, "Grow")
    message = run("promote")
    assert len(message) < 25_000
    assert "lines more: make diff BASE=<this commit>^ LIMIT=0" in message


def test_environments_can_be_named(tried: Git, run: Command) -> None:
    assert "no environment 'live'" in run.refusal("promote", "--to", "live")
    run("promote", "--from", "production", "--to", "staging", "--without-evidence", "staging is no entrance")
    assert STAGING.read_text() == release()


def test_the_evidence_is_part_of_the_message(tried: Git, run: Command) -> None:
    run("promote")
    message = git(tried.root, "log", "-1", "--format=%B")
    assert "\nEvidence: accepted, made 20" in message
    assert "\n    accepted agreement: 99 of 100 mails (asked: at least 97 %)\n" in message
    assert "\n    told     drift, candidate: no report (asked: no drift)\n" in message


OTHER = {"environment": "staging", "version": "3", "sha256": pinned("3"), "uri": ""}
REFUSED = {"name": "latency", "outcome": "refused", "measured": "2 times", "threshold": "1.25 times"}


def check(**fields: Any) -> dict[str, Any]:
    return {"name": "agreement", "outcome": "accepted", "measured": "all", "threshold": "none", **fields}


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"candidate": OTHER}, f"of staging's model 3 ({pinned('3')[:12]}) as candidate, and staging pins 2"),
        ({"production": OTHER | {"environment": "production"}}, "as production, and production pins 1"),
        ({"candidate": OTHER | {"environment": "canary", "sha256": pinned("2")}}, "it is of canary's model"),
        ({"outcome": "refused", "checks": [REFUSED]}, "the model is refused: latency; evidence.md says what to do"),
        ({"checks": [REFUSED]}, "the model is refused: latency"),
        ({"made": ago(hours=2)}, "and may be 1:00:00 old: run make evidence"),
        ({"made": ago(hours=-1)}, "and may be 1:00:00 old"),
        ({"configured": {"alpha": 0.4}}, "production's thresholds have changed since"),
        ({"format": 2}, "is no evidence of this version (format: Input should be 1): run make evidence"),
        ({"checks": None}, "is no evidence of this version (checks: Input should be a valid array)"),
        ({"checks": []}, "(checks: List should have at least 1 item"),
        ({"checks": [check()] * 101}, "(checks: List should have at most 100 items"),
        ({"checks": [check(name="x\n\nSigned-off-by: Eve <e@x>")]}, "(checks.0.name: String should match pattern"),
        ({"checks": [check(name="x: all well (asked: nothing)")]}, "(checks.0.name: String should match pattern"),
        ({"checks": [check(measured="fine\n    accepted agreement: all")]}, "(checks.0.measured: Value error, must be"),
        ({"checks": [check(measured="\x1b[2J\x1b[32maccepted")]}, "(checks.0.measured: Value error, must be one line"),
        ({"checks": [check(threshold="x" * 1001)]}, "(checks.0.threshold: Value error, must be one line"),
        ({"checks": [check(threshold="\u202e")]}, "(checks.0.threshold: Value error, must be one line"),
        ({"checks": [check(measured=7)]}, "(checks.0.measured: Input should be a valid string)"),
        ({"checks": [check(outcome="Accepted")]}, "(checks.0.outcome: Input should be 'accepted'"),
        ({"outcome": "accepted\nReviewed-by: Eve"}, "(outcome: Input should be 'accepted' or 'refused')"),
        ({"made": "yesterday"}, "(made: Input should be a valid datetime"),
        ({"made": "2026-01-01T00:00:00"}, "(made: Input should have timezone info)"),
        ({"made": 1e400}, "(made: "),
        ({"thresholds": {"maximum_age_seconds": float("inf")}}, "(thresholds.maximum_age_seconds: Input should be"),
        ({"thresholds": {"maximum_age_seconds": float("nan")}}, "(thresholds.maximum_age_seconds: Input should be"),
        ({"thresholds": {"maximum_age_seconds": 1e308}}, "(thresholds.maximum_age_seconds: Input should be"),
        ({"thresholds": {}}, "(thresholds.maximum_age_seconds: Field required)"),
        ({"candidate": OTHER | {"version": "3\nEvidence: accepted"}}, "(candidate.version: String should match"),
        ({"candidate": OTHER | {"sha256": "x"}}, "(candidate.sha256: String should match pattern"),
        ({"candidate": OTHER | {"environment": "staging\n"}}, "(candidate.environment: String should match"),
    ],
)
def test_evidence_that_does_not_hold_is_refused(tried: Git, run: Command, fields: dict[str, Any], why: str) -> None:
    head = git(tried.root, "rev-parse", "HEAD")
    write_evidence(**fields)
    assert why in run.refusal("promote")
    assert (git(tried.root, "rev-parse", "HEAD"), tried.changes()) == (head, [])


def test_no_evidence_is_refused(tried: Git, run: Command) -> None:
    EVIDENCE.unlink()
    refusal = run.refusal("promote")
    assert "there is no evidence for the model, build/evidence/evidence.json: run make evidence" in refusal
    assert 'make promote WITHOUT_EVIDENCE="reason"' in refusal


def test_thresholds_of_today_are_those_of_the_targets_configuration(tried: Git, run: Command) -> None:
    write(tried.root / "environments/production", {"config.yaml": "{name: production, evidence: {alpha: 0.02}}"})
    commit_all(tried.root, "Other thresholds")
    assert "thresholds have changed" in run.refusal("promote")
    write_evidence(configured={"alpha": 0.02})
    run("promote")


def test_without_evidence_only_with_a_reason_that_is_committed(tried: Git, run: Command) -> None:
    assert "the reason to promote without evidence is empty" in run.refusal("promote", "--without-evidence", " ")
    write_evidence(outcome="refused", checks=[REFUSED])
    run("promote", "--without-evidence", "the old model\nleaks")
    message = git(tried.root, "log", "-1", "--format=%B")
    assert "\nPROMOTED WITHOUT EVIDENCE: the old model leaks\n" in message
    assert "\n    build/evidence/evidence.json: the model is refused: latency; evidence.md says what to do\n" in message


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 100_000, b"\xff", b"[]", b"null", b"9" * 5000, b'{"format": 1}'],
    ids=["empty", "deep", "no UTF-8", "list", "null", "number", "one field"],
)
def test_what_is_no_evidence_is_refused_by_name(tried: Git, run: Command, content: bytes) -> None:
    EVIDENCE.write_bytes(content)
    assert "build/evidence/evidence.json is no evidence of this version (" in run.refusal("promote")


def test_evidence_that_is_no_file_is_refused(tried: Git, run: Command) -> None:
    EVIDENCE.unlink()
    os.mkfifo(EVIDENCE)
    assert "build/evidence/evidence.json is no file of at most" in run.refusal("promote")


@pytest.mark.parametrize("reason", ["\x1b[2Jfine", "x" * 501, "a\udcffb", "\u202eenif", "a\x00b"])
def test_a_reason_is_a_short_printable_line(tried: Git, run: Command, reason: str) -> None:
    said = run.refusal("promote", "--without-evidence", reason)
    assert "must be at most 500 printable characters" in said


def test_no_text_becomes_a_trailer_or_a_line_of_its_own(tried: Git, run: Command, tmp_path: Path) -> None:
    metrics = {"x\n\nSigned-off-by: Eve <e@x>\x1b[31m": 1.5}
    write_bundle(tmp_path / "models/spam-detector/2", metrics, model=b"2")
    reason = "needed\n\nSigned-off-by: Eve <e@x>\nEvidence: accepted"
    run("promote", "--models", tmp_path / "models", "--without-evidence", reason)
    message = git(tried.root, "log", "-1", "--format=%B")
    assert "\x1b" not in message
    assert not [line for line in message.splitlines() if line.startswith(("Signed-off-by", "Evidence: accepted\n"))]
    trailers = git(tried.root, "log", "-1", "--format=%(trailers:only,unfold)")
    assert "Eve" not in trailers


def test_images_alone_need_no_evidence(tried: Git, run: Command) -> None:
    STAGING.write_text(release(gateway=digest("new")))
    commit_all(tried.root, "Only an image")
    EVIDENCE.unlink()
    run("promote")
    assert "\nEvidence: none needed, the model is unchanged\n" in git(tried.root, "log", "-1", "--format=%B")


def test_a_pin_of_before_is_refused_and_says_what_to_run(tried: Git, run: Command, bundle: Path) -> None:
    """Older releases pinned the digest of model.joblib, so whoever could write to the bucket chose the threshold."""
    STAGING.write_text(STAGING.read_text().replace(pinned("2"), sha256(b"2")))
    commit_all(tried.root, "Pin as before")
    why = run.refusal("promote", "--models", bundle.parents[1], "--without-evidence", "x")
    assert f"staging pins {sha256(b'2')}, the SHA-256 of model.joblib alone; a release pins model.json" in why
    assert f"run make pin-model ENV=staging URI=s3://models/spam-detector/2 BUNDLE={bundle}" in why


def test_a_manifest_that_is_not_the_one_pinned_is_not_shown(tried: Git, run: Command, bundle: Path) -> None:
    path = bundle / "model.json"
    path.write_text(path.read_text().replace("0.9", "0.99"))
    assert "metrics: its model.json is not at hand" in run("promote", "--models", bundle.parents[1])
