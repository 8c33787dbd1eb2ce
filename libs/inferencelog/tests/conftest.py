"""Fixtures: logs on disk and in a real S3 server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import s3_server

from inferencelog import Store, open_store


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a bucket in an S3 server for the session, which this process may use."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        os.environ.update(server.variables)
        yield server.uri


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return an empty store of each kind."""
    if request.param == "disk":
        return open_store((tmp_path / "log").as_uri())
    return open_store(f"{request.getfixturevalue('s3')}/{tmp_path.name}")
