"""Real S3 server (versitygw) for one test."""

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

KEY = "test-key"
BUCKET = "logs"
START_SECONDS = 20
TOOL = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "versitygw"


@dataclass
class S3Server:
    """S3 server with one bucket, whose objects lie in a folder that outlives the process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}"

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables that a client's process needs."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        (self.folder / BUCKET).mkdir(parents=True, exist_ok=True)
        address = f"127.0.0.1:{self.port}"
        command = [_tool(), "--port", address, "--access", KEY, "--secret", KEY, "posix", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait(f"http://{address}")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Start a server, and end it whatever happens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = S3Server(folder, probe.getsockname()[1])
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _tool() -> str:
    found = str(TOOL) if TOOL.exists() else shutil.which("versitygw")
    return found or pytest.skip("needs the S3 server versitygw: install Go and run `make test` again")


def _wait(url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers, and rightly refuses an unsigned request
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{url} does not answer after {START_SECONDS} s")
