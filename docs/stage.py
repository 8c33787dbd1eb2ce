"""Collects the pages for the site: everything of `docs`, the runbooks and the changelog, with links that fit the site.

Pages link to each other and into the repository by relative paths, as GitHub follows them. Here a link to a page of the
site becomes the page's place there, and a link to any other file becomes its address in the repository.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RUNBOOKS = ROOT / "charts" / "model-serving" / "runbooks"
LINK = re.compile(r"^```.*?^```$|(!?\[(?:[^\]`]|`[^`]*`)*\]\()([^)\s]+)(\))|`[^`\n]+`", re.MULTILINE | re.DOTALL)
"""A link, or code that is passed over: what is in it may look like a link."""
ELSEWHERE = re.compile(r"[a-z]+:|#")
SETTINGS = {"site_url": "SITE_URL", "repo_url": "REPOSITORY_URL"}
"""Keys of zensical.toml and the environment variables that replace them."""


def main(out: Path) -> None:
    """Write pages, pictures and zensical.toml into a folder; exit 1 when a link leads nowhere."""
    shutil.rmtree(out, ignore_errors=True)
    pages = site_pages()
    config = configuration((DOCS / "zensical.toml").read_text())
    repository = _setting(config, "repo_url")
    broken: list[str] = []
    for source, place in pages.items():
        target = out / "pages" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(with_site_links(source, pages, repository, broken))
    shutil.copytree(DOCS / "pictures", out / "pages" / "pictures", dirs_exist_ok=True)
    (out / "zensical.toml").write_text(config)
    if broken:
        sys.exit("\n".join(broken))


def site_pages() -> dict[Path, PurePosixPath]:
    """Return each page of the site: its file, and its place below the site's pages."""
    found = {path: PurePosixPath(path.relative_to(DOCS)) for path in sorted(DOCS.glob("*.md"))}
    for path in sorted(RUNBOOKS.glob("*.md")):
        found[path] = PurePosixPath("runbooks", "index.md" if path.name == "README.md" else path.name)
    return found | {ROOT / "CHANGELOG.md": PurePosixPath("changelog.md")}


def with_site_links(source: Path, pages: dict[Path, PurePosixPath], repository: str, broken: list[str]) -> str:
    """Return a page's text with links for the site; code blocks stay as they are.

    Args:
        broken: Gets a line for each link that leads to no file.
    """

    def replaced(link: re.Match[str]) -> str:
        before, target, after = link.groups()
        if not target:
            return link[0]
        found = site_link(source, target, pages, repository)
        if found is None:
            broken.append(f"{source.relative_to(ROOT)} links to {target}, which does not exist")
        return before + (found or target) + after

    return LINK.sub(replaced, source.read_text())


def site_link(source: Path, target: str, pages: dict[Path, PurePosixPath], repository: str) -> str | None:
    """Return where a page's link leads on the site; None when there is no such file."""
    if ELSEWHERE.match(target):
        return target
    name, hash_, anchor = target.partition("#")
    path = Path(os.path.normpath(source.parent / name))
    if path in pages:
        return os.path.relpath(pages[path], pages[source].parent) + hash_ + anchor
    if not path.is_relative_to(ROOT) or not path.exists():
        return None
    if path.is_relative_to(DOCS / "pictures"):
        return os.path.relpath(path.relative_to(DOCS), pages[source].parent)
    kind = "tree" if path.is_dir() else "blob"
    return f"{repository}/{kind}/main/{path.relative_to(ROOT)}{hash_}{anchor}"


def configuration(text: str) -> str:
    """Return zensical.toml with the addresses that the environment names."""
    for key, variable in SETTINGS.items():
        if value := os.environ.get(variable):
            text = text.replace(f'{key} = "{_setting(text, key)}"', f'{key} = "{value}"')
    return text


def _setting(text: str, key: str) -> str:
    found = re.search(rf'^{key} = "([^"]*)"$', text, re.MULTILINE)
    assert found, f"zensical.toml has no {key}"
    return found[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    main(parser.parse_args().out)
