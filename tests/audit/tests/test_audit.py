"""Tests of the audit: it asks a real service over HTTP, and passes only what that service has found sound."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
AUDIT = ROOT / "tests" / "audit" / "audit.py"
UV = ROOT / ".tools" / "bin" / "uv"
PROJECT = "services/drift"
PACKAGE = "pytest"
TODAY = datetime.now(UTC).date()


class Osv(BaseHTTPRequestHandler):
    """Service that knows one vulnerability, https://google.github.io/osv.dev/post-v1-query/."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        body = json.dumps({"vulns": [vulnerability(name)]} if name == self.server.vulnerable else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.asked.append(name)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Server of the service, whose answers can be changed."""

    vulnerable = ""
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Osv)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/query"


def vulnerability(name: str) -> dict[str, object]:
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
    return {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "summary": "bad", "affected": affected}


@pytest.fixture
def osv() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def audit(url: str, accepted: Path | None = None, project: str = PROJECT) -> tuple[int, str]:
    """Run the audit and return its exit status and its output."""
    options = [] if accepted is None else ["--accepted", str(accepted)]
    command = [sys.executable, str(AUDIT), "--uv", str(UV), "--osv-url", url, *options, project]
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def accept(folder: Path, **changes: str) -> Path:
    entry = {"id": '"CVE-2026-1"', "package": f'"{PACKAGE}"', "reason": '"only tests"', "expires": "2999-01-01"}
    path = folder / "accepted.toml"
    lines = [f"{name} = {value}" for name, value in (entry | changes).items() if value]
    path.write_text("\n".join(["[[finding]]", *lines, ""]))
    return path


def test_what_is_sound_passes_and_every_package_was_asked_for(osv: Server) -> None:
    status, said = audit(osv.url)
    assert status == 0, said
    assert PACKAGE in osv.asked and len(set(osv.asked)) > 3
    assert f"{PROJECT}: {len(set(osv.asked))} packages audited" in said


def test_a_vulnerability_fails_and_says_how_to_mend_it(osv: Server) -> None:
    osv.vulnerable = PACKAGE
    status, said = audit(osv.url)
    assert status == 1
    assert "PYSEC-2026-1, CVE-2026-1; fixed in 99.1" in said
    assert f"uv lock --project {PROJECT} --upgrade-package {PACKAGE}" in said


def test_an_accepted_one_passes_until_it_expires(osv: Server, tmp_path: Path) -> None:
    osv.vulnerable = PACKAGE
    assert audit(osv.url, accept(tmp_path, expires=str(TODAY + timedelta(days=2))))[0] == 0
    status, said = audit(osv.url, accept(tmp_path, expires=str(TODAY)))
    assert status == 1
    assert f"accepted until {TODAY} only: only tests" in said


def test_an_accepted_one_is_that_packages_alone(osv: Server, tmp_path: Path) -> None:
    osv.vulnerable = PACKAGE
    assert audit(osv.url, accept(tmp_path, package='"mypy"'))[0] == 1


def test_one_that_is_found_no_more_is_told(osv: Server, tmp_path: Path) -> None:
    status, said = audit(osv.url, accept(tmp_path))
    assert status == 0
    assert f"CVE-2026-1 of {PACKAGE} is found no more" in said


@pytest.mark.parametrize(
    ("changes", "wrong"), [({"reason": ""}, "reason"), ({"expires": '"never"'}, "expires"), ({"until": "1"}, "until")]
)
def test_an_entry_that_is_not_whole_fails(osv: Server, tmp_path: Path, changes: dict[str, str], wrong: str) -> None:
    status, said = audit(osv.url, accept(tmp_path, **changes))
    assert status == 1
    assert f"wrong: {wrong}; a finding has id (str)" in said


def test_a_service_that_refuses_or_is_away_fails(osv: Server) -> None:
    osv.status = 500
    status, said = audit(osv.url)
    assert status == 1 and "nobody could be asked" in said
    with Server() as away:
        url = away.url
    status, said = audit(url)
    assert status == 1 and "nobody could be asked" in said


def test_a_project_without_a_lock_fails(osv: Server, tmp_path: Path) -> None:
    shutil.copy(ROOT / PROJECT / "pyproject.toml", tmp_path)
    status, said = audit(osv.url, project=str(tmp_path))
    assert status == 1 and "uv.lock" in said
