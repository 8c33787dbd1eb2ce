import json
import os
import subprocess
import sys

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
    ],
)
def test_wrong_settings_end_the_process_with_one_line(settings: dict[str, str], reason: str) -> None:
    environ = {**os.environ, **settings}
    done = subprocess.run([sys.executable, "-m", "gateway"], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert reason in json.loads(line)["reason"]
