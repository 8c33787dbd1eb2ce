"""Tests of the chart's smoke test against the real processes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, System, system

SCRIPT = ROOT / "charts" / "model-serving" / "files" / "smoke.py"


def smoke(system: System, **settings: str) -> tuple[int, str]:
    """Return exit code and output for the running model, with some settings changed."""
    bundle = Path(os.environ["MODEL_DIR"])
    content = (bundle / "model.json").read_bytes()
    given = {
        "GATEWAY_URL": system.url,
        "ENVIRONMENT": "production",
        "MODEL_VERSION": json.loads(content)["version"],
        "MODEL_SHA256": hashlib.sha256(content).hexdigest(),
        "TIMEOUT_SECONDS": "2",
        "ANSWERS": "3",
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=given | settings, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout


def test_the_pinned_model_passes(shared: System) -> None:
    code, said = smoke(shared, TIMEOUT_SECONDS="30")
    assert (code, said.splitlines()[-1].partition(" by ")[0]) == (0, "ok: 3 answers in a row")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"MODEL_VERSION": "another"}, "expected model another of production, got "),
        ({"MODEL_SHA256": "0" * 64}, f"with SHA-256 {'0' * 64}, the one that answers has "),
        ({"ENVIRONMENT": "qa"}, "400: "),
        ({"GATEWAY_URL": "http://127.0.0.1:1"}, "Connection refused"),
    ],
)
def test_anything_else_fails_and_says_why(shared: System, settings: dict[str, str], reason: str) -> None:
    code, said = smoke(shared, **settings)
    assert code == 1
    assert reason in said


def test_answers_of_a_canary_neither_count_nor_begin_anew(model: Path, tmp_path: Path) -> None:
    """Half of the answers are staging's, so ten of production's in a row would be one run in a thousand."""
    bounds = {"CANARY_MAX_ERROR_RATE": "0.1", "CANARY_MAX_LATENCY_SECONDS": "5"}
    with system(tmp_path, model, {"CANARY_SHARE": "0.5"} | bounds) as running:
        code, said = smoke(running, TIMEOUT_SECONDS="30", ANSWERS="10")
        assert (code, said.splitlines()[-1].partition(" by ")[0]) == (0, "ok: 10 answers in a row")
        code, said = smoke(running, TIMEOUT_SECONDS="3", ANSWERS="1000")
    assert code == 1
    assert "came from another environment" in said
