import json
import os
import socket
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
        (GOOD | {"SPAM_THRESHOLD": "0"}, "SPAM_THRESHOLD: Input should be greater than 0"),
        (GOOD | {"SPAM_THRESHOLD": "1"}, "SPAM_THRESHOLD: Input should be less than 1"),
        (GOOD | {"ENVIRONMENT": "a/b"}, "ENVIRONMENT: String should match pattern"),
        (GOOD | {"INFERENCE_LOG_URI": "gs://x"}, "'gs://x' is no place for files; expected file:///folder or s3://"),
        (GOOD | {"INFERENCE_LOG_FLUSH_SECONDS": "0"}, "INFERENCE_LOG_FLUSH_SECONDS: Input should be greater than 0"),
        (GOOD | {"INFERENCE_LOG_FLUSH_ROWS": "500001"}, "INFERENCE_LOG_FLUSH_ROWS: Input should be less than or equal"),
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


CLOSING = """
from inferencelog import WriterLimits, Rows, Writer, open_store
from kserving import configure_logging
from transformer.__main__ import close_logs
import features
configure_logging()
writer = Writer(open_store("s3://bucket/log"), "staging", WriterLimits(flush_seconds=0.001))
writer.append(Rows(["a"], [[0.0] * len(features.NAMES)], [0.5], "v1", ""))
input()
close_logs(0.5, writer)
"""
END_SECONDS = 12
"""Seconds within which the process must end; with Arrow's own shutdown it would take 15 to 20."""


def test_a_store_that_hangs_does_not_hold_up_the_end() -> None:
    """The store is an S3 that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        environ = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "key",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{hanging.getsockname()[1]}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [sys.executable, "-c", CLOSING]
        process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with process:
            connection, _ = hanging.accept()  # the row is on its way
            out, _ = process.communicate("\n", timeout=END_SECONDS)
            connection.close()
    last = json.loads(out.splitlines()[-1])
    assert (process.returncode, last["message"], last["rows"]) == (0, "inference log closed with rows unwritten", 1)
