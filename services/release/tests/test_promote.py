"""Promotion in a real repository, rendered by a real helm."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, commit_all, digest, git, release, sha256, write, write_bundle

from release.git import Git

pytestmark = pytest.mark.usefixtures("helm")

EVIDENCE = Path("build/evidence/evidence.json")
STAGING, PRODUCTION = (Path("environments", name, "release.yaml") for name in ("staging", "production"))


@pytest.fixture
def tried(repository: Git) -> Git:
    """Staging runs a new gateway and model 2, and there is evidence for it."""
    STAGING.write_text("# As tried.\n" + release("2", gateway=digest("new")))
    commit_all(repository.root, "Pin staging")
    (repository.root / ".git/info").mkdir(exist_ok=True)
    (repository.root / ".git/info/exclude").write_text("/build/\n")
    write_evidence()
    return repository


def write_evidence(**fields: Any) -> None:
    """As services/evidence writes it; its own test reads it with this package."""
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
            side: {"environment": environment, "version": version, "sha256": sha256(version.encode()), "uri": ""}
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


def test_the_message_shows_what_changes(tried: Git, run: Command, bundle: Path) -> None:
    write_bundle(bundle.parent / "1", {"one_minus_auc": 0.0004}, model=b"1")
    printed = run("promote", "--models", bundle.parents[1])
    message = git(tried.root, "log", "-1", "--format=%B")
    lines = message.splitlines()
    assert lines[0] == "Promote to production: model 2, gateway"
    assert f"gateway     {digest('gateway')[:19]} -> {digest('new')[:19]}" in lines
    assert "drift       unchanged" in lines
    assert "model       s3://models/spam-detector/1 -> s3://models/spam-detector/2" in lines
    assert f"            SHA-256 {sha256(b'1')} -> {sha256(b'2')}" in lines
    assert "            one_minus_auc 0.0004 -> 0.0003" in lines
    assert "            spam_caught 0.95" in lines
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
    # Only in production, where nobody has tried it.
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


OTHER = {"environment": "staging", "version": "3", "sha256": sha256(b"3"), "uri": ""}
REFUSED = {"name": "latency", "outcome": "refused", "measured": "2 times", "threshold": "1.25 times"}


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"candidate": OTHER}, "of staging's model 3 (4e07408562be) as candidate, and staging pins 2"),
        ({"production": OTHER | {"environment": "production"}}, "as production, and production pins 1"),
        ({"candidate": OTHER | {"environment": "canary", "sha256": sha256(b"2")}}, "it is of canary's model"),
        ({"outcome": "refused", "checks": [REFUSED]}, "the model is refused: latency; evidence.md says what to do"),
        ({"checks": [REFUSED]}, "the model is refused: latency"),
        ({"made": ago(hours=2)}, "and may be 1:00:00 old: run make evidence"),
        ({"made": ago(hours=-1)}, "and may be 1:00:00 old"),
        ({"configured": {"alpha": 0.4}}, "production's thresholds have changed since"),
        ({"format": 2}, "is no evidence of this version (ValueError('format 2, not 1'))"),
        ({"checks": None}, "is no evidence of this version (TypeError"),
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


def test_images_alone_need_no_evidence(tried: Git, run: Command) -> None:
    STAGING.write_text(release(gateway=digest("new")))
    commit_all(tried.root, "Only an image")
    EVIDENCE.unlink()
    run("promote")
    assert "\nEvidence: none needed, the model is unchanged\n" in git(tried.root, "log", "-1", "--format=%B")
