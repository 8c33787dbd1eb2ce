"""Tests of a transformer in front of a model that was trained on other features, as real processes."""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MODEL, START_SECONDS, System, system

import features

SAID = f"the model was trained on feature schema 0, this transformer makes {features.SCHEMA_VERSION}"


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def until(found: Callable[[], Any], wanted: Any) -> None:
    """Wait until a value is as wanted; the time limit allows for a busy machine."""
    end = time.monotonic() + START_SECONDS
    while (last := found()) != wanted:
        if time.monotonic() > end:
            pytest.fail(f"{last!r} is not {wanted!r} after {START_SECONDS} s")
        time.sleep(0.05)


@pytest.fixture
def older(model: Path, tmp_path: Path) -> Path:
    """Return the model as if it had been trained on another schema."""
    folder = tmp_path / "older"
    shutil.copytree(model, folder)
    manifest = json.loads((folder / "model.json").read_text()) | {"feature_schema_version": "0"}
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


def restart_staging(running: System, model: Path) -> None:
    running.kill("ps")
    running.commands["ps"][1]["MODEL_DIR"] = str(model)
    running.start("ps")


def changes(running: System) -> list[str]:
    """Return the log levels of staging's transformer for changes of its predictor's schema."""
    return [line["level"] for line in running.log("ts") if "the predictor's model" in line["message"]]


def test_a_model_of_another_schema_is_not_ready_at_any_tier(model: Path, older: Path, tmp_path: Path) -> None:
    with system(tmp_path, model) as running:
        transformer = json.loads(running.commands["gateway"][1]["ENVIRONMENTS"])["staging"]
        restart_staging(running, older)
        until(lambda: get(f"{transformer}/v2/models/{MODEL}/ready")[1].get("error", "").partition(";")[0], SAID)
        for path in ("/v2/health/ready", f"/v2/models/{MODEL}/ready"):
            status, body = get(transformer + path)
            assert status == 503 and body["error"].startswith(SAID)
        assert get(f"{transformer}/v2/health/live")[0] == 200
        until(lambda: get(f"{running.url}/ready")[1].get("reasons", {}).get("staging", "").partition(";")[0], SAID)
        status, body = get(f"{running.url}/ready")
        assert (status, body["status"]) == (200, "ready"), "production goes on"
        assert body["environments"] == {"staging": "unreachable", "production": "ready"}
        until(lambda: changes(running), ["ERROR"])
        restart_staging(running, model)
        ready = {"status": "ready", "environments": {"staging": "ready", "production": "ready"}}
        until(lambda: get(f"{running.url}/ready")[1], ready)
        until(lambda: changes(running), ["ERROR", "INFO"])
