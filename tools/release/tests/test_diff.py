"""Tests of a branch's changes, as a pull request shows them."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import Command, commit_all, digest, git, release, write

from release.cli import main
from release.git import Git

pytestmark = pytest.mark.usefixtures("helm")

STAGING = Path("environments/staging")
CHART = Path("charts/model-serving/templates/all.yaml")


@pytest.fixture
def branch(repository: Git) -> Git:
    """Return the current branch, which has left main."""
    git(repository.root, "switch", "--quiet", "--create", "feature")
    return repository


def test_nothing_has_changed(branch: Git, run: Command) -> None:
    assert run("diff").splitlines()[2:] == [
        "| environment | added | changed | removed |",
        "|---|---|---|---|",
        "| production | 0 | 0 | 0 |",
        "| staging | 0 | 0 | 0 |",
    ]


def test_changes_are_shown_by_environment_and_object(branch: Git, run: Command) -> None:
    write(STAGING, {"release.yaml": release(gateway=digest("new")), "values.yaml": "{secret: hush-1, extra: robot}"})
    shown = run("diff")
    assert "| production | 0 | 0 | 0 |" in shown
    assert "| staging | 1 | 2 | 0 |" in shown
    assert re.findall(r"<summary>(.*)</summary>", shown) == [
        "changed: <code>ConfigMap kserve/model</code>",
        "changed: <code>Deployment serving/api-gateway</code>",
        "added: <code>ServiceAccount serving/robot</code>",
    ]
    # The diff shows only the changed line of a long text.
    assert "     first\n-    second\n" in shown
    assert f"-  image: gateway@{digest('gateway')}\n+  image: gateway@{digest('new')}\n" in shown


def test_a_secret_shows_that_it_changes_and_not_what_it_holds(branch: Git, run: Command) -> None:
    write(STAGING, {"values.yaml": "{notes: second, secret: hush-2, extra: ''}"})
    shown = run("diff")
    assert "changed: <code>Secret kserve/store</code>" in shown
    assert "hush" not in shown
    assert len(set(re.findall(r"key: \(SHA-256 (\w{12})\)", shown))) == 2


def test_what_came_to_main_since_is_not_this_branchs_doing(branch: Git, run: Command) -> None:
    git(branch.root, "switch", "--quiet", "main")
    write(STAGING, {"release.yaml": release(gateway=digest("later"))})
    commit_all(branch.root, "Later")
    git(branch.root, "switch", "--quiet", "feature")
    assert "| staging | 0 | 0 | 0 |" in run("diff", "--base", "main")


def test_what_origin_has_comes_before_what_is_here(branch: Git, run: Command) -> None:
    write(STAGING, {"release.yaml": release(gateway=digest("new"))})
    commit_all(branch.root, "Pin")
    git(branch.root, "branch", "--force", "main")
    assert "| staging | 0 | 0 | 0 |" in run("diff")
    git(branch.root, "update-ref", "refs/remotes/origin/main", "HEAD~1")
    assert "| staging | 0 | 1 | 0 |" in run("diff")


def test_environments_come_and_go(branch: Git, run: Command) -> None:
    git(branch.root, "mv", "environments/staging", "environments/canary")
    assert run("diff").splitlines()[4:7] == [
        "| canary | 3 | 0 | 0 |",
        "| production | 0 | 0 | 0 |",
        "| staging | 0 | 0 | 3 |",
    ]


def test_a_tree_that_does_not_render_is_shown_and_fails(branch: Git, capsys: pytest.CaptureFixture[str]) -> None:
    write(STAGING, {"release.yaml": release().replace(digest("gateway"), "''")})
    assert main(["diff"]) == 1
    shown = capsys.readouterr().out
    assert "| staging | ? | ? | ? |" in shown
    assert "**staging does not render on this branch**" in shown
    assert "ERROR: no gateway.image.digest: run make pin-images" in shown


def test_a_branch_that_mends_what_did_not_render_succeeds(branch: Git, run: Command) -> None:
    write(STAGING, {"release.yaml": release().replace(digest("gateway"), "''")})
    commit_all(branch.root, "Break")
    write(STAGING, {"release.yaml": release()})
    assert "**staging does not render before this branch**" in run("diff", "--base", "HEAD")


def test_two_objects_of_one_name_are_refused(branch: Git, capsys: pytest.CaptureFixture[str]) -> None:
    write(STAGING, {"values.yaml": "{extra: robot}"})
    text = CHART.read_text()
    CHART.write_text(text + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot, namespace: serving}\n")
    assert main(["diff"]) == 1
    assert "ServiceAccount serving/robot is rendered twice" in capsys.readouterr().out


def test_what_is_too_long_is_named(branch: Git, run: Command) -> None:
    values = "notes: |-\n" + "".join(f"  ```{n}\n" for n in range(500))
    write(
        STAGING, {"release.yaml": release(gateway=digest("new")), "values.yaml": values + "secret: hush-1\nextra: ''"}
    )
    shown = run("diff", "--limit", "2000")
    assert len(shown) < 2500
    assert "- changed: `ConfigMap kserve/model` (too long to show here)" in shown
    assert "make diff LIMIT=0" in shown
    whole = run("diff", "--limit", "0")
    # Fences in the text cannot end the block.
    assert "````diff\n" in whole
    assert "```499" in whole


def test_an_unknown_base_is_refused(branch: Git, run: Command) -> None:
    assert "nowhere is no revision here; fetch it" in run.refusal("diff", "--base", "nowhere")


def test_an_environment_is_rendered(branch: Git, run: Command) -> None:
    assert f"gateway@{digest('gateway')}" in run("render", "staging")
    assert "known: production, staging" in run.refusal("render", "live")


def test_a_missing_helm_is_named(branch: Git, run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    git_command = shutil.which("git")
    assert git_command
    (tmp_path / "bin/git").symlink_to(git_command)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "helm is missing" in run.refusal("render", "staging")


def test_outside_a_repository_git_says_so(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in run.refusal("render", "staging")
