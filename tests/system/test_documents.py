"""What the pages say exists: links, files, commands, settings, metrics and fields; and their sentences are short."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import documents
import pytest
from conftest import ROOT
from documents import DOCS, PAGES, RUNBOOKS, anchors, code, inline_code, links, sentences, words

README_LINES = 150
P90_WORDS = 28
LONGEST_WORDS = 45
PROSE = [page for page in PAGES if page.parent != RUNBOOKS]
"""Pages whose sentences are measured."""
GENERATED = ("build/", ".tools/")
"""Folders of what commands make; they are not in the repository."""
MADE_UP = {
    "keys.json",
    "mail.eml",
    "folder",
}
"""Names of files in examples."""
FOREIGN = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_ENDPOINT_URL_S3",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "REGISTRY_PASSWORD",
    "REGISTRY_USER",
}
"""Variables that clients of other systems read by themselves."""
SERIES = re.compile(r"_(?:total|bucket|count|sum|created)$")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads to no file"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: {target.name} has the headings {sorted(anchors(target))}"


@each_page
def test_files_and_folders_exist(page: Path) -> None:
    roots = {path.name for path in ROOT.iterdir()} - {"build"}
    for text in inline_code(page):
        if not re.fullmatch(r"[\w.*/-]+", text) or text in MADE_UP or text.startswith(GENERATED):
            continue
        first = text.split("/")[0]
        if ("/" in text and first in roots) or (ROOT / text).suffix in (".py", ".toml", ".lua"):
            assert list(ROOT.glob(text.rstrip("/"))) or found_somewhere(text), f"{text} does not exist"


def found_somewhere(name: str) -> bool:
    """Return whether a file has this name; a page may leave out its folders."""
    return any(str(path).endswith(f"/{name}") for path in documents.sources())


@each_page
def test_targets_and_variables_of_make_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    for text in code(page):
        for options, target in re.findall(r"(?:^|[\s;&(])make((?: --?[\w-]+| [A-Z_]+=\S*)*) ([a-z][\w-]*)", text):
            assert target in targets, f"make {target} does not exist"
            for variable in re.findall(r"([A-Z_]+)=", options):
                assert re.search(rf"\b{variable}\b", makefile), f"make {target} knows no {variable}"
        for variable in re.findall(r"make [a-z-]+(?: [A-Z_]+=\S*)* ([A-Z][A-Z_]+)=", text):
            assert re.search(rf"\b{variable}\b", makefile), f"make knows no {variable}: {text}"


@each_page
def test_settings_and_variables_exist(page: Path) -> None:
    for text in inline_code(page):
        for name in re.findall(r"(?<![\w<.-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w>])", text):
            assert name in FOREIGN or name in words() or name.lower() in settings_fields(), f"{name} does not exist"


@cache
def settings_fields() -> frozenset[str]:
    """Return the fields of the settings classes; each is a variable of the same name in capitals."""
    found = {path: text for path, text in documents.sources().items() if path.name == "settings.py"}
    assert len(found) >= 5
    return frozenset(name for text in found.values() for name in re.findall(r"^    (\w+):", text, re.MULTILINE))


@each_page
def test_metrics_fields_and_keys_exist(page: Path) -> None:
    """A name with underscores, or one of camel case, stands somewhere in the sources."""
    for text in inline_code(page):
        name = re.sub(r"\{[\w,=\" ]*\}$", "", text)
        if re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+", name) or re.fullmatch(r"[a-z]+(?:[A-Z][a-z0-9]+)+", name):
            assert name in words() or SERIES.sub("", name) in words(), f"{name} does not exist"
        elif re.fullmatch(r"[a-z]+(?:_[a-z0-9]+)*_\*", name):
            assert any(word.startswith(name[:-1]) for word in words()), f"nothing begins with {name}"


def test_the_names_that_are_checked_can_be_missing() -> None:
    """The checks above would be worth nothing if every name counted as known."""
    assert not {"gateway_queue_lengths", "MAX_QUEUE_MAILS", "maximumErrorRate"} & words()
    assert "max_queue_mails" not in settings_fields()


@each_page
def test_lists_and_tables_begin_after_an_empty_line(page: Path) -> None:
    """GitHub needs no empty line, but the site would show the list as part of the paragraph."""
    before = ""
    for line in documents.prose_of(page).splitlines():
        kind = re.match(r"\s*(\||[-*] |\d+\. )", line)
        begins = kind and before.strip() and not re.match(r"\s*(\||[-*] |\d+\. |#|  )", before)
        assert not begins, f"an empty line is missing before {line!r}"
        before = line


def test_the_readme_is_a_front_door() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    found = sorted(sentences(page), key=lambda sentence: len(sentence.split()))
    lengths = [len(sentence.split()) for sentence in found]
    assert lengths[int(len(lengths) * 0.9) - 1] <= P90_WORDS, found[-3:]
    assert lengths[-1] <= LONGEST_WORDS, found[-1]


def test_the_site_has_every_page_once() -> None:
    config = tomllib.loads((DOCS / "zensical.toml").read_text())
    listed = list(in_navigation(config["project"]["nav"]))
    runbooks = [f"runbooks/{'index' if page.stem == 'README' else page.stem}.md" for page in RUNBOOKS.glob("*.md")]
    assert sorted(listed) == sorted([page.name for page in DOCS.glob("*.md")] + runbooks + ["changelog.md"])


def in_navigation(item: Any) -> list[str]:
    if isinstance(item, str):
        return [item]
    inner = item.values() if isinstance(item, dict) else item
    return [name for each in inner for name in in_navigation(each)]


def test_pictures_are_small_and_shown() -> None:
    pictures = sorted((DOCS / "pictures").glob("*"))
    assert pictures
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    for picture in pictures:
        assert picture.stat().st_size <= 200_000, f"{picture.name} is too large"
        assert picture in shown, f"no page shows {picture.name}"
