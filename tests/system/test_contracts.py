"""The import contracts of `make lint` name every package, so that a new one cannot stay outside them."""

import re
from configparser import ConfigParser

from conftest import ROOT

CONTRACTS = ConfigParser()
CONTRACTS.read(ROOT / ".importlinter")


def named(section: str, option: str) -> list[str]:
    """Return the packages that an option lists."""
    return sorted(re.findall(r"\w+", CONTRACTS[section][option]))


def packages(*folders: str) -> list[str]:
    """Return the packages in the projects of these folders."""
    return sorted(path.parent.name for folder in folders for path in ROOT.glob(f"{folder}/*/src/*/__init__.py"))


def test_every_package_has_a_layer() -> None:
    found = packages("libs", "services", "tools", "tests")
    assert named("importlinter", "root_packages") == found
    assert named("importlinter:contract:layers", "layers") == found


def test_every_service_and_tool_is_independent() -> None:
    assert named("importlinter:contract:programs", "modules") == packages("services", "tools")
