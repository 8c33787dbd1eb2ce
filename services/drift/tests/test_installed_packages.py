"""Tests of the environment, which the image holds: it contains nothing that the detector does not import."""

import importlib.util
import json
import re
import subprocess
import sys
from importlib import metadata

import pytest

NEVER_IMPORTED = {
    "safetensors": "transformers asks for its version",
    "tzdata": "time zones for pandas, which are data",
}
IMPORTED = """
import importlib.metadata, json, sys
import drift.__main__, drift.detector, drift.gauges, drift.report
drift.__main__.configure_batch_logging()
modules = {name.partition(".")[0] for name in sys.modules}
packages = importlib.metadata.packages_distributions()
print(json.dumps(sorted({name for module in modules for name in packages.get(module, [module])})))
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(*names: str) -> set[str]:
    """Return distributions and everything that they require."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = normal(waiting.pop())
        if name in found:
            continue
        try:
            required = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.split(r"[^A-Za-z0-9._-]", each)[0] for each in required if "extra ==" not in each]
    return found


def test_everything_installed_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    imported = {normal(name) for name in json.loads(done.stdout)}
    installed = {normal(found.metadata["Name"]) for found in metadata.distributions()}
    development = closure("mypy", "pytest")
    assert {"mypy", "pytest", "pluggy"} <= development
    assert installed - imported - development == set(NEVER_IMPORTED)


@pytest.mark.parametrize("module", ["cv2", "skimage", "matplotlib", "torch", "tensorflow", "hf_xet", "fsspec"])
def test_what_is_large_and_unused_is_left_out(module: str) -> None:
    assert importlib.util.find_spec(module) is None


def test_the_licence_is_apache() -> None:
    assert metadata.version("alibi-detect") == "0.11.4"
    assert "Apache" in str(metadata.metadata("alibi-detect")["License"])
