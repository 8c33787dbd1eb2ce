from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from inferencelog import MEASURES, Baseline, BaselineError, StoreError, read_baseline, write_baseline

TABLE = pa.table({name: [0.1, 0.2, 0.3] for name in MEASURES})
PERIOD = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
BASELINE = Baseline(TABLE, "spam-detector", "v1", "abc", "1", 0.94, "a test", PERIOD)


@pytest.mark.parametrize("form", [str, lambda path: path.as_uri()], ids=["path", "uri"])
def test_comes_back_as_it_went(tmp_path: Path, form: type[str]) -> None:
    path = tmp_path / "baseline.parquet"
    path.write_bytes(write_baseline(BASELINE))
    found = read_baseline(form(path))
    assert (found.model_name, found.model_version, found.model_sha256) == ("spam-detector", "v1", "abc")
    assert (found.feature_schema_version, found.threshold, found.source) == ("1", 0.94, "a test")
    assert (found.period, found.rows) == (PERIOD, 3)
    # The log has the same precision; the detector would take rounding for a difference.
    assert found.table[MEASURES[0]].to_pylist() == pa.array([0.1, 0.2, 0.3], pa.float32()).to_pylist()
    assert found.table[MEASURES[-1]].to_pylist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("data", [b"", b"noise", b"PAR1PAR1"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    with pytest.raises(BaselineError, match="is no baseline.*baseline-generator"):
        read_baseline(str(path))


def test_parquet_that_names_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(TABLE, path)
    with pytest.raises(BaselineError, match="threshold"):
        read_baseline(str(path))


def test_a_missing_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        read_baseline(str(tmp_path / "none.parquet"))
