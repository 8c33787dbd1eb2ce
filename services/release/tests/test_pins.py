"""Pins: what is written into a release file, and what is not."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Command, digest, release, sha256, write, write_bundle

from release.chart import environments, parse, render
from release.errors import ReleaseError
from release.git import Git
from release.releasefile import IMAGES, MODEL_SHA256, MODEL_URI, ReleaseFile

STAGING = Path("environments/staging/release.yaml")
PIN_IMAGES = ("pin-images", "--environment", "staging")
PIN_MODEL = ("pin-model", "--environment", "staging")
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
    # Written plainly, Helm would read 1.2e+61.
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
    assert f"{name} is missing" in run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    assert repository.changes() == []


@pytest.mark.parametrize("content", ["", "[]", '{"name": "spam-detector", "version": "2", "metrics": {}, "files": {}}'])
def test_a_broken_manifest_is_refused(repository: Git, run: Command, bundle: Path, content: str) -> None:
    (bundle / "model.json").write_text(content)
    run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    (bundle / "model.json").unlink()
    assert "name what make train has written" in run.refusal(*PIN_MODEL, "--bundle", bundle, "--uri", URI)
    assert repository.changes() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (release().replace(digest("drift"), '""'), "drift.image.digest: '' is no digest"),
        (release().replace(sha256(b"1"), "0" * 64), "global.model.sha256"),
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


def test_a_bundle_of_the_trainer_has_what_is_read(run: Command, repository: Git, tmp_path: Path) -> None:
    # The same fields as services/bundle writes; that package is not installed here.
    source = (ROOT / "services/bundle/src/bundle/manifest.py").read_text()
    assert all(f"    {field}: " in source for field in ("name", "version", "metrics", "files"))
    folder = write_bundle(tmp_path / "3", {}, model=b"another")
    run(*PIN_MODEL, "--bundle", folder, "--uri", "s3://models/spam-detector/3")
    assert sha256(b"another") in STAGING.read_text()
