"""Tests of what a real Pushgateway holds after a run."""

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from conftest import World, log_bytes, mails
from prometheus_client.parser import text_string_to_metric_families

import features
from inferencelog import SCORE

PROGRAM = shutil.which("pushgateway") or shutil.which("prometheus-pushgateway")
START_SECONDS = 10

real = pytest.mark.skipif(PROGRAM is None, reason="needs pushgateway: install Go and run `make test` again")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PROGRAM is not None
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    log = (tmp_path_factory.mktemp("pushgateway") / "log").open("w")
    # Debian's build keeps its gauges in a file by default, which the next run would find.
    command = [PROGRAM, f"--web.listen-address={address}", "--persistence.file="]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(f"http://{address}/-/ready")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait(url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


Samples = dict[tuple[str, str | None], float]


def samples(url: str, environment: str = "production") -> Samples:
    """Return the values of the environment's group by gauge, and by feature or reason."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    found: Samples = {}
    for sample in (sample for family in families for sample in family.samples if sample.name.startswith("drift_")):
        assert sample.labels["job"] == "drift-detector"
        if sample.labels["environment"] == environment:
            found[sample.name, sample.labels.get("feature") or sample.labels.get("reason")] = sample.value
    return found


@real
def test_gauges_of_drift(world: World, gateway: str) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    world.file("stray.parquet", log_bytes(mails(5, seed=3), environment="staging"))
    world.file("broken.parquet", b"no Parquet")
    before = time.time()
    run = world.run("--pushgateway-url", gateway)
    assert run.code == 0
    found = samples(gateway)
    assert (found["drift_detected", None], found["drift_insufficient_data", None]) == (1, 0)
    assert found["drift_rows", None] == 600 and found["drift_rows_set_aside", "other_environment"] == 5
    assert found["drift_unreadable_files", None] == 1
    assert found["drift_data_age_seconds", None] == pytest.approx(run.line["data_age_seconds"], abs=0.01)
    assert before - 1 < found["drift_last_success_timestamp_seconds", None] < time.time() + 1
    for measure in (*features.NAMES, SCORE, "likely_spam", "predicted_spam"):
        assert {("drift_statistic", measure), ("drift_p_value", measure)} <= set(found)
    moved = {name for (gauge, name), value in found.items() if gauge == "drift_feature_detected" and value}
    assert moved == {each["measure"] for each in run.line["drifted"]}
    (likely,) = [each for each in run.line["drifted"] if each["measure"] == "likely_spam"]
    assert found["drift_statistic", "likely_spam"] == pytest.approx(likely["distance"], rel=1e-5)
    assert found["drift_p_value", "likely_spam"] == pytest.approx(likely["p_value"], rel=1e-5)


@real
def test_insufficient_data_takes_back_what_was_said_of_drift(world: World, gateway: str) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    world.run("--pushgateway-url", gateway)
    world.run("--pushgateway-url", gateway, "--minimum-rows", "601")
    found = samples(gateway)
    assert (found["drift_insufficient_data", None], found["drift_rows", None]) == (1, 600)
    assert "drift_last_success_timestamp_seconds" in {gauge for gauge, _ in found}
    gone = {"drift_detected", "drift_statistic", "drift_p_value", "drift_feature_detected"}
    assert not gone & {gauge for gauge, _ in found}
    assert world.run("--pushgateway-url", gateway).code == 0
    assert samples(gateway)["drift_detected", None] == 1


@real
def test_environments_do_not_touch_each_other(world: World, gateway: str) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    world.log(mails(600, seed=2), environment="staging")
    world.run("--pushgateway-url", gateway)
    world.run("--pushgateway-url", gateway, "--environment", "staging")
    assert samples(gateway)["drift_detected", None] == 1
    assert samples(gateway, "staging")["drift_detected", None] == 0


@real
def test_a_failure_pushes_nothing(world: World, gateway: str) -> None:
    world.log(mails(600, seed=2))
    world.run("--pushgateway-url", gateway)
    before = samples(gateway)
    world.baseline(feature_schema_version="0")
    assert world.run("--pushgateway-url", gateway).code == 1
    assert samples(gateway) == before


def test_a_pushgateway_that_is_away_is_a_failure_after_the_report(world: World) -> None:
    world.log(mails(600, seed=2))
    run = world.run("--pushgateway-url", "http://127.0.0.1:9")
    assert (run.code, [line["message"] for line in run.lines]) == (1, ["drift", "drift detection failed"])
    assert "http://127.0.0.1:9" in run.line["reason"] and "PUSHGATEWAY_URL" in run.line["reason"]
    assert world.report("report.html").exists()


@real
def test_a_pushgateway_that_refuses_is_a_failure(world: World, gateway: str) -> None:
    world.log(mails(600, seed=2))
    run = world.run("--pushgateway-url", f"{gateway}/elsewhere")
    assert run.code == 1 and "404" in run.line["reason"]
