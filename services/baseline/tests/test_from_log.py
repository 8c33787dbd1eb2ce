import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import END, START, THRESHOLD, log
from s3_server import s3_server

import bundle
import features
from baseline.cli import main
from inferencelog import MEASURES, SCORE, open_store, read_baseline
from inferencelog.schema import partition


@pytest.fixture
def sha256(model: Path) -> str:
    return bundle.read_manifest(model).sha256


def run(uri: str, model: Path | str, out: Path | str, *more: str) -> int:
    period = ["--start", START.isoformat(), "--end", END.isoformat()]
    names = ["--inference-log", uri, "--environment", "production", "--bundle", str(model), "--out", str(out)]
    return main(["log", *names, *period, "--least-rows", "30", *more])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return str(json.loads(capsys.readouterr().err.splitlines()[-1])["message"])


def test_holds_the_rows_of_the_period_and_whose_they_are(model: Path, sha256: str, tmp_path: Path) -> None:
    uri = log(tmp_path / "log", ("1", sha256))
    log(tmp_path / "log", ("1", sha256), at=END)
    assert run(uri, model, tmp_path / "baseline.parquet") == 0
    found = read_baseline(str(tmp_path / "baseline.parquet"))
    assert (found.rows, found.period) == (30, (START, END))
    assert (found.model_version, found.model_sha256, found.threshold) == ("1", sha256, THRESHOLD)
    assert (found.feature_schema_version, found.source) == (features.SCHEMA_VERSION, "inference log of production")
    assert found.table[SCORE].to_pylist() == [i / 30 for i in range(30)]
    assert found.table.column_names == [*MEASURES]


def test_reads_and_writes_s3(model: Path, sha256: str, tmp_path: Path, s3: str) -> None:
    log(tmp_path / "log", ("1", sha256))
    store = open_store(f"{s3}/log")
    (path,) = open_store(str(tmp_path / "log")).files(partition("production", START))
    store.write(path, (tmp_path / "log" / path).read_bytes())
    open_store(f"{s3}/model").write("model.json", (model / "model.json").read_bytes())
    assert run(f"{s3}/log", f"{s3}/model", f"{s3}/baselines/1.parquet") == 0
    assert read_baseline(f"{s3}/baselines/1.parquet").rows == 30


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[str]:
    before = dict(os.environ)
    with s3_server(tmp_path / "s3") as server:
        os.environ.update(server.variables)
        yield server.uri
    os.environ.clear()
    os.environ.update(before)


def test_a_mixture_of_models_is_refused(
    model: Path, sha256: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = log(tmp_path / "log", ("1", sha256), ("2", "def"))
    assert run(uri, model, tmp_path / "x.parquet") == 1
    message = said(capsys)
    assert "mixes 2 models" in message and "30 of 2 (SHA-256 def)" in message
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("rows", [("2", "def"), ("2", ""), ("1", "def")])
def test_rows_of_another_model_are_refused(
    model: Path, rows: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(log(tmp_path / "log", rows), model, tmp_path / "x.parquet") == 1
    assert "name the bundle that served them" in said(capsys)


def test_a_predictor_that_tells_no_digest_is_known_by_its_version(model: Path, tmp_path: Path) -> None:
    assert run(log(tmp_path / "log", ("1", "")), model, tmp_path / "x.parquet") == 0
    assert read_baseline(str(tmp_path / "x.parquet")).model_sha256 == ""


def test_too_few_rows_are_refused(model: Path, sha256: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log(tmp_path / "log", ("1", sha256), n=29), model, tmp_path / "x.parquet") == 1
    assert "has 29 rows" in said(capsys)


def test_an_empty_log_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "log"), model, tmp_path / "x.parquet") == 1
    assert "production has 0 rows in the log" in said(capsys)


def test_files_that_cannot_be_read_are_named(
    model: Path, sha256: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = log(tmp_path / "log", ("1", sha256))
    open_store(uri).write(f"{partition('production', START)}/broken.parquet", b"noise")
    assert run(uri, model, tmp_path / "x.parquet") == 1
    assert "1 files of the period cannot be read" in (message := said(capsys)) and "broken.parquet" in message


def test_rows_that_lack_values_are_refused(
    model: Path, sha256: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [float("nan"), *[0.0] * (len(features.NAMES) - 1)]
    assert run(log(tmp_path / "log", ("1", sha256), values=values), model, tmp_path / "x.parquet") == 1
    assert f"lack values of {features.NAMES[0]};" in said(capsys)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--end", START.isoformat()], "not after its start"),
        (["--start", "yesterday"], "'yesterday' is no time"),
        (["--start", "2026-03-01T13:00:00"], "has no time zone"),
    ],
)
def test_periods_are_checked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    try:
        code = run(str(tmp_path), model, tmp_path / "x.parquet", *more)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code in (1, 2)
    assert reason in capsys.readouterr().err


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["log", "--start", START.isoformat(), "--end", END.isoformat()])
    assert "--inference-log, --environment, --bundle, --out" in capsys.readouterr().err


def test_files_of_others_are_refused_by_name(
    model: Path, sha256: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = log(tmp_path / "log", ("1", sha256))
    path = tmp_path / "log" / partition("production", START) / "x\n\x1b[31m.parquet"
    path.write_bytes(b"noise")
    assert run(uri, model, tmp_path / "x.parquet") == 1
    message = said(capsys)
    assert "x ?[31m.parquet: is no whole Parquet file" in message and message.isprintable()


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not pinned"])
@pytest.mark.parametrize("threshold", [1.0, 0.99])
def test_another_threshold_than_the_mail_was_judged_by_is_refused(
    model: Path, sha256: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], threshold: float, pinned: bool
) -> None:
    """Whoever can write to the bucket could otherwise make a baseline in which no mail is spam."""
    other = tmp_path / "other"
    other.mkdir()
    content = json.loads((model / "model.json").read_text()) | {"threshold": threshold}
    (other / "model.json").write_text(json.dumps(content))
    options = ["--model-sha256", sha256] if pinned else []
    assert run(log(tmp_path / "log", ("1", sha256)), other, tmp_path / "x.parquet", *options) == 1
    why = said(capsys)
    if pinned:
        assert f"the release pins {sha256}" in why
    else:
        assert "'threshold' must be" in why or "name the bundle that served them" in why
    assert not (tmp_path / "x.parquet").exists()


def test_rows_that_name_the_models_file_alone_are_of_before(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = bundle.read_manifest(model).files["model.joblib"]
    assert run(log(tmp_path / "log", ("1", old)), model, tmp_path / "x.parquet") == 1
    assert "they name model.joblib alone, as older predictors did: name a period after the upgrade" in said(capsys)
