"""uvicorn's undocumented names stand in one module, so that a new uvicorn is checked there."""

import ast
import re
from pathlib import Path

import httpserver
from httpserver import uvicorn_names

SOURCES = Path(httpserver.__file__).parent
PUBLIC = {"Config", "Server"}
MOST = 10


def test_no_module_imports_a_part_of_uvicorn() -> None:
    for source in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not [name for name in named if name.startswith("uvicorn.")], source
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "uvicorn":
                assert node.attr in PUBLIC, source


def test_the_list_is_short() -> None:
    assert len(re.findall(r"^\d+\. ", uvicorn_names.__doc__ or "", re.MULTILINE)) <= MOST
