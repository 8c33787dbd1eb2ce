"""Fixtures: a bundle as the trainer writes it, except for the content of its files."""

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NUMBERS = ("links", "words")
CONTENTS = {
    "model.joblib": b"a model",
    "baseline.parquet": b"rows",
    "curves.png": b"a picture",
    "model-card.md": b"# A",
}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def quantiles(**changes: Any) -> dict[str, Any]:
    """Return the quantiles of a manifest, changed in the group of all; None removes a number."""
    numbers = {name: [0, 1, 2, 3, 4] for name in NUMBERS}
    changed = {name: value for name, value in {**numbers, **changes}.items() if value is not None}
    return {"all": changed, "ham": numbers, "spam": numbers}


def fields(**changes: Any) -> dict[str, Any]:
    """Return the fields of a manifest; None removes one."""
    sound = {
        "name": "spam-detector",
        "version": "4dff54a7ee78",
        "feature_schema_version": "1",
        "columns": ["text", *NUMBERS],
        "threshold": 0.9,
        "metrics": {"one_minus_auc": 0.0003, "by_fold": [0.1, 0.2]},
        "libraries": {"python": "3.11.7", "scikit-learn": "1.9.1"},
        "corpus": {"digest": "ab" * 32, "ham": 3, "spam": 4},
        "files": {name: digest(content) for name, content in CONTENTS.items()},
        "feature_quantiles": quantiles(),
    }
    return {name: value for name, value in {**sound, **changes}.items() if value is not None}


def document(**changes: Any) -> bytes:
    return json.dumps(fields(**changes), indent=2).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "spam-detector" / "4dff54a7ee78"
    target.mkdir(parents=True)
    for name, content in {**CONTENTS, "model.json": document()}.items():
        (target / name).write_bytes(content)
    return target


@pytest.fixture
def pin(folder: Path) -> str:
    """Return what a release pins of the bundle."""
    return digest((folder / "model.json").read_bytes())


def put_socket(path: Path) -> None:
    """Bind a socket's name in the file system; its path may be longer than the system call accepts."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def put_link_out(path: Path) -> None:
    """Make a link to a file with the same content outside the folder."""
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    elsewhere.write_bytes(CONTENTS.get(path.name) or document())
    path.symlink_to(elsewhere)


def put_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.parent / "pipe")
    path.symlink_to("pipe")


ODD_KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "socket": put_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "null": lambda path: path.symlink_to("/dev/null"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "link out": put_link_out,
    "link up": lambda path: path.symlink_to("../../.."),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a pipe": put_link_to_pipe,
}
"""Functions that put something in a file's place that is not a file of the bundle, by kind."""
