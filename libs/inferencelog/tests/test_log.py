"""Tests of rows written by the writer and read by the reader."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import s3_server
from sample import rows

import features
from inferencelog import (
    MEASURES,
    SCORE,
    Store,
    StoreError,
    Window,
    Writer,
    WriterLimits,
    newest_time,
    open_store,
    read_window,
    schema,
)
from inferencelog.schema import hours, partition

HOUR = datetime(2026, 3, 1, 13, tzinfo=UTC)
AT_ONCE = WriterLimits(flush_seconds=0.01)
PATIENCE = 10.0


def write(store: Store, n: int, at: datetime = HOUR, environment: str = "production") -> None:
    writer = Writer(store, environment, clock=at.timestamp)
    writer.append(rows(n))
    assert writer.close(PATIENCE).written == n


def read(store: Store, start: datetime = HOUR, hours: float = 1) -> Window:
    return read_window(store, "production", start, start + timedelta(hours=hours))


def until(true: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def blocked(tmp_path: Path) -> tuple[Store, Path]:
    """Return a store that accepts nothing until the file in its place is gone."""
    folder = tmp_path / "log"
    folder.write_text("in the way")
    return open_store(str(folder)), folder


def test_rows_come_back_as_they_went(store: Store) -> None:
    write(store, 1500)
    table = read(store).table
    assert table.schema == schema()
    assert table["request_id"].to_pylist() == [f"r{i}" for i in range(1500)]
    assert table[features.NAMES[0]].to_pylist() == [float(i) for i in range(1500)]
    assert table[SCORE].to_pylist() == [(i % 1000) / 1000 for i in range(1500)]
    for name, value in {"environment": "production", "model_version": "v1", "model_sha256": "abc"}.items():
        assert set(table[name].to_pylist()) == {value}
    assert set(table["feature_schema_version"].to_pylist()) == {features.SCHEMA_VERSION}
    assert set(table["time"].to_pylist()) == {HOUR}


def test_models_may_change_within_a_file(store: Store) -> None:
    writer = Writer(store, "production", clock=HOUR.timestamp)
    for n, version in ((2, "v1"), (3, "v2"), (1, "v1")):
        writer.append(rows(n, version=version, sha256=version * 2))
    writer.close(PATIENCE)
    table = read(store).table
    assert table["model_version"].to_pylist() == ["v1"] * 2 + ["v2"] * 3 + ["v1"]
    assert table["model_sha256"].to_pylist() == ["v1v1"] * 2 + ["v2v2"] * 3 + ["v1v1"]


def test_an_hour_boundary_while_rows_wait_parts_them(store: Store) -> None:
    times = iter([HOUR - timedelta(microseconds=1), HOUR, HOUR + timedelta(minutes=1)])
    writer = Writer(store, "production", clock=lambda: next(times).timestamp())
    for first in range(3):
        writer.append(rows(1, first))
    writer.close(PATIENCE)
    assert read(store, HOUR - timedelta(hours=1)).table["request_id"].to_pylist() == ["r0"]
    assert read(store).table["request_id"].to_pylist() == ["r1", "r2"]
    assert len(store.files(partition("production", HOUR))) == 1


def test_a_window_across_hours_is_cut_to_the_second(store: Store) -> None:
    for minutes in range(0, 180, 30):
        write(store, 1, HOUR + timedelta(minutes=minutes))
    found = read(store, HOUR + timedelta(minutes=30), hours=1.5)
    assert [t - HOUR for t in sorted(found.table["time"].to_pylist())] == [timedelta(minutes=m) for m in (30, 60, 90)]
    assert found.files == 4


def test_other_tools_read_the_whole_tree(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write(store, 2)
    write(store, 3, environment="staging")
    table = pq.read_table(tmp_path)
    assert table.num_rows == 5
    assert {"date", "hour", *schema().names} == set(table.column_names)


def test_a_batch_is_written_by_rows_or_by_seconds(store: Store) -> None:
    writer = Writer(store, "production", WriterLimits(flush_seconds=3600, flush_rows=100), HOUR.timestamp)
    quick = Writer(store, "production", WriterLimits(flush_seconds=0.2), HOUR.timestamp)
    writer.append(rows(99))
    quick.append(rows(1))
    until(lambda: quick.stats.written == 1)
    assert writer.stats.written == 0
    writer.append(rows(1, 99))
    until(lambda: writer.stats.written == 100)
    for each in (writer, quick):
        assert each.close(PATIENCE).waiting == 0


def test_a_store_that_is_away_loses_nothing_within_the_bound(
    blocked: tuple[Store, Path], caplog: pytest.LogCaptureFixture
) -> None:
    store, folder = blocked
    caplog.set_level("INFO", "inferencelog")
    writer = Writer(store, "production", WriterLimits(0.01, flush_rows=10, buffer_rows=1000), HOUR.timestamp)
    for first in range(0, 1000, 10):
        writer.append(rows(10, first))
    until(lambda: writer.stats.failures >= 2)
    assert (writer.stats.written, writer.stats.waiting) == (0, 1000)
    folder.unlink()
    stats = writer.close(PATIENCE)
    assert (stats.written, stats.dropped, stats.waiting) == (1000, 0, 0)
    assert sorted(read(store).table["request_id"].to_pylist()) == sorted(f"r{i}" for i in range(1000))
    assert [r.message for r in caplog.records] == [
        "inference log: store is away, rows wait",
        "inference log: store is back",
    ]


def test_beyond_the_bound_the_oldest_go_and_are_counted(
    blocked: tuple[Store, Path], caplog: pytest.LogCaptureFixture
) -> None:
    store, folder = blocked
    writer = Writer(store, "production", WriterLimits(0.01, flush_rows=10, buffer_rows=50), HOUR.timestamp)
    writer.append(rows(10))
    until(lambda: writer.stats.failures)  # these ten are being written, and are not dropped
    for first in range(10, 200, 10):
        writer.append(rows(10, first))
    assert (writer.stats.dropped, writer.stats.waiting) == (150, 50)
    folder.unlink()
    assert writer.close(PATIENCE).written == 50
    expected = [*range(10), *range(160, 200)]
    assert sorted(int(r[1:]) for r in read(store).table["request_id"].to_pylist()) == expected
    assert [r.message for r in caplog.records if "dropped" in r.message] == [
        "inference log: buffer full, oldest rows are dropped"
    ]


def test_closing_gives_up_on_a_store_that_stays_away(
    blocked: tuple[Store, Path], caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(blocked[0], "production", AT_ONCE, HOUR.timestamp)
    writer.append(rows(7))
    begin = time.monotonic()
    assert writer.close(0.5).waiting == 7
    assert time.monotonic() - begin < 5
    assert caplog.records[-1].rows == 7  # type: ignore[attr-defined]


def test_rows_that_no_file_can_hold_do_not_end_the_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(store, "production", WriterLimits(flush_rows=1), HOUR.timestamp)
    writer.append(rows(1, version="\ud800"))  # not valid UTF-8
    until(lambda: writer.stats.dropped == 1)
    writer.append(rows(1))
    assert writer.close(PATIENCE).written == 1
    assert "could not be encoded" in caplog.text


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from sample import rows
from inferencelog import WriterLimits, Writer, open_store
writer = Writer(open_store({log!r}), "production", WriterLimits(flush_seconds=0.1, flush_rows=500))
for i in range(10**9):
    writer.append(rows(10, 10 * i))
    print(10 * (i + 1), time.time(), flush=True)
    time.sleep(0.001)  # the load: ten thousand rows a second at most
"""


def test_kill_9_loses_at_most_a_flush_interval_and_leaves_no_broken_file(tmp_path: Path) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent), log=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split()]
        while float(lines[-1][1]) < float(lines[0][1]) + 2:
            lines.append(process.stdout.readline().split())
        process.send_signal(signal.SIGKILL)
        lines += [line.split() for line in process.stdout if line.endswith("\n")]
    now = datetime.now(UTC)
    found = read_window(open_store(str(tmp_path)), "production", now - timedelta(hours=1), now + timedelta(hours=1))
    assert found.unreadable == {}
    kept = {int(name[1:]) for name in found.table["request_id"].to_pylist()}
    assert kept == set(range(len(kept)))
    end = float(lines[-1][1])
    before_the_interval = max(int(n) for n, at in lines if float(at) < end - 1)
    assert len(kept) >= before_the_interval


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "other columns"])
def test_a_file_that_is_none_of_the_log_is_named_and_the_rest_is_read(store: Store, damage: str) -> None:
    write(store, 5)
    (whole,) = store.files(partition("production", HOUR))
    data = store.read(whole)
    broken = f"{partition('production', HOUR)}/broken.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"time": pa.array([HOUR], pa.timestamp("us", "UTC"))}), sink)
    kinds = {"empty": b"", "cut": data[: len(data) // 2], "noise": b"x" * 1000, "other columns": bytes(sink.getvalue())}
    store.write(broken, kinds[damage])
    found = read(store)
    assert (found.table.num_rows, found.files, list(found.unreadable)) == (5, 1, [broken])
    assert found.unreadable[broken]
    assert newest_time(store, "production") == HOUR


class Meddled:
    """Real store that runs a function when a file is opened."""

    def __init__(self, store: Store, before: Callable[[str], None], after: Callable[[], None]) -> None:
        self._store, self._before, self._after = store, before, after

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def open(self, path: str) -> object:
        self._before(path)
        found = self._store.open(path)
        self._after()
        return found


def nothing(*_: object) -> None:
    pass


def test_a_file_that_expires_while_the_log_is_read_is_left_out(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write(store, 3)
    write(store, 4)
    (first, _) = store.files(partition("production", HOUR))
    meddled = Meddled(store, lambda path: (tmp_path / first).unlink(missing_ok=True), nothing)
    found = read(meddled)  # type: ignore[arg-type]
    assert (found.files, found.unreadable) == (1, {})


def test_a_store_that_goes_away_is_not_taken_for_a_corrupt_file(tmp_path: Path) -> None:
    with s3_server(tmp_path) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        store = open_store(server.uri)
        write(store, 3)
        with pytest.raises(StoreError, match="cannot read s3://"):
            read(Meddled(store, nothing, server.stop))  # type: ignore[arg-type]


def test_damage_inside_a_file_is_noticed(store: Store) -> None:
    write(store, 5000)
    (path,) = store.files(partition("production", HOUR))
    data = bytearray(store.read(path))
    data[200:2000] = bytes(1800)
    store.write(path, bytes(data))
    assert list(read(store).unreadable) == [path]


def test_rows_of_another_environment_are_set_aside_and_counted(store: Store) -> None:
    write(store, 3)
    write(store, 4, environment="staging")
    (path,) = store.files(partition("staging", HOUR))
    store.write(f"{partition('production', HOUR)}/strayed.parquet", store.read(path))
    found = read(store)
    assert (found.table.num_rows, found.other_environment) == (3, 4)


def test_only_the_columns_asked_for_are_given(store: Store) -> None:
    write(store, 3)
    assert read_window(store, "production", HOUR, HOUR + timedelta(hours=1), MEASURES).table.column_names == [*MEASURES]


def test_other_hours_are_not_even_opened(store: Store) -> None:
    write(store, 3)
    store.write(f"{partition('production', HOUR + timedelta(hours=1))}/broken.parquet", b"")
    found = read(store)
    assert (found.files, found.unreadable) == (1, {})


def test_a_file_of_many_row_groups_is_cut_to_the_window(store: Store) -> None:
    times = [HOUR + timedelta(minutes=m) for m in range(60)]
    columns = [pa.array(times, schema().field("time").type)]
    columns += [
        pa.array(["production" if f.name == "environment" else "x"] * 60).cast(f.type)
        for f in schema()
        if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)
    ]
    columns += [pa.array([1.0] * 60, f.type) for f in schema() if pa.types.is_floating(f.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema()), sink, row_group_size=10, use_dictionary=False)
    data = bytearray(sink.getvalue())
    path = f"{partition('production', HOUR)}/x.parquet"
    store.write(path, bytes(data))
    assert read(store, HOUR + timedelta(minutes=10), hours=0.5).table.num_rows == 30
    first = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(0)
    length = sum(first.column(n).total_compressed_size for n in range(first.num_columns))
    data[4 : 4 + length] = bytes(length)  # the first ten minutes cannot be read, so nothing in the file is believed
    store.write(path, bytes(data))
    assert list(read(store, HOUR + timedelta(minutes=10), hours=0.5).unreadable) == [path]


def test_an_empty_log_is_an_empty_window(store: Store) -> None:
    assert read(store).table.num_rows == 0
    assert read(store).table.schema == schema()
    assert newest_time(store, "production") is None


def test_the_newest_row_tells_of_a_clock_ahead(store: Store) -> None:
    write(store, 1)
    write(store, 1, HOUR + timedelta(days=40, minutes=5))
    assert newest_time(store, "production") == HOUR + timedelta(days=40, minutes=5)


def test_windows_need_zones_and_an_end_after_the_start() -> None:
    assert hours(HOUR, HOUR + timedelta(hours=1)) == [HOUR]
    assert hours(HOUR + timedelta(minutes=59), HOUR + timedelta(minutes=61)) == [HOUR, HOUR + timedelta(hours=1)]
    with pytest.raises(ValueError, match="not after its start"):
        hours(HOUR, HOUR)
    with pytest.raises(ValueError, match="need a time zone"):
        hours(HOUR.replace(tzinfo=None), HOUR)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Prod", "-a"])
def test_environments_are_names_for_folders(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="must be of a-z, 0-9 and -"):
        Writer(store, name)
