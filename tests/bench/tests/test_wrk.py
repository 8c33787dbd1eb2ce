import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import wrk

REPORT = """\
Running 10s test @ http://127.0.0.1:1/
  2 requests in 10.00s, 1.00KB read
Requests/sec:      0.20
{"requests": 120, "status_errors": 15, "socket_errors": 5, "seconds": 10.002, "p50_ms": 1.5, "p99_ms": 9.25}
"""


def test_parse() -> None:
    assert wrk.parse(REPORT) == wrk.WrkFigures(mails=105, errors=20, seconds=10.002, p50_ms=1.5, p99_ms=9.25)


def test_output_without_figures_is_shown() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1")


def test_missing_wrk_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="apt-get install wrk"):
        wrk.require()


@pytest.fixture
def received() -> Iterator[tuple[str, list[bytes], list[str | None]]]:
    bodies: list[bytes] = []
    parents: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            parents.append(self.headers["traceparent"])
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if b"bad" in bodies[-1] else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mails", bodies, parents
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_posts_the_bodies_in_turn_and_counts_errors_apart(
    tmp_path: Path, received: tuple[str, list[bytes], list[str | None]]
) -> None:
    url, bodies, parents = received
    lines = [json.dumps(text) for text in ("good", "caf\u00e9 %s \\", "bad")]
    file = tmp_path / "bodies.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines))
    load = wrk.run(url, file, connections=1, seconds=1)
    # wrk calls request() once to check the script, so the second line comes first.
    assert [body.decode() for body in bodies[:4]] == [*lines[1:], *lines[:2]]
    assert not any(parents)
    assert load.mails == pytest.approx(2 * load.errors, abs=2)
    assert 0.9 < load.seconds < 1.5
    assert 0 < load.p50_ms <= load.p99_ms


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_the_share_that_is_traced_comes_sixteen_in_a_row(
    tmp_path: Path, received: tuple[str, list[bytes], list[str | None]]
) -> None:
    url, bodies, parents = received
    file = tmp_path / "bodies.jsonl"
    file.write_text('"one"\n"two"\n')
    wrk.run(url, file, connections=1, seconds=1, traced=0.25)
    runs = "".join("x" if parent else " " for parent in parents).split()
    assert len(parents) > 64 and all(len(run) == 16 for run in runs[:-1])
    assert sum(parent is not None for parent in parents) / len(parents) == pytest.approx(0.25, abs=0.1)
    traces = [parent for parent in parents if parent]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", parent) for parent in traces)
    assert len(set(traces)) == len(traces)
    assert bodies[:3] == [b'"two"', b'"one"', b'"two"'], "traced or not, the bodies come in turn"


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_refused_connection_is_an_error_not_a_figure(tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    file.write_text('"mail"\n')
    with pytest.raises(RuntimeError, match="connect"):
        wrk.run("http://127.0.0.1:1/", file, connections=1, seconds=1)
