"""Fixtures with the system in its cluster, set up once for all scenarios; failures leave their traces in build/e2e."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import traffic
from client import Client, forwarded
from figures import Figures
from gitops import Repository
from installation import Bundle, install
from prometheus import Prometheus
from rest import Rest
from settings import BUILD, ROOT, ClusterSettings

from argocd import wait_synced

NAMESPACES = ("serving", "serving-staging", "kserve", "monitoring", "e2e")
FIGURES = pytest.StashKey[Figures]()
ORDER = (
    "test_bootstrap",
    "test_scaling",
    "test_faults",
    "test_security",
    "test_rest",
    "test_git",
    "test_release",
    "test_candidate",
    "test_drift",
    "test_calm",
    "test_monitoring",
)
"""Files in the order in which they run: each starts from what those before it leave behind."""


@dataclass(frozen=True, slots=True)
class System:
    """System that the scenarios work with."""

    settings: ClusterSettings
    repository: Repository
    bundles: dict[str, Bundle]
    """Bundles by name: `first` runs at the start, `second` is to be released, then `worse` and `better` are tried."""
    images: dict[str, str]
    """Reference with digest, by service."""


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a place for figures before the first test, and remove the traces of the last run."""
    if not config.option.collectonly:
        shutil.rmtree(BUILD / "failed", ignore_errors=True)
    config.stash[FIGURES] = Figures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files as `ORDER` says; within a file the tests stay as they are written.

    Raises:
        UsageError: A file has no place in `ORDER`.
    """
    if missing := sorted({item.path.stem for item in items} - set(ORDER)):
        raise pytest.UsageError(f"say in ORDER of conftest.py when these run: {', '.join(missing)}")
    items.sort(key=lambda item: ORDER.index(item.path.stem))


@pytest.fixture(scope="session")
def system() -> System:
    """Return both environments, installed through Git and at their start."""
    settings = ClusterSettings.read()
    os.environ |= {"AWS_ENDPOINT_URL_S3": settings.s3_endpoint, "AWS_REGION": settings.region}
    repository = Repository(BUILD / "gitops", settings)
    bundles, images = install(settings, repository)
    traffic.start_pod(images["gateway"], (BUILD / "mails.jsonl").read_text())
    return System(settings, repository, bundles, images)


@pytest.fixture
def settled(system: System) -> None:
    """Wait before a scenario until both environments are as Git wants them."""
    for environment in ("staging", "production"):
        wait_synced(environment, system.repository.head())


@pytest.fixture(scope="session")
def prometheus(system: System) -> Prometheus:
    """Return a client of Prometheus."""
    return Prometheus(system.settings.prometheus_url)


@pytest.fixture(scope="session")
def rest(system: System) -> Iterator[Rest]:
    """Yield a watcher for differences from Git, from the first scenario that leaves Git alone."""
    found = Rest()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return the collection of measured figures."""
    return request.config.stash[FIGURES]


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    """Yield a client of production's gateway."""
    with forwarded("api-gateway", "serving") as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what the cluster knows about a failure at once, because pods go and events expire."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        folder = BUILD / "failed" / item.name
        folder.mkdir(parents=True, exist_ok=True)
        keep_traces(folder)
        report.sections.append(("traces", f"logs, events and objects: {folder.relative_to(ROOT)}"))
    return report


def keep_traces(folder: Path) -> None:
    """Write events, objects and logs of all relevant namespaces."""
    said("applications", folder, "get", "applications.argoproj.io", "-n", "argocd", "-o", "yaml")
    for namespace in NAMESPACES:
        said(f"{namespace}-events", folder, "get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
        said(f"{namespace}-pods", folder, "describe", "pods", "-n", namespace)
        said(f"{namespace}-objects", folder, "get", "all,hpa,inferenceservice", "-n", namespace, "-o", "wide")
        pods = subprocess.run(["kubectl", "get", "pods", "-n", namespace, "-o", "name"], capture_output=True, text=True)
        for pod in pods.stdout.split():
            said(
                f"{namespace}-{pod.partition('/')[2]}.log",
                folder,
                "logs",
                "-n",
                namespace,
                pod,
                "--tail=2000",
                "--all-containers",
            )


def said(name: str, folder: Path, *command: str) -> None:
    """Write the output of kubectl to a file, whatever it is."""
    done = subprocess.run(["kubectl", *command], capture_output=True, text=True)
    (folder / name).write_text(done.stdout + done.stderr)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the figures, and leave them in build/e2e."""
    if config.option.collectonly:
        return
    figures = config.stash[FIGURES]
    terminalreporter.section("figures")
    for line in figures.table():
        terminalreporter.write_line(line)
    if BUILD.is_dir():
        counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
        figures.write(BUILD, ", ".join(f"{count} {name}" for name, count in counts.items() if count))
