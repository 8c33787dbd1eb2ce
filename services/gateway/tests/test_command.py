import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "ENVIRONMENTS: Field required"),
        ({"ENVIRONMENTS": "nonsense"}, 'error parsing value for field "environments"'),
        ({"ENVIRONMENTS": '{"a": "http://x"}'}, "DEFAULT_ENVIRONMENT=staging is not in ENVIRONMENTS; known: a"),
        (
            {"ENVIRONMENTS": '{"staging": "http://x"}', "OTEL_TRACES_SAMPLER": "always_on"},
            "OTEL_TRACES_SAMPLER without OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        ({"ENVIRONMENTS": '{"staging": "http://x"}', "PORT": "http"}, "PORT: Input should be a valid integer"),
        ({"ENVIRONMENTS": '{"staging": "http://x"}', "HOST": ""}, "HOST: String should have at least 1 character"),
        ({"ENVIRONMENTS": '{"staging": "http://x"}', "PAGE": ""}, "PAGE: Input should be a valid boolean"),
    ],
)
def test_wrong_settings_end_the_process_with_one_line(settings: dict[str, str], reason: str) -> None:
    environ = {**os.environ, **settings}
    done = subprocess.run([sys.executable, "-m", "gateway"], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert reason in json.loads(line)["reason"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "keys.json cannot be read: No such file"), ("{}", "keys.json: keys: Field required")],
)
def test_wrong_keys_end_the_process_with_one_line(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_text(content)
    done = run(API_KEYS_FILE=str(path))
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["reason"].startswith("API_KEYS_FILE: ")
    assert reason in json.loads(line)["reason"]


def test_an_empty_name_of_the_file_is_not_taken_for_none() -> None:
    done = run(API_KEYS_FILE="")
    assert done.returncode == 2
    assert "API_KEYS_FILE: Value error, names no file; name one, or leave the variable unset" in done.stdout


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "ENVIRONMENTS": '{"staging": "http://x"}', **settings}
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_the_command_makes_a_key() -> None:
    done = run("api-key", "--name", "shop", "--environments", "staging")
    assert done.returncode == 0
    key = done.stderr.splitlines()[-1]
    assert json.loads(done.stdout)["sha256"] == sha256(key.encode()).hexdigest()
