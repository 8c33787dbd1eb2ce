"""Tests of the greeting: it says what it can, whatever the gateway answers, and never ends in a traceback."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local import greeting as greeting_module
from local.__main__ import reachable
from local.greeting import greeting, key_header, wait_until_ready

GOOD = {"prediction": "spam", "spam_probability": 0.95921}


@dataclass
class Gateway:
    """Gateway that answers as it is told to."""

    url: str = ""
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    """Status and body by environment."""
    page: bool = True
    key: str = ""
    """API key without which it answers 401."""
    silent: threading.Event = field(default_factory=threading.Event)
    """Event that must be set before mail is answered."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway()
    found.silent.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/ready":
                self.answer(200, {"environments": {"staging": "ready", "production": "ready"}})
            else:
                self.answer(
                    200 if found.page else 404, "page", "text/html" if found.page else "application/problem+json"
                )

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.silent.wait()
            if found.key and self.headers.get("Authorization") != f"Bearer {found.key}":
                self.answer(401, {"detail": "no key"})
            else:
                self.answer(*found.answers.get(self.headers.get("X-Environment", ""), (200, GOOD)))

        def answer(self, status: int, body: object, kind: str = "application/json") -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        found.silent.set()
        server.shutdown()


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a corpus of folders with one mail each."""

    def make(*folders: str) -> Path:
        for folder in folders:
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "1.json").write_text("{}")
            (tmp_path / folder / "2.txt").write_text("mail")
        return tmp_path

    return make


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY", raising=False)


Make = Callable[..., Path]


@pytest.mark.parametrize("folders", [("easy-ham-1", "spam"), ("ham_2024", "spam_2024"), ("Ham", ".Spam")])
def test_mail_of_each_kind_is_asked_of_each_environment(
    gateway: Gateway, corpus: Make, folders: tuple[str, str]
) -> None:
    text = greeting(gateway.url, corpus(*folders))
    for environment in ("staging   ", "production"):
        for folder in folders:
            assert f"  {environment}  {folder}/2.txt  ->  spam  0.9592\n" in text


def test_the_page_and_the_description_are_named(gateway: Gateway, corpus: Make) -> None:
    text = greeting(gateway.url, corpus("ham", "spam"))
    assert f"The spam detector answers. Try it in a browser: {gateway.url}/\n" in text
    assert f"  {gateway.url}/docs in a browser: the API" in text
    assert "open http" not in text, "a command that only one system has"
    assert "API_KEY" not in text


def test_the_command_for_a_file_keeps_every_byte(gateway: Gateway, corpus: Make) -> None:
    folder = corpus("ham", "spam")
    mail = bytes(range(256)) + b"\r\n\r\n"
    (folder / "spam" / "2.txt").write_bytes(mail)
    (line,) = (line for line in greeting(gateway.url, folder).splitlines() if "PYTHONIOENCODING" in line)
    made = subprocess.run(["bash", "-c", line.partition("|")[0]], capture_output=True, check=True)
    assert json.loads(made.stdout)["email_content"].encode("latin-1") == mail


def test_a_page_that_is_switched_off_is_not_named(gateway: Gateway, corpus: Make) -> None:
    gateway.page = False
    assert "The spam detector answers.\n" in greeting(gateway.url, corpus("ham", "spam"))


def test_keys_without_ours_say_how_to_ask_with_one(gateway: Gateway, corpus: Make) -> None:
    gateway.key = "msk_x"
    text = greeting(gateway.url, corpus("ham", "spam"))
    assert "->  401: an API key is wanted; API_KEY=msk_… make run asks with yours\n" in text
    assert "API keys are on; with yours in the variable API_KEY try (Ctrl-C ends everything):" in text
    assert f'curl {gateway.url}/api/v1/predict -H "Authorization: Bearer $API_KEY" -d' in text


def test_a_key_for_staging_alone_shows_staging(gateway: Gateway, corpus: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "msk_x")
    gateway.key = "msk_x"
    gateway.answers["production"] = (403, {"detail": "no"})
    text = greeting(gateway.url, corpus("ham", "spam"))
    assert "staging     ham/2.txt  ->  spam  0.9592" in text
    assert "production  ham/2.txt  ->  403: the key of API_KEY may not ask production\n" in text
    assert "Bearer $API_KEY" in text and "msk_x" not in text, "a key is not printed"


def test_a_key_that_may_ask_everything_is_in_the_commands_too(
    gateway: Gateway, corpus: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "msk_x")
    gateway.key = "msk_x"
    assert "Bearer $API_KEY" in greeting(gateway.url, corpus("ham", "spam"))


def test_a_wrong_key_is_said(gateway: Gateway, corpus: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "msk_y")
    gateway.key = "msk_x"
    assert "401: this API_KEY is not known" in greeting(gateway.url, corpus("ham", "spam"))


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((503, {"detail": "no room"}), "503: no room"),
        ((502, b"<html>"), "502: Bad Gateway"),
        ((200, b"nonsense"), "no answer ("),
        ((200, {}), "no answer ("),
        ((200, {"prediction": None, "spam_probability": "x"}), "no answer ("),
        ((200, []), "no answer ("),
    ],
)
def test_a_failed_answer_is_a_line(gateway: Gateway, corpus: Make, answer: tuple[int, object], line: str) -> None:
    gateway.answers["staging"] = answer
    text = greeting(gateway.url, corpus("ham", "spam"))
    assert f"staging     ham/2.txt  ->  {line}" in text and "production  ham/2.txt  ->  spam  0.9592" in text


def test_a_slow_answer_is_a_line(gateway: Gateway, corpus: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting_module, "ANSWER_SECONDS", 0.3)
    gateway.silent.clear()
    assert "->  no answer within 0.3 s\n" in greeting(gateway.url, corpus("ham", "spam"))


def test_nothing_that_answers_is_a_line(corpus: Make) -> None:
    assert "->  no answer ([Errno 111] Connection refused)" in greeting("http://127.0.0.1:1", corpus("ham", "spam"))


@pytest.mark.parametrize("folders", [(), ("ham",), ("inbox",)])
def test_a_corpus_without_mail_is_a_line(gateway: Gateway, corpus: Make, folders: tuple[str, ...]) -> None:
    text = greeting(gateway.url, corpus(*folders))
    assert "to show: " in text and "curl" in text


def test_requests_go_past_a_proxy(gateway: Gateway, corpus: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert wait_until_ready(gateway.url)
    assert "spam  0.9592" in greeting(gateway.url, corpus("ham", "spam"))


def test_an_empty_key_is_none() -> None:
    assert key_header({"API_KEY": ""}) == key_header({}) == {}
    assert key_header({"API_KEY": " msk_x\n"}) == {"Authorization": "Bearer msk_x"}


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("fe80::1", "[fe80::1]")],
)
def test_where_a_server_is_asked_that_listens_everywhere(host: str, url: str) -> None:
    assert reachable(host) == url
