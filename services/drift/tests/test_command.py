"""Tests of the command on real logs: every outcome, with its exit code and its line."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DIGEST, HOUR, START, VERSION, World, log_bytes, mails

import features
from inferencelog import SCORE

OTHER = "b" * 64
REASONS = ("other_model", "other_schema", "other_environment", "other_hour", "not_finite", "out_of_range")


def test_no_drift(world: World) -> None:
    world.log(mails(600, seed=2))
    run = world.run()
    assert (run.code, len(run.lines)) == (0, 1)
    line = run.line
    assert (line["message"], line["level"], line["status"]) == ("drift", "INFO", "no drift")
    assert (line["rows"], line["drifted"], line["tested"], line["files"]) == (600, [], 41, 1)
    assert line["window"] == {"start": START.isoformat(), "end": (START + HOUR).isoformat()}
    assert line["set_aside"] == dict.fromkeys(REASONS, 0)
    assert line["report"] == f"{world.root.as_uri()}/log/_drift/{world.partition}/report.html"
    assert line["clock_skew_seconds"] == 0


def test_drift_is_a_success_and_names_what_moved(world: World) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    run = world.run()
    assert (run.code, run.line["status"]) == (0, "drift")
    assert {"likely_spam", "predicted_spam", SCORE} <= {each["measure"] for each in run.line["drifted"]}
    assert all(each["p_value"] < 0.001 for each in run.line["drifted"])


def test_too_few_rows_are_neither(world: World) -> None:
    world.log(mails(199, spam=1, seed=2))
    run = world.run()
    assert (run.code, run.line["status"], run.line["rows"], run.line["tested"]) == (0, "insufficient data", 199, 0)
    assert world.run("--minimum-rows", "199").line["status"] == "drift"


def test_an_empty_log_is_insufficient_data(world: World) -> None:
    run = world.run()
    assert (run.code, run.line["status"], run.line["rows"]) == (0, "insufficient data", 0)
    assert run.line["data_age_seconds"] is None


def test_only_the_window_counts(world: World) -> None:
    world.log(mails(300, seed=2))
    for time in (START - timedelta(seconds=1), START + HOUR):
        world.log(mails(300, spam=1, seed=3), time=time)
    assert (world.run().line["rows"], world.run().line["status"]) == (300, "no drift")
    wider = world.run("--start", (START - HOUR).isoformat(), "--end", (START + 2 * HOUR).isoformat())
    assert (wider.line["rows"], wider.line["status"]) == (900, "drift")


def test_rows_of_another_model_are_set_aside_and_counted(world: World) -> None:
    world.log(mails(300, seed=2))
    world.log(mails(400, spam=1, seed=3), version="b-version", digest=OTHER)
    world.log(mails(50, spam=1, seed=3), digest=OTHER)
    line = world.run().line
    assert (line["status"], line["rows"], line["set_aside"]["other_model"]) == ("no drift", 300, 450)
    assert line["other_models"] == {"b-version": 400, f"{VERSION} (SHA-256 {OTHER[:12]}…)": 50}


def test_a_model_is_known_by_its_version_where_a_digest_is_missing(world: World) -> None:
    world.baseline(model_sha256="")
    world.log(mails(300, seed=2), digest=OTHER)
    world.log(mails(300, seed=3), digest="")
    world.log(mails(300, seed=3), version="b-version")
    assert (world.run().line["rows"], world.run().line["other_models"]) == (600, {"b-version": 300})


def test_only_rows_of_another_model_need_a_new_baseline(world: World) -> None:
    world.log(mails(300, seed=2), version="b-version", digest=OTHER)
    run = world.run()
    assert (run.code, run.line["message"], run.line["level"]) == (1, "drift detection failed", "ERROR")
    assert "b-version" in run.line["reason"] and VERSION in run.line["reason"]
    assert "make a new baseline with baseline-generator" in run.line["reason"]
    assert not world.report("report.json").exists()


def test_rows_of_another_feature_schema(world: World) -> None:
    world.file("old.parquet", log_bytes(mails(300, seed=2), feature_schema_version="0"))
    run = world.run()
    assert run.code == 1 and "feature schema 0 only" in run.line["reason"]
    world.log(mails(300, seed=3))
    line = world.run().line
    assert (line["rows"], line["set_aside"]["other_schema"], line["other_schemas"]) == (300, 300, {"0": 300})


def test_a_baseline_of_another_model_is_refused(world: World) -> None:
    world.log(mails(300, seed=2))
    run = world.run("--model-sha256", OTHER)
    assert run.code == 1 and OTHER in run.line["reason"] and DIGEST in run.line["reason"]
    assert "baseline-generator" in run.line["reason"]
    assert world.run("--model-sha256", DIGEST).code == 0


def test_a_baseline_of_another_feature_schema_is_refused(world: World) -> None:
    world.baseline(feature_schema_version="0")
    run = world.run()
    assert run.code == 1 and "features of schema 0" in run.line["reason"]
    assert f"knows schema {features.SCHEMA_VERSION}" in run.line["reason"]


def test_a_baseline_with_other_columns_is_refused(world: World) -> None:
    path = world.root / "baseline.parquet"
    table = pq.read_table(path)
    renamed = table.rename_columns({"links": "lynx"}).replace_schema_metadata(table.schema.metadata)
    pq.write_table(renamed, path)
    run = world.run()
    assert run.code == 1 and "lynx" in run.line["reason"] and "links" in run.line["reason"]


@pytest.mark.parametrize(("data", "said"), [(b"no Parquet", "is no baseline"), (None, "cannot read")])
def test_an_unreadable_baseline(world: World, data: bytes | None, said: str) -> None:
    path = world.root / "baseline.parquet"
    path.unlink() if data is None else path.write_bytes(data)
    run = world.run()
    assert run.code == 1 and said in run.line["reason"] and "baseline.parquet" in run.line["reason"]


def test_a_baseline_of_too_few_rows_is_refused(world: World) -> None:
    world.baseline(mails(150, seed=1))
    run = world.run()
    assert run.code == 1 and "has 150 rows" in run.line["reason"]


def test_a_corrupt_file_is_set_aside_and_named(world: World) -> None:
    world.log(mails(300, seed=2))
    world.file("broken.parquet", log_bytes(mails(300, spam=1, seed=3))[:-100])
    run = world.run()
    assert (run.code, run.line["rows"], run.line["status"]) == (0, 300, "no drift")
    (path,) = run.line["unreadable_files"]
    assert path == f"{world.partition}/broken.parquet"


def test_nothing_but_corrupt_files_is_a_failure(world: World) -> None:
    world.file("broken.parquet", b"PAR1 and nothing else")
    run = world.run()
    assert run.code == 1 and "none of the 1 files" in run.line["reason"] and "broken.parquet" in run.line["reason"]


def test_rows_of_another_environment_are_set_aside(world: World) -> None:
    world.log(mails(300, seed=2))
    world.file("stray.parquet", log_bytes(mails(400, spam=1, seed=3), environment="staging"))
    line = world.run().line
    assert (line["rows"], line["set_aside"]["other_environment"], line["status"]) == (300, 400, "no drift")


def test_values_that_are_no_numbers_are_set_aside(world: World) -> None:
    odd = mails(40, seed=3)
    odd["links"][:10], odd["words"][5:15], odd[SCORE][20] = np.nan, np.inf, -np.inf
    world.log(mails(300, seed=2))
    world.log(odd)
    line = world.run().line
    assert (line["status"], line["rows"], line["set_aside"]["not_finite"]) == ("no drift", 324, 16)
    assert line["not_finite_columns"] == {"words": 10, "links": 10, SCORE: 1}


def test_missing_values_are_set_aside(world: World) -> None:
    gaps = {name: [None, *values[1:].tolist()] for name, values in mails(250, seed=2).items()}
    world.file("gaps.parquet", log_bytes(gaps))  # type: ignore[arg-type]
    assert (world.run().line["rows"], world.run().line["set_aside"]["not_finite"]) == (249, 1)


def test_a_column_without_numbers_is_a_failure_and_no_quiet_hour(world: World) -> None:
    columns = mails(300, seed=2)
    columns["links"][:] = np.nan
    world.log(columns)
    run = world.run()
    assert run.code == 1 and "300 of 300 rows" in run.line["reason"] and "links (300)" in run.line["reason"]


def test_a_value_rounded_in_the_log_only_is_no_drift(world: World) -> None:
    columns = {name: values.astype(np.float64) for name, values in mails(3_000, seed=1).items()}
    columns["html_share"][:] = 0.1
    world.baseline(columns)
    path = world.root / "baseline.parquet"
    # Write values as a program without rounding would.
    pq.write_table(pa.table(columns).replace_schema_metadata(pq.read_schema(path).metadata), path)
    world.log({name: values[:1_000] for name, values in columns.items()})
    assert world.run().line["status"] == "no drift"


def test_rows_from_the_future_are_clock_skew(world: World) -> None:
    world.log(mails(300, seed=2))
    world.log(mails(1, seed=3), time=datetime.now(UTC) + timedelta(minutes=10))
    run = world.run()
    warning, line = run.lines
    assert (run.code, warning["level"]) == (0, "WARNING") and "clock skew" in warning["message"]
    assert 590 < line["clock_skew_seconds"] == warning["clock_skew_seconds"] <= 600
    assert "Clock skew" in world.report("report.html").read_text()


def test_seconds_in_the_future_are_none(world: World) -> None:
    world.log(mails(300, seed=2), time=datetime.now(UTC) + timedelta(seconds=30))
    run = world.run("--last", "60m")
    assert (len(run.lines), run.line["clock_skew_seconds"]) == (1, 0)


def test_a_store_that_cannot_be_reached(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    run = world.run("--inference-log-uri", "s3://bucket/log")
    assert run.code == 1 and "s3://bucket/log" in run.line["reason"]


def test_a_report_that_cannot_be_written(world: World) -> None:
    world.log(mails(300, seed=2))
    (world.root / "file").write_text("in the way")
    run = world.run("--report-uri", str(world.root / "file"))
    assert run.code == 1 and "cannot write" in run.line["reason"]


def test_reports_of_other_windows_lie_beside_the_hours(world: World) -> None:
    world.log(mails(300, seed=2))
    end = START + timedelta(minutes=45)
    line = world.run("--start", START.isoformat(), "--end", end.isoformat()).line
    assert line["report"].endswith(f"/hour={START:%H}-{START:%H%M%S}-{end:%H%M%S}/report.html")
    line = world.run("--start", START.isoformat(), "--end", (END := START + 30 * HOUR).isoformat()).line
    assert line["report"].endswith(f"/hour={START:%H}-{START:%H%M%S}-{END:%Y%m%dT%H%M%S}/report.html")


def test_reports_may_go_elsewhere(world: World) -> None:
    world.log(mails(300, seed=2))
    world.run("--report-uri", (world.root / "elsewhere").as_uri())
    assert (world.root / "elsewhere" / world.partition / "report.html").exists()
    assert not (world.root / "log/_drift").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ENVIRONMENT": None}, "ENVIRONMENT: field required"),
        ({"BASELINE_URI": None}, "BASELINE_URI: field required"),
        ({"ENVIRONMENT": "../x"}, "ENVIRONMENT: environment '../x' must be"),
        ({"WINDOW": "soon"}, "WINDOW: 'soon' is no window; expected"),
        ({"WINDOW": "2026-01-01T00:00/2026-01-01T01:00Z"}, "WINDOW: '2026-01-01T00:00' has no time zone"),
        ({"WINDOW": "2026-01-02T00:00Z/2026-01-01T00:00Z"}, "WINDOW: the window ends at"),
        ({"MINIMUM_ROWS": "0"}, "MINIMUM_ROWS: ensure this value is greater than or equal to 1"),
        ({"FALSE_ALARM_RATE": "1"}, "FALSE_ALARM_RATE: ensure this value is less than 1"),
        ({"MINIMUM_CHANGE": "2"}, "MINIMUM_CHANGE: ensure this value is less than or equal to 1"),
        ({"MODEL_SHA256": "abc"}, "MODEL_SHA256: string does not match"),
        ({"PUSHGATEWAY_URL": "pushgateway"}, "PUSHGATEWAY_URL: invalid or missing URL scheme"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], said: str
) -> None:
    for name, value in changed.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    run = world.run()
    assert (run.code, len(run.lines), run.line["message"]) == (2, 1, "settings refused")
    assert said in run.line["reason"]


def test_optional_settings_may_be_empty(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUSHGATEWAY_URL", "MODEL_SHA256", "REPORT_URI", "WINDOW"):
        monkeypatch.setenv(name, "")
    assert world.run().code == 0


@pytest.mark.parametrize("options", [["--start", "x"], ["--last", "60m", "--window", "6h"], ["--odd"]])
def test_options_that_do_not_fit_together(options: list[str], world: World) -> None:
    with pytest.raises(SystemExit) as ended:
        world.run(*options)
    assert ended.value.code == 2


def test_the_installed_command_says_one_json_line_and_nothing_else(world: World) -> None:
    world.log(mails(300, seed=2))
    command = Path(sys.executable).with_name("drift-detector")
    done = subprocess.run([command], env={**os.environ, **world.environ()}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["status"] == "no drift"


def test_help_lists_every_setting() -> None:
    command = Path(sys.executable).with_name("drift-detector")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=60, check=True)
    for option in ("--environment", "--baseline-uri", "--last", "--start", "--false-alarm-rate", "--pushgateway-url"):
        assert option in done.stdout


def test_values_that_no_mail_has_are_set_aside(world: World) -> None:
    odd = mails(40, seed=3)
    odd["links"][0], odd["html_share"][1], odd[SCORE][2], odd[SCORE][3] = -1, 1.5, 7.0, -0.1
    odd["words"][0] = np.nan
    world.log(mails(300, seed=2))
    world.file("odd.parquet", log_bytes(odd))
    line = world.run().line
    assert (line["rows"], line["set_aside"]["out_of_range"], line["set_aside"]["not_finite"]) == (336, 3, 1)
    assert line["not_finite_columns"] == {"words": 1, "html_share": 1, "links": 1, SCORE: 2}
    assert "3 rows with a value that no mail has" in world.report("report.html").read_text()


def test_only_values_that_no_mail_has_are_a_failure(world: World) -> None:
    columns = mails(300, seed=2)
    columns[SCORE][:] = 2
    world.file("odd.parquet", log_bytes(columns))
    run = world.run()
    assert run.code == 1 and "out of their range, in spam_probability (300)" in run.line["reason"]


def test_rows_of_another_hour_are_set_aside(world: World) -> None:
    world.log(mails(300, seed=2))
    world.file("odd.parquet", log_bytes(mails(50, seed=3), time=START - timedelta(days=400)))
    line = world.run().line
    assert (line["rows"], line["set_aside"]["other_hour"]) == (300, 50)
    assert "50 rows without a time, or of another hour" in world.report("report.html").read_text()


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.string(), pa.int64()], ids=str)
def test_a_file_whose_time_is_of_another_kind_is_left_out(world: World, kind: pa.DataType) -> None:
    world.log(mails(300, seed=2))
    table = pq.read_table(pa.BufferReader(log_bytes(mails(300, spam=1, seed=3))))
    place = table.column_names.index("time")
    column = table["time"].cast(pa.timestamp("us")).cast(kind)
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(place, "time", column), sink)
    world.file("foreign.parquet", bytes(sink.getvalue()))
    run = world.run()
    assert (run.code, run.line["status"], run.line["rows"], run.line["unreadable"]) == (0, "no drift", 300, 1)
    assert "expected timestamp with a time zone" in run.line["unreadable_files"][f"{world.partition}/foreign.parquet"]


def test_more_rows_than_allowed_are_an_error_that_says_what_to_do(world: World) -> None:
    world.log(mails(300, seed=2))
    run = world.run("--maximum-rows", "299")
    assert run.code == 1 and "holds more than 299 rows of production" in run.line["reason"]
    assert "MAXIMUM_ROWS" in run.line["reason"]
    assert world.run("--maximum-rows", "300").code == 0


def test_many_files_and_models_are_counted_and_some_of_them_named(world: World) -> None:
    world.log(mails(300, seed=2))
    for number in range(30):
        world.file(f"{number:02}\n\x1b[31m.parquet", b"noise")
    names = [f"v{number:03}\x1b[31m\nSigned-off-by: Eve" for number in range(100)]
    columns = mails(100, seed=3)
    for number in range(100):
        one = {name: values[number : number + 1] for name, values in columns.items()}
        world.file(f"model{number}.parquet", log_bytes(one, model_version=names[number], model_sha256=OTHER))
    line = world.run().line
    assert (line["rows"], line["unreadable"], len(line["unreadable_files"])) == (300, 30, 20)
    assert (len(line["other_models"]), line["other_models"]["others"]) == (21, 80)
    assert line["set_aside"]["other_model"] == 100
    assert all(name.isprintable() for name in [*line["other_models"], *line["unreadable_files"]])
    page = world.report("report.html").read_text()
    assert "10 more files that cannot be read" in page and "80 rows of model others" in page
    assert "\x1b" not in page
