import threading
from pathlib import Path

import pytest

from inferencelog import LogError, Store, StoreError, open_store


def test_reads_what_was_written_and_lists_it(store: Store) -> None:
    store.write("a=1/b=2/x.parquet", b"one")
    store.write("a=1/b=2/x.parquet", b"two")
    store.write("a=1/b=3/y.parquet", b"")
    assert store.read("a=1/b=2/x.parquet") == b"two"
    assert store.folders("a=1") == ["a=1/b=2", "a=1/b=3"]
    assert store.files("a=1/b=2") == ["a=1/b=2/x.parquet"]
    assert store.files("nowhere") == store.folders("nowhere") == []


def test_large_files_arrive_whole(store: Store) -> None:
    data = bytes(range(256)) * 100_000
    store.write("large", data)
    assert store.read("large") == data


def test_whoever_reads_meanwhile_sees_one_file_or_the_other(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))  # in S3 the server does this
    versions = [letter * 3_000_000 for letter in (b"a", b"b")]
    store.write("x", versions[0])
    done = threading.Event()

    def write() -> None:
        for n in range(20):
            store.write("x", versions[n % 2])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        assert store.read("x") in versions
    thread.join()


def test_a_missing_file_is_said_with_its_uri(store: Store) -> None:
    with pytest.raises(StoreError, match=f"cannot read {store.uri('no/such')}"):
        store.read("no/such")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "x").mkdir()  # in the way of the file
    with pytest.raises(StoreError, match="cannot write"):
        store.write("x", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_missing_bucket_is_said(s3: str) -> None:
    with pytest.raises(StoreError, match="cannot write s3://nowhere/x"):
        open_store("s3://nowhere").write("x", b"data")


@pytest.mark.parametrize("uri", ["", "http://host/x", "s3:///x", "file://host/x", "gs://bucket/x"])
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(LogError, match="expected file:///folder or s3://bucket/prefix"):
        open_store(uri)
