"""The pages as text: links, headings, code and sentences."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conftest import ROOT

DOCS = ROOT / "docs"
RUNBOOKS = ROOT / "charts" / "model-serving" / "runbooks"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(RUNBOOKS.glob("*.md")),
]
FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?:[^\]`]|`[^`]*`)*\]\(([^)\s]+)\)|`[^`\n]+`")
"""A link, or code that is passed over: what is in it may look like a link."""
INLINE_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code, and the JSON that is shown right behind it as its answer."""

    language: str
    text: str
    answer: str


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """Return the page without its blocks of code."""
    return FENCED.sub("", text_of(page))


def links(page: Path) -> list[str]:
    return [target for target in LINK.findall(prose_of(page)) if target]


def inline_code(page: Path) -> list[str]:
    return INLINE_CODE.findall(prose_of(page))


def code(page: Path) -> list[str]:
    """Return everything that is set as code, in a line or as a block, except diagrams."""
    return inline_code(page) + [text for language, text in FENCED.findall(text_of(page)) if language != "mermaid"]


def blocks(page: Path) -> Iterator[Block]:
    text = text_of(page)
    for found in FENCED.finditer(text):
        behind = FENCED.match(text, found.end() + 1)
        answer = behind[2] if behind and behind[1] == "json" else ""
        yield Block(found[1], found[2], answer)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def sentences(page: Path) -> list[str]:
    """Return the sentences of a page, without tables, headings, pictures and code; items of a list stand alone."""
    lines = [line for line in prose_of(page).splitlines() if not re.match(r"\s*(\||#|<|!\[|---)", line)]
    parts = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s+", "\n".join(lines))
    split = [one for part in parts for one in re.split(r"(?<=[.!?])\s+(?=[A-Z`*\[])", " ".join(part.split()))]
    return [sentence for sentence in split if len(sentence.split()) > 2]


@cache
def sources() -> dict[Path, str]:
    """Return the text of every file that is not a page, a lock file or a test."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for path in (ROOT / name for name in names):
        tested = "tests" in path.relative_to(ROOT).parts[1:] or path.name.startswith("test_")
        if path.suffix in (".md", ".lock", ".sum", ".png") or tested or not path.is_file():
            continue
        found[path] = path.read_text(encoding="utf-8", errors="replace")
    return found


@cache
def words() -> frozenset[str]:
    """Return every identifier in the sources."""
    return frozenset(word for text in sources().values() for word in re.findall(r"[A-Za-z_]\w*", text))
