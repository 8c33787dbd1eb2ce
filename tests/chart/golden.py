"""Golden files: the rendering of each environment, kept beside the tests so that a review shows the effect of a change.

`make goldens` writes them again: `python -m chart.golden`, in the folder `tests`.
"""

import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from chart.manifests import ENVIRONMENTS, ROOT, Case, Object, key, rendered

FOLDER = Path(__file__).parent / "goldens"
RELEASE = FOLDER / "release.yaml"
HEAD = """\
# What environments/{name}/values.yaml renders to, with the pins of tests/chart/goldens/release.yaml, by kind, namespace
# and name; dashboards by their files. `make goldens` writes it: review what changes as what it does to the cluster.
"""


class Dumper(yaml.SafeDumper):
    """Dumper that writes long texts, such as rules and scripts, line by line, so that a diff shows the changed line."""


def represent(dumper: yaml.SafeDumper, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, represent)


def path(case: Case) -> Path:
    return FOLDER / f"{case.name}.yaml"


def golden(case: Case) -> str:
    """Return the file as it should be."""
    pinned = replace(case, files=(case.files[0], RELEASE))
    objects = [without_dashboards(found) for found in sorted(rendered(pinned), key=key)]
    return HEAD.format(name=case.name) + "".join(map(dumped, objects))


def dumped(found: Object) -> str:
    text = yaml.dump(found, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return f"---\n{text}"


def without_dashboards(found: Object) -> Object:
    """Return an object without the content of its dashboards: charts/model-serving/dashboards has these long files."""
    if found["kind"] != "ConfigMap":
        return found
    assert all(name.endswith(".json") for name in found["data"])
    return {**found, "data": {name: f"charts/model-serving/dashboards/{name}" for name in found["data"]}}


def stale() -> Iterator[str]:
    """Yield what differs from the expected files, and what to do."""
    advice = "run `make goldens` and commit the result, if this is what you want of the cluster"
    for case in ENVIRONMENTS:
        kept = path(case).read_text() if path(case).exists() else ""
        name = str(path(case).relative_to(ROOT))
        lines = difflib.unified_diff(
            kept.splitlines(), golden(case).splitlines(), name, f"{name}, as it renders now", lineterm=""
        )
        if diff := "\n".join(lines):
            yield f"{diff}\n{name} is old: {advice}"
    known = {path(case) for case in ENVIRONMENTS} | {RELEASE}
    yield from (
        f"{each.name} is of no environment; remove it" for each in sorted(FOLDER.iterdir()) if each not in known
    )


def main() -> None:
    for case in ENVIRONMENTS:
        path(case).write_text(golden(case))
        print(path(case).relative_to(ROOT))


if __name__ == "__main__":
    main()
