"""Tests of pins: what is written into a release file, and what is not."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Command, digest, pinned, release, sha256, write, write_bundle
from s3_server import s3_server

from release.chart import environments, parse, render
from release.errors import ReleaseError
from release.git import Git
from release.releasefile import IMAGES, MODEL_SHA256, MODEL_URI, ReleaseFile

STAGING = Path("environments/staging/release.yaml")
PIN_IMAGES = ("pin-images", "--environment", "staging")
LOOKING = ("pin-model", "--environment", "staging")
PIN_MODEL = (*LOOKING, "--offline")
URI = "s3://models/spam-detector/2"


def test_a_digest_is_all_that_changes(repository: Git, run: Command) -> None:
    said = run(*PIN_IMAGES, f"gateway={digest('new')}", f"baseline={digest('other')}")
    assert STAGING.read_text() == release(gateway=digest("new"), baseline=digest("other"))
    assert f"gateway.image.digest: {digest('gateway')} -> {digest('new')}" in said
    assert repository.changes() == [str(STAGING)]


def test_quotes_are_part_of_what_is_replaced(repository: Git, run: Command) -> None:
    run(*PIN_IMAGES, f"transformer={digest('new')}")
    assert f"transformer: {{image: {{digest: {digest('new')}}}}}\n" in STAGING.read_text()


@pytest.mark.parametrize("empty", ["", ' ""', " ~", "   # none yet"])
def test_an_empty_place_is_filled(empty: str) -> None:
    text = f"gateway:\n  image:\n    digest:{empty}\n  other: 1\n"
    file = ReleaseFile(text, "release.yaml").replaced({IMAGES["gateway"]: digest("new")})
    assert yaml.safe_load(file.text) == {"gateway": {"image": {"digest": digest("new")}, "other": 1}}
    assert file.text.count("#") == empty.count("#")


def test_a_digest_of_digits_stays_text() -> None:
    # Helm would read it as 1.2e+61 without quotes.
    number = "1" * 20 + "e" + "2" * 43
    file = ReleaseFile(release(), "release.yaml").replaced({MODEL_SHA256: number})
    assert f'sha256: "{number}"' in file.text


def test_the_builds_metadata_is_read(repository: Git, run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write(folder, {"gateway.json": json.dumps({"containerimage.digest": digest("1"), "other": 1})})
    write(folder, {"drift.json": json.dumps({"containerimage.digest": digest("2")})})
    run(*PIN_IMAGES, "--from", folder)
    assert STAGING.read_text() == release(gateway=digest("1"), drift=digest("2"))


@pytest.mark.parametrize("text", ["gateway {0}\n\ndrift  {1}\n", '{{"gateway": "{0}", "drift": "{1}"}}'])
def test_a_file_of_digests_is_read(repository: Git, run: Command, tmp_path: Path, text: str) -> None:
    write(tmp_path, {"digests": text.format(digest("1"), digest("2"))})
    run(*PIN_IMAGES, "--from", tmp_path / "digests")
    assert STAGING.read_text() == release(gateway=digest("1"), drift=digest("2"))


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([], "no image is named"),
        (["gateway"], "must be service=sha256"),
        ([f"gatway={digest('1')}"], "'gatway' has no image; the services are gateway, transformer"),
        (["gateway=latest"], "'latest' is no digest"),
        ([f"gateway={digest('1')[:-1]}"], "is no digest"),
        ([f"gateway={digest('1').upper()}"], "is no digest"),
        ([f"gateway=sha256:{'0' * 64}"], "is no digest of an image"),
        ([f"gateway={digest('1')}", f"gateway={digest('2')}"], "given twice"),
        ([f"gateway={digest('1')}", f"drift={digest('1')}"], "drift and gateway are given the same image"),
    ],
)
def test_bad_images_are_refused(repository: Git, run: Command, images: list[str], why: str) -> None:
    assert why in run.refusal(*PIN_IMAGES, *images)
    assert repository.changes() == []


@pytest.mark.parametrize("content", ["gateway", "{", '{"gateway": null}'])
def test_a_bad_file_of_digests_is_refused(repository: Git, run: Command, tmp_path: Path, content: str) -> None:
    write(tmp_path, {"digests": content})
    run.refusal(*PIN_IMAGES, "--from", tmp_path / "digests")
    assert "make image PUSH=1" in run.refusal(*PIN_IMAGES, "--from", tmp_path / "none")
    assert repository.changes() == []


def test_an_unknown_environment_is_refused(repository: Git, run: Command) -> None:
    why = run.refusal("pin-images", "--environment", "stagin", f"gateway={digest('1')}")
    assert "no environment 'stagin'; known: production, staging" in why


def test_a_place_that_the_file_lacks_is_named(repository: Git, run: Command) -> None:
    STAGING.write_text("gateway: {}\n")
    assert 'has no gateway.image.digest; write it there once, with ""' in run.refusal(
        *PIN_IMAGES, f"gateway={digest('1')}"
    )
    STAGING.write_text("gateway: [\n")
    assert "is no YAML" in run.refusal(*PIN_IMAGES, f"gateway={digest('1')}")


def test_a_model_is_pinned(repository: Git, run: Command, bundle: Path) -> None:
    run(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    assert STAGING.read_text() == release("2")


def test_a_model_elsewhere_is_pinned_by_its_manifest(repository: Git, run: Command, bundle: Path) -> None:
    (bundle / "model.joblib").unlink()
    run(*PIN_MODEL, "--manifest", bundle / "model.json", "--uri", URI)
    assert STAGING.read_text() == release("2")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        (
            "s3://models/spam-detector/1",
            "ends with '1', the bundle is version '2'; upload it to s3://models/spam-detec",
        ),
        ("s3://models/spam-detector/2/", "without a slash at its end"),
        ("models/spam-detector/2", "must be s3://bucket"),
        ("https://models/spam-detector/2", "must be s3://bucket"),
    ],
)
def test_a_wrong_place_is_refused(repository: Git, run: Command, bundle: Path, uri: str, why: str) -> None:
    assert why in run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", uri)
    assert repository.changes() == []


@pytest.mark.parametrize("name", ["model.joblib", "baseline.parquet"])
def test_another_file_than_the_manifest_says_is_refused(repository: Git, run: Command, bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"changed")
    why = run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    assert f"{name} has SHA-256 {sha256(b'changed')}, model.json says" in why
    (bundle / name).unlink()
    why = run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    assert f"{name} is missing" in why or f"exactly one model file (*.joblib, *.pkl, *.pickle), {name}" in why
    assert repository.changes() == []


@pytest.mark.parametrize("content", ["", "[]", '{"name": "spam-detector", "version": "2", "metrics": {}, "files": {}}'])
def test_a_broken_manifest_is_refused(repository: Git, run: Command, bundle: Path, content: str) -> None:
    (bundle / "model.json").write_text(content)
    run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    (bundle / "model.json").unlink()
    assert "point to a folder that `trainer train` wrote" in run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    assert repository.changes() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (release().replace(digest("drift"), '""'), "drift.image.digest: '' is no digest"),
        (release().replace(pinned("1"), "0" * 64), "global.model.sha256"),
        (release("000000000000"), "is the example that the file came with"),
        (release().replace("s3://models/spam-detector/1", "file:///tmp"), "global.model.uri"),
        ("", "gateway.image.digest: ''"),
    ],
)
def test_a_release_that_is_not_wholly_pinned_is_named(text: str, why: str) -> None:
    with pytest.raises(ReleaseError, match="environments/x/release.yaml") as caught:
        ReleaseFile(text, "environments/x/release.yaml").pins()
    assert why in str(caught.value)


def test_pins_are_printed_for_others_to_check(repository: Git, run: Command) -> None:
    assert run("pins", "staging").splitlines()[0] == f"gateway {digest('gateway')}"
    STAGING.write_text(release().replace(digest("drift"), '""'))
    assert "drift.image.digest" in run.refusal("pins", "staging")


REAL = environments(ROOT)


@pytest.mark.parametrize("environment", REAL)
def test_each_pin_reaches_the_manifests_of_the_real_chart(environment: str, helm: str, tmp_path: Path) -> None:
    places = [*IMAGES.values(), MODEL_URI, MODEL_SHA256]
    values = {place: digest(".".join(place)) for place in places}
    values[MODEL_URI] = "s3://models/spam-detector/abc"
    values[MODEL_SHA256] = sha256(b"model")
    before = ReleaseFile.read(ROOT / "environments" / environment / "release.yaml")
    path = tmp_path / "release.yaml"
    path.write_text(before.replaced(values).text)
    manifests = render(helm, ROOT, environment, path)
    assert parse(manifests)
    assert [place for place, value in values.items() if value not in manifests] == []


def test_what_is_pinned_is_the_manifest_that_lists_all_files(run: Command, repository: Git, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "3", {}, model=b"another")
    said = run(*PIN_MODEL, "--bundle", folder, "--uri", "s3://models/spam-detector/3")
    assert sha256((folder / "model.json").read_bytes()) in STAGING.read_text()
    assert "model 3: a mail is spam from 0.9 on" in said


def rewrite(bundle: Path, **fields: object) -> None:
    path = bundle / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("how", ["--bundle", "--manifest"])
@pytest.mark.parametrize("threshold", [1.0, 0, 1, -1, 10**17, "0.5", None])
def test_a_threshold_that_calls_all_mail_the_same_is_not_pinned(
    repository: Git, run: Command, bundle: Path, how: str, threshold: object
) -> None:
    rewrite(bundle, threshold=threshold)
    place = bundle if how == "--bundle" else bundle / "model.json"
    assert "field 'threshold' must be " in run.refusal(*PIN_MODEL, how, place, "--uri", URI)
    assert repository.changes() == []


BROKEN: dict[str, Callable[[str], str]] = {
    "deep": lambda content: content.replace("0.9", "[" * 200_000 + "]" * 200_000),
    "digits": lambda content: content.replace("0.9", "9" * 400),
    "large": lambda content: content + " " * 2**20,
}


@pytest.mark.parametrize("how", ["--bundle", "--manifest"])
@pytest.mark.parametrize("name", ["pipe", "folder", *BROKEN])
def test_what_is_no_manifest_is_a_clear_error(repository: Git, run: Command, bundle: Path, how: str, name: str) -> None:
    path = bundle / "model.json"
    content = path.read_text()
    path.unlink()
    if name == "pipe":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    else:
        path.write_text(BROKEN[name](content))
    why = run.refusal(*PIN_MODEL, how, bundle if how == "--bundle" else path, "--uri", URI)
    assert why.startswith("release: ") and "model.json" in why and len(why.splitlines()) == 1
    assert repository.changes() == []


def test_names_of_metrics_cannot_be_lines_of_a_commit(repository: Git, run: Command, bundle: Path) -> None:
    rewrite(bundle, metrics={"a\n\nSigned-off-by: another": 1.0})
    assert "cannot be printed" in run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder whose files are objects under s3://logs, in a real S3 server."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        yield server.folder / "logs"


def upload(s3: Path, bundle: Path, name: str) -> str:
    shutil.copytree(bundle, s3 / name / bundle.name)
    return f"s3://logs/{name}/{bundle.name}"


def test_a_bundle_that_is_there_is_pinned(repository: Git, run: Command, bundle: Path, s3: Path) -> None:
    uri = upload(s3, bundle, "whole")
    said = run(*LOOKING, "--bundle", bundle, "--uri", uri)
    assert f"{uri} holds this bundle" in said and "not checked" not in said
    assert ReleaseFile.read(STAGING).get(MODEL_URI) == uri
    assert "global.model.uri: unchanged" in run(*LOOKING, "--manifest", bundle / "model.json", "--uri", uri)


def test_a_bundle_that_is_not_there_is_refused(repository: Git, run: Command, bundle: Path, s3: Path) -> None:
    before = STAGING.read_text()
    part = upload(s3, bundle, "part")
    (s3 / "part" / bundle.name / "baseline.parquet").unlink()
    other = upload(s3, bundle, "other")
    manifest = s3 / "other" / bundle.name / "model.json"
    manifest.write_text(manifest.read_text().replace("0.95", "0.96"))
    for uri, why in (
        (f"s3://nowhere/spam-detector/{bundle.name}", "s3://nowhere"),
        (f"s3://logs/empty/{bundle.name}", "model.json"),
        (part, f"{part} lacks baseline.parquet; upload the whole folder"),
        (other, f"{other} does not hold this bundle"),
    ):
        said = run.refusal(*LOOKING, "--bundle", bundle, "--uri", uri)
        assert why in said and "OFFLINE=1" in said
    assert STAGING.read_text() == before


def test_a_place_that_cannot_be_reached_is_refused_unless_told(
    repository: Git, run: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    said = run.refusal(*LOOKING, "--bundle", bundle, "--uri", URI)
    assert f"{URI} could not be looked at: " in said and "AWS_ENDPOINT_URL_S3" in said and "OFFLINE=1" in said
    assert f"not checked: whether {URI} holds this bundle" in run(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
