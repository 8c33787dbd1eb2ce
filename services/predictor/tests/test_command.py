"""Command in a process of its own: what it refuses to serve, and what it serves."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import LINKS, TEXTS, WORDS

from bundle import Bundle

SECONDS = 60
COMMAND = [sys.executable, "-m", "predictor"]


def refusal(status: int, **settings: object) -> str:
    """Return why the process ended, from its one line of log."""
    environ = os.environ | {name: str(value) for name, value in settings.items()}
    done = subprocess.run(COMMAND, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (status, "")
    (line,) = done.stdout.splitlines()
    entry = json.loads(line)
    assert entry["level"] == "ERROR"
    return str(entry["reason"])


def test_another_digest_than_the_release_pins_is_refused(folder: Path) -> None:
    assert f"the release pins {'0' * 64}" in refusal(1, MODEL_DIR=folder, MODEL_SHA256="0" * 64)


def test_a_missing_folder_says_where_kserve_does_not_put_models() -> None:
    assert "labelled control-plane" in refusal(1, MODEL_DIR="/nowhere")


def test_a_changed_model_is_refused(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "1")
    with (changed / "model.joblib").open("ab") as model:
        model.write(b"x")
    assert "it was not unpickled" in refusal(1, MODEL_DIR=changed)


def test_two_models_are_refused(folder: Path, tmp_path: Path) -> None:
    both = shutil.copytree(folder, tmp_path / "1")
    shutil.copy(both / "model.joblib", both / "other.pkl")
    assert "exactly one model file" in refusal(1, MODEL_DIR=both)


def test_wrong_settings_are_refused(folder: Path) -> None:
    reason = refusal(2, MODEL_DIR=folder, MODEL_SHA256="short", HTTP_PORT="many")
    assert "MODEL_SHA256: String should match" in reason
    assert "HTTP_PORT: Input should be a valid integer" in reason


@pytest.fixture(scope="module")
def http(folder: Path, loaded: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("served") / "log"
    settings = {"MODEL_DIR": str(folder), "MODEL_SHA256": loaded.sha256, "HTTP_PORT": str(port)}
    with log.open("wb") as out:
        process = subprocess.Popen(COMMAND, env=os.environ | settings, stdout=out, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            wait_until_ready(client, process, log)
            yield client
    finally:
        process.kill()
        process.wait()


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if client.get("/v2/models/spam-detector/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    pytest.fail(log.read_text())


def columns() -> dict[str, list[Any]]:
    return {"text": TEXTS, "links": LINKS, "words": WORDS}


def test_both_protocols_answer_the_same(http: httpx.Client) -> None:
    datatypes = {"text": "BYTES", "links": "FP32", "words": "FP32"}
    inputs = [
        {"name": name, "datatype": datatypes[name], "shape": [len(TEXTS), 1], "data": data}
        for name, data in columns().items()
    ]
    v2 = http.post("/v2/models/spam-detector/infer", json={"id": "1", "inputs": inputs}).json()
    instances = [dict(zip(columns(), row, strict=True)) for row in zip(*columns().values(), strict=True)]
    v1 = http.post("/v1/models/spam-detector:predict", json={"instances": instances}).json()
    (output,) = v2["outputs"]
    assert v1["predictions"] == output["data"][1::2]
    assert (v2["id"], v2["model_version"], v2["parameters"]["threshold"]) == ("1", "1", 0.9)


@pytest.mark.parametrize(
    ("path", "content", "content_type"),
    [
        ("/v1/models/spam-detector:predict", b'{"instances": []}', "text/plain"),
        ("/v1/models/spam-detector:predict", b'{"instances": [{"text": "a"}]}', "application/json"),
        ("/v1/models/spam-detector:predict", b"{}", "application/json"),
        ("/v2/models/spam-detector/infer", b'{"inputs": []}', "application/json"),
    ],
)
def test_wrong_requests_are_400(http: httpx.Client, path: str, content: bytes, content_type: str) -> None:
    response = http.post(path, content=content, headers={"Content-Type": content_type})
    assert (response.status_code, list(response.json())) == (400, ["error"])


def test_metadata_are_filled(http: httpx.Client) -> None:
    metadata = http.get("/v2/models/spam-detector").json()
    assert [(tensor["name"], tensor["datatype"]) for tensor in metadata["inputs"]] == [
        ("text", "BYTES"),
        ("links", "FP32"),
        ("words", "FP32"),
    ]
    assert metadata["outputs"] == [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}]
