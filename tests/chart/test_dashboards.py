"""Tests of dashboards: they are whole, work with any Prometheus, and every panel says what to do."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chart import monitoring
from chart.monitoring import DASHBOARDS, ENVIRONMENTS, panels

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_there_are_four_and_uids_and_titles_are_their_own() -> None:
    found = [load(path) for path in DASHBOARDS]
    assert sorted(each["uid"] for each in found) == [
        "model-serving-candidate",
        "model-serving-capacity",
        "model-serving-model-and-drift",
        "model-serving-serving",
    ]
    assert len({each["title"] for each in found}) == len(found)
    # Grafana sets these limits.
    assert all(len(each["uid"]) <= 40 and "id" not in each for each in found)


@each_dashboard
def test_panels_have_ids_of_their_own_and_do_not_overlap(path: Path) -> None:
    every = load(path)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: Counter[tuple[int, int]] = Counter()
    for place in (panel["gridPos"] for panel in every):
        assert place["x"] + place["w"] <= 24
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        taken.update((x, y) for x in columns for y in rows)
    assert max(taken.values()) == 1


@each_dashboard
def test_every_panel_says_what_it_shows_and_what_to_do(path: Path) -> None:
    for panel in panels(path):
        assert len(panel["description"]) > 60 and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None, panel["title"]


@each_dashboard
def test_the_source_is_chosen_by_the_variable_everywhere(path: Path) -> None:
    for holder in (panel for panel in panels(path)):
        assert [holder["datasource"], *(target["datasource"] for target in holder["targets"])].count(SOURCE) == 1 + len(
            holder["targets"]
        ), holder["title"]
    first, *others = load(path)["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert all(variable["datasource"] == SOURCE for variable in others)


@each_dashboard
def test_every_panel_keeps_to_the_chosen_environments(path: Path) -> None:
    variables = {variable["name"] for variable in load(path)["templating"]["list"]}
    assert variables == {"datasource", "environment", "namespace", "predictor"}
    for panel in panels(path):
        for target in panel["targets"]:
            assert any(f"${name}" in target["expr"] for name in variables - {"datasource"}), panel["title"]
            # Labels of the comparison have names such as production_version.
            assert not re.search(r"\b(production|staging)\b", target["expr"]), panel["title"]


@each_dashboard
def test_nothing_leads_out_of_the_dashboard(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text and "/d/" not in text and "localhost" not in text
    assert text == json.dumps(load(path), indent=2, ensure_ascii=False) + "\n", "not as Grafana's JSON is kept here"


def test_the_cluster_has_each_dashboard_once() -> None:
    found: list[dict[str, Any]] = []
    for environment in ENVIRONMENTS:
        found += [
            each for each in monitoring.of_kind(monitoring.rendered(environment), "ConfigMap") if is_dashboard(each)
        ]
    keys = [key for each in found for key in each["data"]]
    assert sorted(keys) == [path.name for path in DASHBOARDS]
    for each in found:
        ((name, text),) = each["data"].items()
        assert json.loads(text) == load(monitoring.CHART / "dashboards" / name)


def is_dashboard(config_map: dict[str, Any]) -> bool:
    return bool(config_map["metadata"]["labels"].get("grafana_dashboard") == "1")


def test_rules_of_two_environments_do_not_collide() -> None:
    """They may share a namespace, and people find them by the names of groups."""
    names, groups = set(), set()
    for environment in ENVIRONMENTS:
        (rule,) = monitoring.of_kind(monitoring.rendered(environment), "PrometheusRule")
        names.add((rule["metadata"]["namespace"], rule["metadata"]["name"]))
        groups.update(group["name"] for group in rule["spec"]["groups"])
    assert len(names) == len(ENVIRONMENTS)
    assert len(groups) == len(ENVIRONMENTS) * len({name.split("-")[-1] for name in groups})
