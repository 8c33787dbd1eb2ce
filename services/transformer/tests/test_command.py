import json
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"PREDICTOR_URL": "http://x"}, "ENVIRONMENT: Field required"),
        ({"ENVIRONMENT": "staging"}, "PREDICTOR_URL: Field required"),
        ({"ENVIRONMENT": "staging", "PREDICTOR_URL": "x"}, "PREDICTOR_URL: Input should be a valid URL"),
        ({"ENVIRONMENT": "a", "PREDICTOR_URL": "http://x", "SPAM_THRESHOLD": "2"}, "SPAM_THRESHOLD: Input should be"),
    ],
)
def test_wrong_settings_end_the_process_with_one_line(settings: dict[str, str], reason: str) -> None:
    environ = {**os.environ, **settings}
    command = [sys.executable, "-m", "transformer"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert reason in json.loads(line)["reason"]
