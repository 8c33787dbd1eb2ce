"""Audit of what lock files pin: every package of every project, against the advisories of PyPI or of an OSV service.

It fails on a known vulnerability that `accepted.toml` does not name, and on a package that the service does not know.
It also fails if the service does not answer, so nothing passes because nobody could be asked. pip-audit alone passes
what it has skipped.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

PIP_AUDIT = Path(sys.executable).with_name("pip-audit")
ACCEPTED = Path(__file__).with_name("accepted.toml")
FIELDS = {"id": str, "package": str, "reason": str, "expires": date}
MAX_SECONDS = 600
"""Seconds for one project."""


class AuditError(Exception):
    """Error for something that cannot be audited; the message says what."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Finding that somebody has accepted for a time."""

    id: str
    """Id as pip-audit prints it, or one of its aliases (PYSEC, GHSA, CVE)."""
    package: str
    reason: str
    expires: date
    """First day on which it is no longer accepted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Known vulnerability of a pinned package."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def line(self, project: str) -> str:
        """Return the finding as a line for a person."""
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fix yet"
        names = ", ".join((self.id, *self.aliases))
        upgrade = f"uv lock --project {project} --upgrade-package {self.package}"
        return f"{self.package} {self.version}: {names}; {fixed}" + (f": {upgrade}" if self.fixed_in else "")


def main() -> None:
    """Audit the projects of the command line; exit 1 with what is wrong."""
    options = parser().parse_args()
    try:
        accepted = read_accepted(options.accepted)
        found = {project: audit(project, options) for project in options.projects}
    except AuditError as error:
        sys.exit(f"audit: {error}")
    lines = [*rejected(found, accepted, datetime.now(UTC).date())]
    sys.exit("\n".join(lines) if lines else None)


def rejected(found: dict[str, list[Finding]], accepted: list[Accepted], today: date) -> Iterable[str]:
    """Yield a line for each failure of the audit; accepted findings that no longer occur are only printed."""
    for project, findings in found.items():
        for finding in findings:
            entry = next((each for each in accepted if matches(each, finding)), None)
            if entry is None:
                yield f"{project}: {finding.line(project)}"
            elif entry.expires <= today:
                yield f"{project}: {finding.line(project)}; accepted until {entry.expires} only: {entry.reason}"
    for entry in accepted:
        if not any(matches(entry, finding) for findings in found.values() for finding in findings):
            print(f"audit: {entry.id} of {entry.package} is found no more; take it out of {ACCEPTED.name}")


def matches(entry: Accepted, finding: Finding) -> bool:
    """Return whether an accepted finding is this one."""
    return entry.package == finding.package and entry.id in (finding.id, *finding.aliases)


def audit(project: str, options: argparse.Namespace) -> list[Finding]:
    """Return the known vulnerabilities of what a project's lock file pins, including its development tools.

    Raises:
        AuditError: If the service does not answer, or does not know a package.
    """
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(export(project, options.uv))
        report = ask(project, requirements, options.osv_url)
    skipped = [each["name"] for each in report if "skip_reason" in each]
    if skipped:
        count = f"{len(skipped)} of {len(report)} packages"
        raise AuditError(
            f"{project}: the service does not know {count}: {', '.join(skipped)}; if that is all of them, it is a "
            "mirror without advisories that answers: give OSV_URL an OSV service"
        )
    print(f"{project}: {len(report)} packages audited", flush=True)
    return [finding for each in report for finding in findings(each)]


def export(project: str, uv: Path) -> str:
    """Return everything that the lock file pins, with hashes, except packages of this repository.

    Raises:
        AuditError: If there is no lock file, or none that uv can read.
    """
    command = [uv, "export", "--quiet", "--frozen", "--all-packages", "--no-emit-local", "--no-header"]
    command += ["--project", project]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_SECONDS)
    if done.returncode:
        raise AuditError(f"{project}: {done.stderr.strip()}")
    return done.stdout


def ask(project: str, requirements: Path, osv_url: str | None) -> list[dict[str, Any]]:
    """Return pip-audit's result for each package.

    Raises:
        AuditError: If pip-audit could not find out.
    """
    service = ["--vulnerability-service", "osv", "--osv-url", osv_url] if osv_url else []
    command = [PIP_AUDIT, "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, *service, "--requirement", requirements], capture_output=True, text=True, timeout=MAX_SECONDS
    )
    # pip-audit's status is 1 for findings and for failures; only findings come with a report.
    if not done.stdout.strip():
        said = done.stderr.strip().splitlines()
        raise AuditError(f"{project}: nobody could be asked: {said[-1] if said else 'pip-audit said nothing'}")
    report: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    if not report:
        raise AuditError(f"{project}: the lock file pins no package")
    return report


def findings(package: dict[str, Any]) -> list[Finding]:
    """Return the vulnerabilities of one package of a report."""
    return [
        Finding(package["name"], package["version"], each["id"], tuple(each["aliases"]), tuple(each["fix_versions"]))
        for each in package["vulns"]
    ]


def read_accepted(path: Path) -> list[Accepted]:
    """Return the accepted findings.

    Raises:
        AuditError: If an entry lacks a field, has an unknown one, or has one of another type.
    """
    try:
        entries = tomllib.loads(path.read_text()).get("finding", [])
    except (OSError, ValueError) as error:
        raise AuditError(f"{path}: {error}") from None
    return [checked(entry, path) for entry in entries]


def checked(entry: dict[str, Any], path: Path) -> Accepted:
    """Return one entry if it has every field and no other."""
    wrong = [name for name, kind in FIELDS.items() if type(entry.get(name)) is not kind or not entry[name]]
    wrong += sorted(set(entry) - set(FIELDS))
    if wrong:
        known = ", ".join(f"{name} ({kind.__name__})" for name, kind in FIELDS.items())
        raise AuditError(f"{path}: {entry}: wrong: {', '.join(wrong)}; a finding has {known}")
    return Accepted(**entry)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(description="Audit what lock files pin.")
    found.add_argument("projects", nargs="+", help="folders with a uv.lock")
    found.add_argument("--uv", type=Path, required=True)
    found.add_argument("--accepted", type=Path, default=ACCEPTED)
    found.add_argument("--osv-url", help="an OSV service to ask instead of PyPI, such as https://api.osv.dev/v1/query")
    return found


if __name__ == "__main__":
    main()
