"""Tests of `report.json` and `report.html` as a program and a person read them."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import DIGEST, VERSION, World, log_bytes, mails

import features
from drift import words
from inferencelog import SCORE

VOID = {"meta", "br", "hr", "img", "input", "link"}
MEASURES = {*features.NAMES, SCORE, "likely_spam", "predicted_spam"}


class Page(HTMLParser):
    """Elements and text of a page; the parser refuses elements that are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], " ".join(data.split())))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def cards(self) -> list[str]:
        return [str(attributes["id"]) for attributes in self.all("article")]


def page(world: World) -> Page:
    return Page(world.report("report.html").read_text())


def test_drift(world: World) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    drifted = [each["measure"] for each in world.run().line["drifted"]]
    found = page(world)
    assert found.text("h1") == ["Mail has changed"]
    assert f"{len(drifted)} of 41 measures have moved" in found.source
    assert set(found.cards()) == MEASURES and found.cards()[: len(drifted)] == drifted
    moved = [each["class"] for each in found.all("article")]
    assert moved == ["card moved"] * len(drifted) + ["card"] * (41 - len(drifted))
    assert "baseline-generator" in " ".join(found.text("li"))


def test_no_drift(world: World) -> None:
    world.log(mails(600, seed=2))
    world.run()
    found = page(world)
    assert found.text("h1") == ["No change seen"] and set(found.cards()) == MEASURES
    assert "600 mails" in found.source and "What has moved" not in found.source


def test_insufficient_data(world: World) -> None:
    world.log(mails(1, seed=2))
    world.run()
    found = page(world)
    assert found.text("h1") == ["Not enough mail to say"] and found.cards() == []
    assert "1 mail could be compared; at least 200 are needed" in found.source


def test_every_measure_is_described_and_drawn_from_both_sides(world: World) -> None:
    world.log(mails(600, seed=2))
    world.run()
    found = page(world)
    for name, text in features.DESCRIPTIONS.items():
        assert text.removesuffix(", 0 to 1").replace(">", "&gt;").replace("'", "&#39;") in found.source, name
    drawings = found.all("svg")
    assert len(drawings) == 41 and all(each["role"] == "img" for each in drawings)
    names = {attributes.get("id") for _, attributes in found.elements}
    assert all(set(str(each["aria-labelledby"]).split()) <= names for each in drawings)
    kinds = [each["class"] for each in found.all("rect")]
    assert kinds.count("baseline") == kinds.count("current") >= 41
    assert all(float(str(each["height"])) >= 0 and float(str(each["y"])) >= 0 for each in found.all("rect"))


def test_the_page_needs_nothing_else(world: World) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    world.run()
    found = page(world)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found.elements}
    assert all(str(each["href"]).startswith("#") for each in found.all("a"))
    assert (
        "url(" not in found.source
        and "@import" not in found.source
        and "http" not in found.source.replace(features.DESCRIPTIONS["links"], "")
    )


def test_what_was_set_aside_is_told(world: World) -> None:
    odd = mails(3, seed=4)
    odd["links"][:] = np.nan
    world.log(mails(600, seed=2))
    world.log(odd)
    world.log(mails(7, seed=3), version="b-version", digest="b" * 64)
    world.file("stray.parquet", log_bytes(mails(5, seed=3), environment="staging"))
    world.file("broken.parquet", b"no Parquet")
    world.run()
    text = " ".join(page(world).text("li"))
    assert "7 rows of model b-version" in text and "5 rows of another environment" in text
    assert "3 rows with a value missing or no finite number (links: 3)" in text and "broken.parquet" in text


def test_hostile_names_are_text(world: World) -> None:
    hostile = '<script>alert("1")</script>'
    world.baseline(model_version=hostile, source="<b>x</b>", model_sha256="")
    world.log(mails(300, seed=2), version=hostile, digest="")
    world.log(mails(5, seed=3), version="</ul><img src=x onerror=alert(1)>", digest="")
    assert world.run().code == 0
    found = page(world)
    assert not {"script", "img", "b"} & {tag for tag, _ in found.elements}
    assert any(hostile in text for text in found.text("dd"))


def test_report_json_has_everything(world: World) -> None:
    world.log(mails(600, spam=0.6, seed=2))
    line = world.run().line
    found = json.loads(world.report("report.json").read_text())
    assert found["status"] == "drift" and {key: found[key] for key in ("rows", "drifted", "window")} == {
        key: line[key] for key in ("rows", "drifted", "window")
    }
    assert found["baseline"]["model_version"] == VERSION and found["baseline"]["model_sha256"] == DIGEST
    assert found["settings"] == {"minimum_rows": 200, "false_alarm_rate": 0.001, "minimum_change": 0.02}
    assert found["versions"]["alibi-detect"] == "0.11.4"
    assert {each["measure"] for each in found["measures"]} == MEASURES
    for each in found["measures"]:
        assert sum(bar["current"] for bar in each["bars"]) == pytest.approx(1)
        before, now = each["above"]
        assert abs(before - now) == pytest.approx(each["distance"], abs=1e-6), each["measure"]
    order = [(not each["drifted"], -each["distance"]) for each in found["measures"]]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("p_value", "said"),
    [
        (1.0, "no more than chance"),
        (0.2, "no more than chance"),
        (0.0021, "by chance in 1 of 480 windows"),
        (1 / 98_765, "by chance in 1 of 99,000 windows"),
        (0.0, "by chance in less than 1 of a million windows"),
    ],
)
def test_chances_in_words(p_value: float, said: str) -> None:
    assert words.chance(p_value) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0 %"), (0.5, "50 %"), (0.1234, "12.3 %"), (0.0001, "under 0.1 %"), (1, "100 %")]
)
def test_shares_in_words(share: float, said: str) -> None:
    assert words.percent(share).replace("\N{NO-BREAK SPACE}", " ") == said
