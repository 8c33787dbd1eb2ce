"""The page of settings is what its generator writes, and says something of each of them."""

from pathlib import Path

import pytest
import settings_page


def test_the_page_is_what_the_settings_classes_say() -> None:
    kept = settings_page.PAGE.read_text(encoding="utf-8") if settings_page.PAGE.exists() else ""
    assert kept == settings_page.page(), "docs/settings.md is old: run `make settings-page` and commit the result"


@pytest.mark.parametrize("path", settings_page.settings_files(), ids=lambda path: path.parent.name)
def test_each_setting_has_a_meaning(path: Path) -> None:
    """A setting is described by a docstring below the field, or by its `Field(…)`."""
    found = settings_page.settings_of(path)
    assert found
    assert [each.name for each in found if not each.meaning] == []


def test_every_section_is_of_a_package_that_has_settings() -> None:
    """An introduction must not disappear because its package has another name."""
    assert {path.parent.name for path in settings_page.settings_files()} >= set(settings_page.SECTIONS)
