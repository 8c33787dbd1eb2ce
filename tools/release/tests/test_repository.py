"""Tests of what Dockerfiles and workflows must have in common, and of what a review would miss."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from release.releasefile import IMAGES

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yaml"))
DOCKERFILES = {path.parent.name: path.read_text() for path in sorted((ROOT / "services").glob("*/Dockerfile"))}
PINNED = re.compile(r"(\./\.github/actions/[a-z-]+|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)")


def load(path: Path) -> dict[str, Any]:
    # BaseLoader reads everything as text, so that the key `on` is not true.
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return loaded


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield f"{path.stem}.{name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        yield from ((name, step) for step in job["steps"])
    for path in ACTIONS:
        yield from ((path.parent.name, step) for step in load(path)["runs"]["steps"])


def lock_of(service: str) -> Path:
    """Return the lock file of a service: its own, or the workspace's."""
    own = ROOT / "services" / service / "uv.lock"
    return own if own.exists() else ROOT / "uv.lock"


def libraries_of(service: str) -> set[str]:
    """Return the folders of this repository's packages that a service needs, by its lock file."""
    lock = lock_of(service)
    packages = {package["name"]: package for package in tomllib.loads(lock.read_text())["package"]}
    found, waiting = set(), [service]
    while waiting:
        package = packages[waiting.pop()]
        if "editable" in package["source"] and package["name"] not in found:
            found.add(package["name"])
            waiting += [needed["name"] for needed in package.get("dependencies", [])]
    folders = {(lock.parent / packages[name]["source"]["editable"]).resolve() for name in found - {service}}
    return {str(folder.relative_to(ROOT)) for folder in folders}


def test_each_service_with_an_image_has_a_dockerfile() -> None:
    assert sorted(DOCKERFILES) == sorted(IMAGES)


@pytest.mark.parametrize("service", DOCKERFILES)
def test_an_image_is_built_like_the_others(service: str) -> None:
    text = DOCKERFILES[service]
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"ARG UV_VERSION={version}\n" in text
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["${BASE} AS uv", "uv AS lock", "uv AS build", "${BASE}"]
    package = "" if lock_of(service).parent != ROOT else f" --package {service}"
    for line in (
        f"uv export --quiet --frozen{package} --no-dev --no-emit-local",
        "uv pip sync --python /opt/venv --require-hashes requirements.txt",
        "--no-deps . ",
        "USER 65532:65532",
    ):
        assert line in text
    (command,) = re.findall(r'^ENTRYPOINT \["(.*)"\]$', text, re.MULTILINE)
    assert f"\n{command} = " in (ROOT / "services" / service / "pyproject.toml").read_text()


@pytest.mark.parametrize("service", DOCKERFILES)
def test_an_image_has_the_packages_that_its_lock_names(service: str) -> None:
    libraries = {f"../../{folder}" for folder in libraries_of(service)}
    copied = re.findall(r"^COPY (\S+) (\.\./\S+)$", DOCKERFILES[service], re.MULTILINE)
    assert [target for source, target in copied if target != f"../../{source}"] == []
    assert {target for _, target in copied} == libraries
    (installed,) = re.findall(r"--no-deps \. (.*) \\$", DOCKERFILES[service], re.MULTILINE)
    assert set(installed.split()) == libraries


def test_the_matrices_have_every_image() -> None:
    matrices = [job["strategy"]["matrix"]["service"] for _, job in jobs() if "strategy" in job]
    assert matrices == [list(IMAGES)] * 3, "tried, published, and audited once they are pinned"


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.stem)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert [text for text in used if not PINNED.fullmatch(text)] == []


def test_one_action_has_one_version() -> None:
    used = {text for path in [*WORKFLOWS, *ACTIONS] for text in re.findall(r"uses: (\S+@\S+)", path.read_text())}
    assert len({text.partition("@")[0] for text in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_are_given_to_jobs_alone(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    # This trigger would run what forks send, with this repository's rights.
    assert "pull_request_target" not in workflow["on"]


def test_jobs_have_rights_and_an_end() -> None:
    assert [name for name, job in jobs() if not {"permissions", "timeout-minutes"} <= set(job)] == []


def test_what_runs_code_of_a_pull_request_may_do_nothing() -> None:
    for path in WORKFLOWS:
        workflow = load(path)
        if "pull_request" in workflow["on"]:
            for name, job in workflow["jobs"].items():
                condition = job.get("if", "")
                elsewhere = "github.ref == 'refs/heads/main'" in condition or "!= 'pull_request'" in condition
                if not elsewhere and name != "release":
                    assert job["permissions"] == {"contents": "read"}, f"{path.stem}.{name}"


def test_scripts_take_what_others_write_through_the_environment() -> None:
    # A branch called $(…) would be executed if its name were inserted into a script.
    assert [(name, step["run"]) for name, step in steps() if "${{" in step.get("run", "")] == []


def test_credentials_stay_where_something_is_pushed() -> None:
    for name, job in jobs():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                pushes = job["permissions"]["contents"] == "write"
                assert (step.get("with", {}).get("persist-credentials") != "false") == pushes, name


def test_production_has_owners() -> None:
    owned = re.findall(r"^(/\S+) +@", (ROOT / ".github/CODEOWNERS").read_text(), re.MULTILINE)
    assert {"/environments/production/", "/argocd/", "/.github/"} <= set(owned)


@pytest.mark.parametrize("target", ["render", "diff", "pinned-image", "build/corpus"])
def test_progress_is_no_part_of_what_a_target_prints(target: str) -> None:
    """The test is like a fresh clone, where setting up prints its progress before the manifests come."""
    command = ["make", "--dry-run", "--no-print-directory", "--what-if=uv.lock", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "setup/once.py make" in done.stdout
    progress = [line for line in done.stdout.splitlines() if "==>" in line]
    assert all(">&2" in line for line in progress), progress


def test_setting_up_says_so_on_standard_error(tmp_path: Path) -> None:
    once = [sys.executable, "-E", str(ROOT / "setup" / "once.py"), "make"]
    command = [*once, "--stamp", "stamp", "--what", "a file", "--makes", "made", "--", "touch", "made"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / "made").exists()
    assert done.stdout == ""
    assert "a file" in done.stderr
