"""Tests that nothing is built, installed or run by name alone, because the name may mean something else tomorrow."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

DIGEST = r"@sha256:[0-9a-f]{64}"
BASE = "services/base.Dockerfile"
OURS = {"editable", "virtual", "directory"}
"""Sources of packages that are in this repository."""


def known(pattern: str) -> list[str]:
    """Return the matching files of the repository, including uncommitted ones; there must be at least one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = [name for name in said.splitlines() if (ROOT / name).is_file()]
    assert found, f"no file is like {pattern}"
    return found


def text(name: str) -> str:
    return (ROOT / name).read_text()


def packages(lock: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(text(lock))["package"]
    return found


@pytest.mark.parametrize("lock", known("*uv.lock"))
def test_every_package_of_a_lock_file_has_hashes(lock: str) -> None:
    for package in packages(lock):
        if package["source"].keys() & OURS:
            continue
        assert package["source"].keys() == {"registry"}, package
        assert package["source"]["registry"] == "https://pypi.org/simple", package
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files and all(re.fullmatch("sha256:[0-9a-f]{64}", file.get("hash", "")) for file in files), package


def test_a_project_is_in_the_root_s_lock_file_or_has_one_of_its_own() -> None:
    alone = {str(Path(name).parent) for name in known("*uv.lock")} - {"."}
    assert set(tomllib.loads(text("pyproject.toml"))["tool"]["uv"]["workspace"]["exclude"]) == alone
    projects = {str(Path(name).parent): tomllib.loads(text(name))["project"] for name in known("*pyproject.toml")}
    names = {project["name"] for folder, project in projects.items() if folder not in alone}
    assert names == set(tomllib.loads(text("uv.lock"))["manifest"]["members"])


@pytest.mark.parametrize("target", ["lock", "upgrade", "lint", "audit"])
def test_make_looks_at_every_lock_file(target: str) -> None:
    command = ["make", "--silent", "-n", target]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    listed = re.search(r"for project in (.*?); do .*uv lock|audit\.py --uv \S+ (.*)", done.stdout)
    assert listed and set((listed[1] or listed[2]).split()) == {str(Path(name).parent) for name in known("*uv.lock")}


def test_the_base_image_is_pinned_in_one_place() -> None:
    (line,) = [line for line in text(BASE).splitlines() if line.startswith("FROM")]
    assert re.fullmatch(rf"FROM python:3\.11-slim-bookworm{DIGEST}", line)


@pytest.mark.parametrize("file", [name for name in known("*Dockerfile") if name != BASE])
def test_every_image_stands_on_what_is_pinned(file: str) -> None:
    stages = re.findall(r"^FROM\s+(?:--\S+\s+)*(\S+)(?: AS (\S+))?$", text(file), re.MULTILINE)
    assert stages
    known_names = {"${BASE}", "scratch"}
    for base, name in stages:
        assert base in known_names or re.search(rf"{DIGEST}$", base), f"{file}: {base}"
        known_names.add(name)
    assert not re.search(r"^ARG BASE=", text(file), re.MULTILINE), f"{file}: BASE has a default"
    copied = set(re.findall(r"^COPY --from=(\S+)", text(file), re.MULTILINE))
    assert copied <= {name for _, name in stages}, f"{file} copies from another image"


@pytest.mark.parametrize("builder", ["docker", "buildah"])
def test_make_builds_on_the_pinned_base(builder: str) -> None:
    pinned = re.findall("^FROM (.*)$", text(BASE), re.MULTILINE)[0]
    target = ["image", "SERVICE=gateway"] if builder == "docker" else ["image-of-gateway"]
    command = ["make", "-n", *target, f"BUILDER={builder}"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.findall(r'--build-arg "BASE=([^"]*)"', said) == [pinned]


def test_every_action_is_a_commit() -> None:
    used = {
        use: name
        for name in known(".github/**/*.y*ml") + known(".github/*.y*ml")
        for use in re.findall(r"^\s*(?:- )?uses:\s*(.*)$", text(name), re.MULTILINE)
    }
    assert len(used) > 5
    for use, name in used.items():
        local = use.startswith("./")
        assert local or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v?\d+\.\d+\.\d+", use), f"{name}: {use}"


def test_runners_and_tools_of_workflows_have_versions() -> None:
    for name in known(".github/workflows/*.yaml"):
        for job in yaml.safe_load(text(name))["jobs"].values():
            assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"]), f"{name}: {job['runs-on']}"


def test_images_of_the_test_cluster_are_pinned() -> None:
    found = {
        image: name
        for name in known("tests/e2e/kind/**")
        for image in re.findall(r"^\s*(?:- )?image:\s*(\S+)|^\w+_IMAGE=(\S+)", text(name), re.MULTILINE)
    }
    images = {image: name for pair, name in found.items() for image in pair if image}
    assert len(images) >= 4
    for image, name in images.items():
        # The suite builds these itself, in its own registry.
        own = image.startswith("localhost:")
        assert own or re.search(rf"{DIGEST}$", image), f"{name}: {image}"


def test_nothing_is_installed_by_name_alone() -> None:
    for name in ["Makefile", *known("*Dockerfile"), *known(".github/**/*.yaml")]:
        for line in re.findall(r"^.*\bpip install\b.*$", text(name), re.MULTILINE):
            # The newest uvicorn is what this command tries; nothing else is upgraded with it.
            if "$(NEWEST_UVICORN)" in line:
                continue
            assert "==" in line or "--no-deps" in line, f"{name}: {line.strip()}"


def test_tools_in_go_are_exact_versions_with_sums() -> None:
    makefile = text("Makefile")
    listed = re.search(r"^GO_TOOLS := (.*)$", makefile, re.MULTILINE)
    assert listed
    for tool in listed[1].split():
        assert re.search(rf"^{tool} := \S+@v\d+\.\d+\.\d+$", makefile, re.MULTILINE), tool
    for module in known("*go.mod"):
        sums = text(str(Path(module).with_name("go.sum")))
        required = re.findall(r"^(?:require )?\s*(\S+\.\S+/\S+) (v\S+)", text(module), re.MULTILINE)
        assert required
        for name, version in required:
            assert f"{name} {version}" in sums, f"{module}: {name} {version}"


def test_nothing_is_the_latest() -> None:
    for name in ["Makefile", *known("*Dockerfile"), *known(".github/**/*.yaml"), *known("tests/e2e/kind/**")]:
        assert not re.search(r"[\w}/-][:@]latest\b", text(name)), name
