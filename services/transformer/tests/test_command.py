import json
import os
import subprocess
import sys

import pytest

GOOD = {"ENVIRONMENT": "staging", "PREDICTOR_URL": "http://x"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"PREDICTOR_URL": "http://x"}, "ENVIRONMENT: Field required"),
        ({"ENVIRONMENT": "staging"}, "PREDICTOR_URL: Field required"),
        ({"ENVIRONMENT": "staging", "PREDICTOR_URL": "x"}, "PREDICTOR_URL: Input should be a valid URL"),
        (GOOD | {"SPAM_THRESHOLD": "2"}, "SPAM_THRESHOLD: Input should be"),
        (GOOD | {"ENVIRONMENT": "a/b"}, "ENVIRONMENT: String should match pattern"),
        (GOOD | {"INFERENCE_LOG_URI": "gs://x"}, "'gs://x' is no place for files; expected file:///folder or s3://"),
        (GOOD | {"INFERENCE_LOG_FLUSH_SECONDS": "0"}, "INFERENCE_LOG_FLUSH_SECONDS: Input should be greater than 0"),
        (GOOD | {"INFERENCE_LOG_BUFFER_ROWS": "9"}, "INFERENCE_LOG_BUFFER_ROWS (9) must be at least twice"),
    ],
)
def test_wrong_settings_end_the_process_with_one_line(settings: dict[str, str], reason: str) -> None:
    environ = {**os.environ, **settings}
    command = [sys.executable, "-m", "transformer"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert reason in json.loads(line)["reason"]
