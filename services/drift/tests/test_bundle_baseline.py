"""Tests of a bundle's baseline: it is the one that the released `model.json` lists, and the report names the bundle."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import VERSION, World, mails

import features

OTHER = "f" * 64


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bundle(world: World, **changed: Any) -> str:
    """Write a `model.json` beside the baseline, and return what a release pins of it."""
    files = {"model.joblib": "ab" * 32, "baseline.parquet": digest(world.root / "baseline.parquet")}
    content = {
        "name": "spam-detector",
        "version": VERSION,
        "feature_schema_version": features.SCHEMA_VERSION,
        "columns": ["text", *features.NAMES],
        "threshold": 0.9,
        "metrics": {},
        "libraries": {},
        "corpus": {},
        "files": files,
    }
    path = world.root / "model.json"
    path.write_text(json.dumps(content | changed))
    return digest(path)


@pytest.mark.parametrize("named", ["", "ab" * 32], ids=["as today", "the model's file, as before"])
def test_the_baseline_of_the_released_bundle_is_the_bundles(world: World, named: str) -> None:
    world.baseline(model_sha256=named)
    pin = bundle(world)
    world.log(mails(300, seed=2), digest=pin)
    world.log(mails(300, seed=2), digest=OTHER)
    for options in (["--model-sha256", pin], []):
        line = world.run(*options).line
        assert (line["status"], line["rows"], line["set_aside"]["other_model"]) == ("no drift", 300, 300)
    assert json.loads(world.report("report.json").read_text())["baseline"]["model_sha256"] == pin


def test_a_baseline_that_was_replaced_is_refused(world: World) -> None:
    """Whoever can write to the bucket could otherwise prevent every alarm."""
    world.baseline(model_sha256="")
    pin = bundle(world)
    world.baseline(mails(3_000, spam=0.9, seed=5), model_sha256=pin)
    run = world.run("--model-sha256", pin)
    assert run.code == 1 and "lies in a bundle that is not the one released" in run.line["reason"]
    assert "baseline.parquet has SHA-256" in run.line["reason"] and "model.json says" in run.line["reason"]


def test_a_manifest_that_was_replaced_is_refused(world: World) -> None:
    world.baseline(model_sha256="")
    pin = bundle(world)
    found = bundle(world, threshold=0.999)
    run = world.run("--model-sha256", pin)
    assert run.code == 1 and f"model.json has SHA-256 {found}, the release pins {pin}" in run.line["reason"]
    bundle(world, threshold=1.0)
    run = world.run()
    assert run.code == 1 and "'threshold' must be greater than 0 and less than 1" in run.line["reason"]


def test_the_environments_threshold_counts_the_spam_of_both_samples(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.baseline()
    world.log(mails(1_000, seed=2))
    monkeypatch.setenv("SPAM_THRESHOLD", "")
    assert world.run().code == 0
    own = json.loads(world.report("report.json").read_text())
    monkeypatch.setenv("SPAM_THRESHOLD", "0.0001")
    assert world.run().code == 0
    overridden = json.loads(world.report("report.json").read_text())
    assert (own["baseline"]["threshold"], overridden["baseline"]["threshold"]) == (0.9, 0.0001)
    assert "from a probability of 0.0001 on" in world.report("report.html").read_text()
    own_share, overridden_share = (
        next(each for each in found["measures"] if each["measure"] == "predicted_spam") for found in (own, overridden)
    )
    assert own_share != overridden_share


@pytest.mark.parametrize("value", ["0", "1", "nan", "much"])
def test_a_threshold_that_is_none_is_refused(world: World, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    world.baseline()
    monkeypatch.setenv("SPAM_THRESHOLD", value)
    assert world.run().code == 2


def test_a_pin_of_before_says_what_to_run(world: World) -> None:
    world.baseline(model_sha256="")
    bundle(world)
    run = world.run("--model-sha256", "ab" * 32)
    assert run.code == 1 and "as releases once pinned model.joblib" in run.line["reason"]
    assert "run make pin-model" in run.line["reason"]


@pytest.mark.parametrize("name", ["model.json", "baseline.parquet"])
def test_a_pipe_is_refused_and_never_waited_for(world: World, name: str) -> None:
    world.baseline(model_sha256="")
    pin = bundle(world)
    (world.root / name).unlink()
    os.mkfifo(world.root / name)
    run = world.run("--model-sha256", pin)
    assert run.code == 1 and f"{name}: it is no regular file" in run.line["reason"]


def test_a_baseline_that_the_bundle_does_not_list_says_itself_whose_it_is(world: World) -> None:
    pin = bundle(world, files={"model.joblib": "ab" * 32})
    assert world.run("--model-sha256", pin).code == 1
    world.baseline(model_sha256=pin)
    world.log(mails(300, seed=2), digest=pin)
    assert world.run("--model-sha256", pin).line["status"] == "no drift"


def test_a_bundles_baseline_that_was_moved_away_says_what_is_missing(world: World) -> None:
    world.baseline(model_sha256="")
    run = world.run("--model-sha256", OTHER)
    assert run.code == 1 and "SHA-256 unknown" in run.line["reason"] and "beside its model.json" in run.line["reason"]
