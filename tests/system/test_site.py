"""Pages and links as the site has them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from documents import DOCS, RUNBOOKS, links

REPOSITORY = "https://git.example.com/team/model-serving"


@pytest.fixture(scope="module")
def stage() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stage", DOCS / "stage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("api.md", "clients.md#api-keys", "clients.md#api-keys"),
        ("api.md", "#errors", "#errors"),
        ("api.md", "https://example.com/a.md", "https://example.com/a.md"),
        ("index.md", "../charts/model-serving/runbooks/README.md", "runbooks/index.md"),
        ("index.md", "../CHANGELOG.md", "changelog.md"),
        ("index.md", "../README.md", f"{REPOSITORY}/blob/main/README.md"),
        ("index.md", "../charts/model-serving", f"{REPOSITORY}/tree/main/charts/model-serving"),
        ("index.md", "nowhere.md", None),
        ("index.md", "../../elsewhere.md", None),
    ],
)
def test_a_link_leads_to_its_place_on_the_site(stage: ModuleType, page: str, link: str, expected: str | None) -> None:
    assert stage.site_link(DOCS / page, link, stage.site_pages(), REPOSITORY) == expected


def test_a_runbook_links_to_the_pages_above_it(stage: ModuleType) -> None:
    page = RUNBOOKS / "QueueRefusing.md"
    assert stage.site_link(page, "../../../docs/api.md", stage.site_pages(), REPOSITORY) == "../api.md"
    assert stage.site_link(page, "README.md", stage.site_pages(), REPOSITORY) == "index.md"


def test_code_is_left_alone(stage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "`[a](b)` and [c](d)\n\n```\n[e](f)\n```\n\n[`g`](h) and `i`\n"
    page = tmp_path / "page.md"
    page.write_text(text)
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    broken: list[str] = []
    assert stage.with_site_links(page, {}, REPOSITORY, broken) == text
    assert [line.split()[3] for line in broken] == ["d,", "h,"]
    assert links(page) == ["d", "h"]


def test_the_environment_names_the_addresses(stage: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "zensical.toml").read_text()
    monkeypatch.delenv("SITE_URL", raising=False)
    monkeypatch.setenv("REPOSITORY_URL", "https://example.org/ours")
    found = stage.configuration(text)
    assert found.splitlines().count('repo_url = "https://example.org/ours"') == 1
    assert len(set(text.splitlines()) ^ set(found.splitlines())) == 2


def test_every_page_can_be_staged(stage: ModuleType, tmp_path: Path) -> None:
    stage.main(tmp_path / "site")
    staged = {str(path.relative_to(tmp_path / "site" / "pages")) for path in tmp_path.rglob("*.md")}
    assert staged == {str(place) for place in stage.site_pages().values()}
    assert "runbooks/index.md" in staged
