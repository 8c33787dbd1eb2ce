"""Logs on a disk and in a real S3 server."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

import features
from inferencelog import Rows, Store, open_store

KEY = "test-key"
GATEWAY = Path(__file__).resolve().parents[3] / ".tools" / "bin" / "versitygw"


def rows(n: int, first: int = 0, version: str = "v1", sha256: str = "abc") -> Rows:
    """Rows whose request id, first feature and score tell them apart."""
    numbers = range(first, first + n)
    values = [(float(i), *[0.5] * (len(features.NAMES) - 1)) for i in numbers]
    return Rows([f"r{i}" for i in numbers], values, [(i % 1000) / 1000 for i in numbers], version, sha256)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket in a real S3 server of the session's own."""
    gateway = str(GATEWAY) if GATEWAY.exists() else shutil.which("versitygw")
    if gateway is None:
        pytest.skip("needs the S3 server versitygw: install Go and run `make test` again")
    folder = tmp_path_factory.mktemp("s3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [gateway, "--port", f"127.0.0.1:{port}", "--access", KEY, "--secret", KEY, "posix", str(folder)]
    variables = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "us-east-1"}
    os.environ |= variables | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}")
        files = fs.S3FileSystem(endpoint_override=f"127.0.0.1:{port}", scheme="http", allow_bucket_creation=True)
        files.create_dir("logs")
        yield "s3://logs"
    finally:
        process.kill()
        process.wait()


def _wait(url: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return  # it answers: that nobody may look without a signature is right
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{url} does not answer")


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "disk":
        return open_store((tmp_path / "log").as_uri())
    return open_store(f"{request.getfixturevalue('s3')}/{tmp_path.name}")
