"""Tests of foreign files in the log: they are named and left out, and never endanger the reader."""

import os
import re
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample import rows

import features
from inferencelog import (
    SCORE,
    Baseline,
    BaselineError,
    EvaluationError,
    Store,
    Window,
    WindowError,
    Writer,
    newest_time,
    open_store,
    read_baseline,
    read_scored,
    read_window,
    schema,
    write_baseline,
)
from inferencelog import bounded as bounds
from inferencelog.pages import PageError, page_sizes
from inferencelog.schema import measures_schema, partition

HOUR = datetime(2026, 3, 1, 13, tzinfo=UTC)
FOLDER = partition("production", HOUR)
LINKS = "links"


def write(store: Store, n: int = 5) -> None:
    writer = Writer(store, "production", clock=HOUR.timestamp)
    writer.append(rows(n))
    assert writer.close(10).written == n


def read(store: Store, **options: Any) -> Window:
    return read_window(store, "production", HOUR, HOUR + timedelta(hours=1), **options)


def table(n: int = 3, **columns: Any) -> pa.Table:
    """Return rows as in the log, with some columns replaced by other arrays; None removes one."""
    texts = {"environment": "production", "model_version": "v1", "model_sha256": "abc", "request_id": "r"}
    found: dict[str, Any] = {
        "time": pa.array([HOUR] * n, pa.timestamp("us", "UTC")),
        **{name: pa.array([value] * n) for name, value in texts.items()},
        "feature_schema_version": pa.array([features.SCHEMA_VERSION] * n),
        **{name: pa.array([0.5] * n, pa.float32()) for name in features.NAMES},
        SCORE: pa.array([0.5] * n),
        **columns,
    }
    return pa.table({name: column for name, column in found.items() if column is not None})


def parquet(found: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(found, sink, **{"compression": "zstd", **options})
    return bytes(sink.getvalue())


def times(*values: Any, unit: str = "us", zone: str | None = "UTC") -> pa.Array:
    return pa.array(values, pa.timestamp(unit, zone))


def encrypted() -> bytes:
    data = parquet(table())
    return b"PARE" + data[4:-4] + b"PARE"


def huge_footer() -> bytes:
    footer = b"x" * (bounds.FOOTER_BYTES + 1)
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def lying_footer() -> bytes:
    return parquet(table())[:-8] + struct.pack("<I", 2**31) + b"PAR1"


def twice(name: str) -> pa.Table:
    found = table()
    return pa.Table.from_arrays([*found.columns, found[name]], names=[*found.column_names, name])


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is no whole Parquet file"),
    "seven bytes": (lambda: b"PAR1PAR", "is no whole Parquet file"),
    "text": (lambda: b"time,links\n" * 100, "is no whole Parquet file"),
    "cut": (lambda: parquet(table())[:-10], "is no whole Parquet file"),
    "magic alone": (lambda: b"PAR1PAR1", "has a footer of 827,474,256 bytes"),
    "encrypted": (encrypted, "is encrypted"),
    "huge footer": (huge_footer, "has a footer of 1,048,577 bytes; at most 1,048,576"),
    "lying footer": (lying_footer, "has a footer of 2,147,483,648 bytes"),
    "many columns": (lambda: parquet(table(1, **{f"x{n}": pa.array([1]) for n in range(3000)})), "Error|footer"),
    "no time": (lambda: parquet(table(time=None)), "lacks column time"),
    "no columns of ours": (lambda: parquet(pa.table({"x": [1]})), "lacks column "),
    "naive time": (lambda: parquet(table(1, time=times(datetime(2026, 3, 1, 13), zone=None))), "time has type"),
    "time as text": (lambda: parquet(table(1, time=pa.array(["2026-03-01T13:00Z"]))), "time has type string"),
    "time as integer": (lambda: parquet(table(1, time=pa.array([1_772_370_000]))), "time has type int64"),
    "time as date": (lambda: parquet(table(1, time=pa.array([HOUR.date()]))), "time has type date32"),
    "time of nulls": (lambda: parquet(table(1, time=pa.nulls(1))), "time has type"),
    "time twice": (lambda: parquet(twice("time")), "has 2 columns time"),
    "numbers as text": (lambda: parquet(table(1, links=pa.array(["1.5"]))), "links has type string; expected float"),
    "integers": (lambda: parquet(table(1, links=pa.array([1]))), "links has type int64; expected float"),
    "decimals": (lambda: parquet(table(1, links=pa.array([Decimal("1.5")]))), "links has type decimal"),
    "nulls": (lambda: parquet(table(1, links=pa.nulls(1))), "links has type"),
    "nested": (lambda: parquet(table(1, links=pa.array([{"a": 1.0}]))), "that is no plain column"),
    "lists": (lambda: parquet(table(1, links=pa.array([[1.0]]))), "that is no plain column"),
    "version as number": (lambda: parquet(table(1, model_version=pa.array([4]))), "model_version has type int64"),
    "long version": (lambda: parquet(table(1, model_version=pa.array(["v" * 257]))), "value of 257 characters"),
    "long id": (lambda: parquet(table(1, request_id=pa.array(["v" * 10**6]))), "value of 1,000,000 characters"),
    "no UTF-8": (
        lambda: parquet(table(1, model_version=pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers()))),
        "Invalid UTF8",
    ),
    "many versions": (
        lambda: parquet(table(1500, model_version=pa.array([f"v{n}" for n in range(1500)]))),
        "model_version has 1,500 different values; at most 1,000",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_file_is_named_and_left_out(store: Store, name: str) -> None:
    make, why = FILES[name]
    write(store)
    path = f"{FOLDER}/foreign.parquet"
    store.write(path, make())
    found = read(store)
    assert (found.table.num_rows, found.files, list(found.unreadable)) == (5, 1, [path])
    assert re.search(why, found.unreadable[path]), found.unreadable
    assert newest_time(store, "production") == HOUR


@pytest.mark.parametrize(
    "columns",
    [
        {"extra": pa.array([{"deep": [1]}] * 3), "Time": pa.array([1] * 3)},
        {LINKS: pa.array([0.5] * 3)},
        {SCORE: pa.array([0.5] * 3, pa.float32())},
        {"model_version": pa.array(["v1"] * 3, pa.large_string())},
        {"model_version": pa.array(["v1"] * 3).dictionary_encode()},
        {"time": times(*[HOUR] * 3, unit="ms")},
        {"time": times(*[HOUR] * 3, unit="ns", zone="Europe/Berlin")},
    ],
    ids=["extra columns", "double", "single", "large text", "dictionary", "milliseconds", "nanoseconds"],
)
def test_rows_that_another_tool_has_rewritten_are_rows(store: Store, columns: dict[str, Any]) -> None:
    store.write(f"{FOLDER}/compacted.parquet", parquet(table(**columns)))
    found = read(store)
    assert (found.table.num_rows, found.unreadable, found.table.schema) == (3, {}, schema())
    assert found.table["time"].to_pylist() == [HOUR] * 3


def test_a_file_without_rows_is_a_file(store: Store) -> None:
    store.write(f"{FOLDER}/none.parquet", parquet(table(1).slice(0, 0)))
    found = read(store)
    assert (found.table.num_rows, found.files, found.unreadable) == (0, 1, {})


def test_rows_of_no_time_of_their_partition_are_counted_and_left_out(store: Store) -> None:
    odd = [None, HOUR - timedelta(seconds=1), HOUR + timedelta(hours=1), datetime(9999, 1, 1, tzinfo=UTC)]
    store.write(f"{FOLDER}/odd.parquet", parquet(table(5, time=times(HOUR, *odd))))
    store.write(f"{FOLDER}/far.parquet", parquet(table(2, time=pa.array([2**62, -(2**62)], pa.timestamp("us", "UTC")))))
    write(store)
    found = read(store)
    assert (found.table.num_rows, found.other_hour, found.unreadable) == (6, 6, {})
    assert newest_time(store, "production") == HOUR


def test_rows_without_an_environment_are_of_another(store: Store) -> None:
    store.write(f"{FOLDER}/odd.parquet", parquet(table(3, environment=pa.array(["production", None, "PRODUCTION"]))))
    found = read(store)
    assert (found.table.num_rows, found.other_environment) == (1, 2)


def many_rows(groups: int, path: Path) -> bytes:
    """Return a file of 100,000 equal rows a group, which take 3 kB."""
    with pq.ParquetWriter(path, table(1).schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(table(100_000))
    return path.read_bytes()


def test_a_file_of_too_many_rows_is_left_out(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "log"))
    write(store)
    data = many_rows(11, tmp_path / "large")
    assert len(data) < 300_000
    store.write(f"{FOLDER}/large.parquet", data)
    found = read(store)
    assert found.table.num_rows == 5
    assert list(found.unreadable.values()) == ["has 1,100,000 rows; at most 1,000,000 are read from one file"]


READING = """
import sys
from datetime import datetime, timedelta
from inferencelog import WindowError, open_store, read_window
start = datetime.fromisoformat(sys.argv[2])
try:
    read_window(open_store(sys.argv[1]), "production", start, start + timedelta(hours=1))
except WindowError as error:
    print(error)
"""
PEAK_MB = 700


def test_many_files_of_many_rows_end_in_an_error_and_not_in_all_memory(tmp_path: Path) -> None:
    """Twelve files of 36 kB, each of which may be read, hold 10,800,000 rows, 1.5 GB and more."""
    store = open_store(str(tmp_path / "log"))
    data = many_rows(9, tmp_path / "large")
    for number in range(12):
        store.write(f"{FOLDER}/{number}.parquet", data)
    command = [sys.executable, "-c", READING, str(tmp_path / "log"), HOUR.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "holds more than 1,000,000 rows of production, and file://" in done.stdout
    assert "take a shorter window, or allow more rows" in done.stdout
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert peak < PEAK_MB, f"{peak:.0f} MB"


def test_a_window_of_more_rows_than_allowed_says_what_to_do(store: Store) -> None:
    write(store, 600)
    write(store, 500)
    assert read(store, most_rows=1100).table.num_rows == 1100
    with pytest.raises(WindowError, match=r"holds more than 1,099 rows of production, and .*\.parquet has the most"):
        read(store, most_rows=1099)


def test_what_unpacks_to_too_much_is_not_unpacked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store)
    ids = pa.array(["v" * 100_000] * 20)
    data = parquet(table(20, request_id=ids), use_dictionary=False)
    assert len(data) < 50_000
    store.write(f"{FOLDER}/large.parquet", data)
    monkeypatch.setattr(bounds, "UNPACKED_BYTES", 1_000_000)
    assert list(read(store).unreadable.values()) == ["unpacks to more than 1,000,000 bytes"]
    # Only the columns that are asked for count.
    assert read(store, columns=[SCORE]).table.num_rows == 25
    monkeypatch.setattr(bounds, "PAGES", 10)
    assert "has more than 10 pages to read" in read(store).unreadable.values()


def test_a_file_of_too_many_bytes_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store)
    monkeypatch.setattr(bounds, "FILE_BYTES", 50_000)
    store.write(f"{FOLDER}/large.parquet", b"x" * 50_001)
    assert list(read(store).unreadable.values()) == ["has 50,001 bytes; at most 50,000 are read of one file"]


def test_a_text_that_many_rows_share_is_held_once(store: Store) -> None:
    """The text is a megabyte, a hundred thousand times: 100 GB as plain strings."""
    write(store)
    indices = pa.array([0] * 100_000, pa.int32())
    ids = pa.DictionaryArray.from_arrays(indices, pa.array(["v" * 10**6]))
    store.write(f"{FOLDER}/large.parquet", parquet(table(100_000, request_id=ids)))
    assert "request_id has a value of 1,000,000 characters" in next(iter(read(store).unreadable.values()))


def test_sizes_of_pages_are_those_of_their_headers() -> None:
    data = parquet(table(5000), use_dictionary=False, data_page_size=1000, compression="none")
    found = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    for place in range(found.num_columns):
        column = found.column(place)
        start, length = column.data_page_offset, column.total_compressed_size
        sizes = list(page_sizes(memoryview(data), start, start + length))
        headers = column.total_uncompressed_size - sum(sizes)
        assert len(sizes) > 1 and 0 < headers < 100 * len(sizes), column.path_in_schema


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x15",
        b"\x15" + b"\xff" * 20,
        b"\x00",
        b"\x15\x00\x15\x01\x15\x00\x00",
        b"\x1c" * 100,
        b"\x19" * 100,
        b"\x19\xf3" + b"\xff" * 9 + b"\x01",
        b"\x18\xff\xff\xff\xff\x7f\x00",
        b"\x1b\x00\x00",
    ],
)
def test_bytes_that_are_no_pages_are_refused(header: bytes) -> None:
    if not header:
        assert list(page_sizes(memoryview(b""), 0, 0)) == []
        return
    with pytest.raises(PageError):
        list(page_sizes(memoryview(header), 0, len(header)))
    for start, end in ((-1, 1), (0, 1000), (5, 1)):
        with pytest.raises(PageError, match="outside the file"):
            list(page_sizes(memoryview(header), start, end))


@pytest.mark.parametrize("seed", range(200))
def test_bytes_that_have_changed_never_do_harm(tmp_path: Path, seed: int) -> None:
    """A single changed byte must lose nothing but the file's own rows."""
    store = open_store(str(tmp_path))
    write(store)
    data = bytearray(parquet(table(50)))
    place = seed * len(data) // 200
    data[place] ^= 1 + seed % 255
    store.write(f"{FOLDER}/changed.parquet", bytes(data))
    found = read(store)
    assert found.files + len(found.unreadable) == 2 and found.table.num_rows >= 5
    assert newest_time(store, "production")


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write(store)
    folder = tmp_path / FOLDER
    (folder / "folder.parquet").mkdir()
    os.mkfifo(folder / "pipe.parquet")
    (folder / "device.parquet").symlink_to("/dev/zero")
    (folder / "gone.parquet").symlink_to("nowhere")
    (folder / "loop.parquet").symlink_to("loop.parquet")
    (folder / "notes.txt").write_text("not looked at")
    found = read(store)
    assert (found.table.num_rows, found.files) == (5, 1)
    assert found.unreadable == {
        f"{FOLDER}/device.parquet": "is no regular file",
        f"{FOLDER}/folder.parquet": "is a folder",
        f"{FOLDER}/pipe.parquet": "is no regular file",
    }
    assert newest_time(store, "production") == HOUR


def test_names_are_one_printable_line(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write(store)
    names = [b"a\nb.parquet", b"a\x1b[31m.parquet", b"\xff.parquet", "\u202e.parquet".encode(), b"a\x02.parquet"]
    for name in [*names, b"a\x01.parquet", b"n" * 240 + b".parquet"]:
        Path(os.fsdecode(bytes(tmp_path / FOLDER) + b"/" + name)).write_bytes(b"noise")
    found = read(store)
    assert (found.table.num_rows, len(found.unreadable)) == (5, 7)
    assert all(path.isprintable() and why.isprintable() for path, why in found.unreadable.items())
    assert max(map(len, found.unreadable)) <= 304
    (tmp_path / "environment=production/date=nonsense/hour=13").mkdir(parents=True)
    (tmp_path / "environment=production/date=9999-99-99/hour=13").mkdir(parents=True)
    assert newest_time(store, "production") == HOUR


def baseline(**columns: Any) -> bytes:
    rows_of = table().select(measures_schema().names)
    found = write_baseline(Baseline(rows_of, "spam-detector", "v1", "abc", "1", 0.94, "a test"))
    metadata = pq.read_schema(pa.BufferReader(found)).metadata
    changed = {name: value for name, value in columns.items() if isinstance(value, bytes)}
    others = {name: value for name, value in columns.items() if not isinstance(value, bytes)}
    kept = table(**others).select(measures_schema().names)
    return parquet(kept.replace_schema_metadata(metadata | {name.encode(): value for name, value in changed.items()}))


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"threshold": b"nan"}, "threshold must be 0 to 1, is nan"),
        ({"threshold": b"1e9"}, "threshold must be 0 to 1"),
        ({"threshold": b"one"}, "could not convert"),
        ({"model_version": b"v1\nSigned-off-by: Eve"}, "model_version must be one line of printable"),
        ({"model_name": b"\x1b[31m"}, "model_name must be one line"),
        ({"model_sha256": b"a" * 300}, "model_sha256 must be one line"),
        ({"period_start": b"2026-03-01T00:00", "period_end": b"2026-03-02T00:00"}, "must be times with a zone"),
        ({"period_start": b"2026-03-01T00:00Z"}, "period_end"),
        ({LINKS: pa.array(["1"] * 3)}, "links has type string; expected float"),
    ],
)
def test_a_foreign_baseline_is_refused(tmp_path: Path, columns: dict[str, Any], why: str) -> None:
    path = tmp_path / "baseline.parquet"
    path.write_bytes(baseline(**columns))
    with pytest.raises(BaselineError, match=f"{path} is no baseline: .*{why}.*; make one with baseline-generator"):
        read_baseline(str(path))


def test_where_a_baseline_is_from_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    path.write_bytes(baseline(source=b"mail\n\x1b[31mEvidence: accepted " + b"x" * 1000))
    source = read_baseline(str(path)).source
    assert source.startswith("mail ?[31mEvidence: accepted xxx") and len(source) == 200


def test_a_baseline_of_too_many_rows_is_refused(tmp_path: Path) -> None:
    many_rows(11, tmp_path / "large.parquet")
    with pytest.raises(BaselineError, match="has 1,100,000 rows"):
        read_baseline(str(tmp_path / "large.parquet"))


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"spam_probability": pa.array([float("nan")])}, "spam_probability must be 0 to 1"),
        ({"spam_probability": pa.array([1.5])}, "spam_probability must be 0 to 1"),
        ({"spam_probability": pa.array([None], pa.float64())}, "a column has missing values"),
        ({"spam": pa.array(["yes"])}, "spam has type string; expected bool"),
        ({"mail_sha256": pa.array(["a" * 1000])}, "mail_sha256 has a value of 1,000 characters"),
    ],
)
def test_foreign_scores_are_refused(columns: dict[str, Any], why: str) -> None:
    found = {
        "mail_sha256": pa.array(["a"]),
        "spam": pa.array([True]),
        "fold": pa.array([0], pa.int32()),
        "spam_probability": pa.array([0.5]),
    }
    scored = pa.table(found | columns).replace_schema_metadata({"model_sha256": "a", "corpus_digest": "b"})
    with pytest.raises(EvaluationError, match=f"x.parquet holds no scores of a corpus: .*{why}"):
        read_scored(parquet(scored), "x.parquet")
