"""The system in its cluster, once for all scenarios; what failed leaves its traces in build/e2e."""

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
from settings import BUILD, ROOT, Settings

from argocd import wait_synced

NAMESPACES = ("serving", "serving-staging", "kserve", "monitoring", "e2e")
FIGURES = pytest.StashKey[Figures]()


@dataclass(frozen=True, slots=True)
class System:
    """What the scenarios work with."""

    settings: Settings
    repository: Repository
    bundles: dict[str, Bundle]
    """`first` runs in both environments at first; `second` is to be released, then `worse` and `better` are tried."""
    images: dict[str, str]
    """Service -> reference by digest."""


def pytest_configure(config: pytest.Config) -> None:
    """Have a place for figures before the first test, and none of the last run's traces."""
    shutil.rmtree(BUILD / "failed", ignore_errors=True)
    config.stash[FIGURES] = Figures()


@pytest.fixture(scope="session")
def system() -> System:
    """Both environments installed through Git, as they are at the start."""
    settings = Settings.read()
    os.environ |= {"AWS_ENDPOINT_URL_S3": settings.s3_endpoint, "AWS_REGION": settings.region}
    repository = Repository(BUILD / "gitops", settings)
    bundles, images = install(settings, repository)
    traffic.start_pod(images["gateway"], (BUILD / "mails.jsonl").read_text())
    return System(settings, repository, bundles, images)


@pytest.fixture
def settled(system: System) -> None:
    """Both environments as Git wants them, before a scenario begins."""
    for environment in ("staging", "production"):
        wait_synced(environment, system.repository.head())


@pytest.fixture(scope="session")
def prometheus(system: System) -> Prometheus:
    """What Prometheus knows."""
    return Prometheus(system.settings.prometheus_url)


@pytest.fixture(scope="session")
def rest(system: System) -> Iterator[Rest]:
    """Looks for differences from Git, from the first scenario on that leaves Git alone."""
    found = Rest()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """Where measured figures go."""
    return request.config.stash[FIGURES]


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    """A client of production's gateway."""
    with forwarded("api-gateway", "serving") as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what the cluster knows about a failure, at once: pods go and events expire."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        folder = BUILD / "failed" / item.name
        folder.mkdir(parents=True, exist_ok=True)
        keep_traces(folder)
        report.sections.append(("traces", f"logs, events and objects: {folder.relative_to(ROOT)}"))
    return report


def keep_traces(folder: Path) -> None:
    """Write events, objects and logs of all namespaces that matter."""
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
    """Keep what kubectl says, whatever it says."""
    done = subprocess.run(["kubectl", *command], capture_output=True, text=True)
    (folder / name).write_text(done.stdout + done.stderr)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the figures, and leave them in build/e2e."""
    figures = config.stash[FIGURES]
    terminalreporter.section("figures")
    for line in figures.table():
        terminalreporter.write_line(line)
    if BUILD.is_dir():
        counts = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
        figures.write(BUILD, ", ".join(f"{count} {name}" for name, count in counts.items() if count))
