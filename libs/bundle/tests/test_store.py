"""Tests of the store: a bundle is loaded only if every check holds, and each refusal says what to do."""

import hashlib
import json
import pickle
import resource
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COLUMNS, frame, mails, save
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

import bundle


class Explosive:
    """Object that fails the test when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("was unpickled",))


def change(folder: Path, **fields: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def digest(folder: Path, name: str = "model.json") -> str:
    """Return what a release pins of a bundle, or the SHA-256 of another file of it."""
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def files(folder: Path) -> dict[str, str]:
    """Return what `model.json` must say about the files in the folder."""
    return {path.name: digest(folder, path.name) for path in folder.iterdir() if path.name != "model.json"}


def test_round_trip(folder: Path, pipeline: Pipeline) -> None:
    loaded = bundle.load(folder, digest(folder).upper() + "\n")
    texts, values, _ = mails(20)
    assert loaded.columns == COLUMNS
    assert loaded.sha256 == digest(folder) == loaded.manifest.sha256
    assert (loaded.manifest.version, loaded.manifest.threshold) == ("v1", 0.9)
    expected = pipeline.predict_proba(frame(texts, values))[:, 1]
    assert loaded.score(texts, values) == pytest.approx(expected, abs=1e-12)


def test_a_mail_has_one_answer_alone_and_in_a_batch(folder: Path) -> None:
    loaded = bundle.load(folder)
    texts, values, _ = mails()
    alone = [loaded.score([text], row[None])[0] for text, row in zip(texts, values, strict=True)]
    assert loaded.score(texts, values) == pytest.approx(np.array(alone), abs=1e-12)


def test_single_precision_numbers_and_no_mails(folder: Path) -> None:
    loaded = bundle.load(folder)
    texts, values, _ = mails(3)
    assert loaded.score(texts, values.astype(np.float32)) == pytest.approx(loaded.score(texts, values), abs=1e-6)
    assert loaded.score([], np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (1, 4), (3,)])
def test_other_shapes_are_refused(folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        bundle.load(folder).score(["w1"], np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5])
def test_impossible_numbers_are_refused_by_name(folder: Path, value: float) -> None:
    values = np.ones((2, 3))
    values[1, 1] = value
    with pytest.raises(ValueError, match=r"capitals_share of mail 1 is"):
        bundle.load(folder).score(["", ""], values)


def test_scoring_from_threads_gives_the_same(folder: Path) -> None:
    loaded = bundle.load(folder)
    texts, values, _ = mails()
    expected = loaded.score(texts, values)
    found: list[bool] = []

    def compare() -> None:
        found.extend(bool((loaded.score(texts, values) == expected).all()) for _ in range(5))

    work = [threading.Thread(target=compare) for _ in range(3)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert found == [True] * 15


def test_missing_folder_says_what_kserve_does_not_do(tmp_path: Path) -> None:
    with pytest.raises(
        bundle.BundleError, match=r"nowhere does not exist; KServe's storage initializer .*control-plane"
    ):
        bundle.load(tmp_path / "nowhere")


def test_no_model_file(folder: Path) -> None:
    (folder / "model.joblib").unlink()
    with pytest.raises(bundle.BundleError, match=r"exactly one model file .* has none"):
        bundle.load(folder)


@pytest.mark.parametrize("name", ["model.pkl", "other.joblib", "model.pickle"])
def test_two_model_files_are_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(bundle.BundleError, match=rf"exactly one.*{name}"):
        bundle.load(folder)


def test_digest_of_the_release_is_checked_before_unpickling(folder: Path) -> None:
    pinned = digest(folder)
    (folder / "model.joblib").write_bytes(pickle.dumps(Explosive()))
    change(folder, files=files(folder))
    with pytest.raises(bundle.BundleError, match=f"the release pins {pinned}; it was not unpickled"):
        bundle.load(folder, pinned)


def test_digest_of_the_manifest_is_checked_before_unpickling(folder: Path) -> None:
    (folder / "model.joblib").write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(bundle.BundleError, match=r"model\.json says .*copy the bundle again"):
        bundle.load(folder)


@pytest.mark.parametrize("library", ["scikit-learn", "numpy", "scipy", "joblib"])
def test_other_library_versions_are_named_before_unpickling(folder: Path, library: str) -> None:
    (folder / "model.joblib").write_bytes(pickle.dumps(Explosive()))
    change(folder, files=files(folder), libraries={**bundle.libraries(), library: "0.18.2"})
    here = bundle.libraries()[library]
    with pytest.raises(bundle.BundleError, match=rf"{library} 0\.18\.2, here is {library} {here}; install"):
        bundle.load(folder)


def test_other_patch_version_is_accepted(folder: Path) -> None:
    major, minor, _ = bundle.libraries()["numpy"].split(".")
    change(folder, libraries={**bundle.libraries(), "numpy": f"{major}.{minor}.99"})
    assert bundle.load(folder).columns == COLUMNS


def test_library_missing_from_the_manifest(folder: Path) -> None:
    change(folder, libraries={})
    with pytest.raises(bundle.BundleError, match="scikit-learn an unknown version"):
        bundle.load(folder)


def test_columns_of_model_and_manifest_must_agree(folder: Path) -> None:
    change(folder, columns=["text", "links", "capitals_share", "tags"])
    with pytest.raises(bundle.BundleError, match=r"differ in \['always_one', 'tags'\]"):
        bundle.load(folder)


def test_model_must_be_a_pipeline(tmp_path: Path) -> None:
    save(tmp_path / "v1", LogisticRegression())
    with pytest.raises(bundle.BundleError, match="is a LogisticRegression, not a scikit-learn Pipeline"):
        bundle.load(tmp_path / "v1")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "../x", "'name' must be 1 to 63 of A-Z a-z 0-9"),
        ("version", "", "'version' must be 1 to 63"),
        ("columns", ("text", "links", "links"), "'columns' must name each column once"),
        ("threshold", 0, "'threshold' must be greater than 0 and less than 1, is 0"),
        ("threshold", 1.0, "'threshold' must be greater than 0 and less than 1, is 1.0"),
        ("threshold", np.nan, "is not a finite number"),
        ("metrics", {"one_minus_auc": np.inf}, "is not a finite number"),
        ("files", {"a/b": b""}, "'files' must have names like"),
        ("files", {"model.pkl": b""}, "exactly one model file"),
    ],
)
def test_what_no_reader_would_take_is_not_written(
    tmp_path: Path, pipeline: Pipeline, field: str, value: Any, message: str
) -> None:
    with pytest.raises(bundle.BundleError, match=message):
        save(tmp_path / "v1", pipeline, **{field: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "message"), [("{", "is no JSON"), ("[]", "holds no JSON object")])
def test_manifest_that_is_none(folder: Path, content: str, message: str) -> None:
    (folder / "model.json").write_text(content)
    with pytest.raises(bundle.BundleError, match=message):
        bundle.load(folder)


def test_missing_manifest(folder: Path) -> None:
    (folder / "model.json").unlink()
    with pytest.raises(bundle.BundleError, match="trainer train"):
        bundle.load(folder)


def test_written_bundle_is_whole_and_readable_by_others(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["model-card.md", "model.joblib", "model.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]
    assert folder.stat().st_mode & 0o055 == 0o055
    manifest = bundle.read_manifest(folder)
    for name, expected in manifest.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected


def test_existing_version_is_kept_unless_replaced(folder: Path, pipeline: Pipeline) -> None:
    with pytest.raises(bundle.BundleError, match="exists already"):
        save(folder, pipeline, threshold=0.5)
    assert bundle.read_manifest(folder).threshold == 0.9
    save(folder, pipeline, threshold=0.5, replace=True)
    assert bundle.read_manifest(folder).threshold == 0.5
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]


def test_failed_write_leaves_nothing(tmp_path: Path, pipeline: Pipeline) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Limit the size of files, which fails like a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(tmp_path / "root" / "v1", pipeline)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "root").iterdir()) == []


def test_same_pipeline_gives_the_same_bytes(pipeline: Pipeline) -> None:
    assert bundle.dump(pipeline) == bundle.dump(pipeline)


def test_quantiles_come_back_as_they_were_measured(tmp_path: Path, pipeline: Pipeline) -> None:
    _, values, spam = mails()
    measured = bundle.quantiles.measure(values, spam, COLUMNS[1:])
    save(tmp_path / "v1", pipeline, feature_quantiles=measured)
    assert bundle.load(tmp_path / "v1").manifest.feature_quantiles == measured
    assert measured["all"]["always_one"] == [1.0] * 5
    assert measured["ham"]["links"][2] < measured["spam"]["links"][2]
    ham = sorted(values[spam == 0, 0])
    assert measured["ham"]["links"][2] == ham[len(ham) // 2 - 1], "the lower of the two in the middle"


def test_a_bundle_of_before_has_no_quantiles(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    del content["feature_quantiles"]
    (folder / "model.json").write_text(json.dumps(content))
    assert bundle.load(folder).manifest.feature_quantiles is None


def test_verify_checks_all_files_and_unpickles_nothing(folder: Path) -> None:
    (folder / "baseline.parquet").write_bytes(b"rows")
    (folder / "model.joblib").write_bytes(pickle.dumps(Explosive()))
    change(folder, files=files(folder))
    assert bundle.verify(folder, digest(folder)).version == "v1"
    with pytest.raises(bundle.BundleError, match="the release pins 111"):
        bundle.verify(folder, "1" * 64)
    (folder / "baseline.parquet").write_bytes(b"other")
    for check in (bundle.verify, bundle.load):
        with pytest.raises(bundle.BundleError, match=r"baseline.parquet has SHA-256 .*, model.json says"):
            check(folder, digest(folder))
