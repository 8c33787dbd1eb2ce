"""Tests of refusals: what must not run does not render in either version of Helm; the message says what to write."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from chart.manifests import ENVIRONMENTS, HELMS, Case, Object, each_environment, none_of, template

PRODUCTION = next(case for case in ENVIRONMENTS if case.environment == "production")
STAGING = next(case for case in ENVIRONMENTS if case.environment == "staging")

# Objects whose keys may be anything.
FREE = {"annotations", "labels", "matchLabels", "podLabels", "routes"}
REFUSED = {
    "a misspelt key": ("gateway: {autoscaling: {maxReplica: 3}}", ["maxReplica", "maxReplicas"]),
    "a misspelt component": ("gatway: {preStopSeconds: 3}", ["gatway", "gateway"]),
    "a misspelt global": ("global: {enviroment: staging}", ["enviroment", "environment"]),
    "a misspelt setting": ("gateway: {settings: {DEADLINE_SECOND: 3}}", ["DEADLINE_SECOND", "DEADLINE_SECONDS"]),
    "an image by tag": (
        "transformer: {image: {tag: v1}}",
        ["transformer.image.tag", "write: transformer.image.digest: sha256:", "environments/production/release.yaml"],
    ),
    "an image by tag alone": (
        'predictor: {image: {digest: "", tag: v1}}',
        ["predictor.image.tag", "write: predictor.image.digest: sha256:"],
    ),
    "an image by nothing": ('drift: {image: {digest: ""}}', ["drift.image has no digest", "write: drift.image.digest"]),
    "a model without digest": (
        'global: {model: {sha256: ""}}',
        ["global.model.sha256", "write: global.model.sha256: <sha256sum of the bundle's model.json>"],
    ),
    "a model without place": ('global: {model: {uri: ""}}', ["global.model.uri", "write: global.model.uri: s3://"]),
    "a threshold of none": ("global: {model: {threshold: 1}}", ["threshold"]),
    "a threshold of all": ("global: {model: {threshold: 0}}", ["threshold"]),
    "a threshold in percent": ("global: {model: {threshold: 94.8}}", ["threshold"]),
    "a threshold as text": ("global: {model: {threshold: '0.9'}}", ["threshold", "number"]),
    "minimum above maximum": (
        "predictor: {autoscaling: {minReplicas: 11}}",
        ["predictor.autoscaling.minReplicas is 11, more than maxReplicas, 10", "write: maxReplicas: 11"],
    ),
    "a route to an unknown environment": (
        "gateway: {routes: {prodution: 'http://feature-transformer-replicas.elsewhere:8080'}}",
        ['gateway.routes has environment "prodution"', "staging, production", "write: its right name"],
    ),
    "an unknown environment": ("global: {environment: prodution}", ['"prodution"', "write: global.environment: "]),
}


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize(("values", "messages"), REFUSED.values(), ids=REFUSED)
def test_production_is_refused(helm: str, values: str, messages: list[str]) -> None:
    done = template(PRODUCTION, helm, values)
    assert done.returncode != 0, "it renders"
    assert done.stdout == ""
    none_of(f"no {message!r} in: {done.stderr}" for message in messages if message not in done.stderr)


@pytest.mark.parametrize("helm", HELMS)
def test_staging_without_a_models_digest_is_refused(helm: str) -> None:
    done = template(STAGING, helm, 'global: {model: {sha256: ""}}')
    assert done.returncode != 0
    assert "write: global.model.sha256: " in done.stderr


@each_environment
def test_every_key_of_an_environments_files_may_be_misspelt(case: Case, tmp_path: Path) -> None:
    """Every misspelling is noticed, and the message has the wrong key and the right one."""
    typos = [(path, keys) for path in case.files for keys in places(yaml.safe_load(path.read_text()))]
    assert len(typos) > 20

    def fault(typo: tuple[Path, tuple[str, ...]]) -> str:
        return passed_over(case, *typo, tmp_path)

    # Run two at a time, because each is a process of its own.
    with ThreadPoolExecutor(2) as pool:
        none_of(found for found in pool.map(fault, typos) if found)


def places(values: Object, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict) and key not in FREE:
            yield from places(value, (*above, key))


def passed_over(case: Case, path: Path, keys: tuple[str, ...], folder: Path) -> str:
    """Misspell one key of a file, and return what is wrong with Helm's message; empty if nothing is."""
    *above, last = keys
    changed = folder / f"{path.stem}-{'.'.join(keys)}.yaml"
    changed.write_text(yaml.safe_dump(misspelt(yaml.safe_load(path.read_text()), keys)))
    files = tuple(changed if each == path else each for each in case.files)
    done = template(replace(case, files=files))
    said = done.returncode != 0 and f"'{last}x'" in done.stderr and f"'{last}'" in done.stderr
    return "" if said else f"{path.name}: {'.'.join([*above, last])}x: {done.stderr or 'it renders'}"


def misspelt(values: Object, keys: tuple[str, ...]) -> Object:
    first, *rest = keys
    if not rest:
        return {f"{name}x" if name == first else name: value for name, value in values.items()}
    return {**values, first: misspelt(values[first], tuple(rest))}
