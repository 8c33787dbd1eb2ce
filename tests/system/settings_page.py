"""The page docs/settings.md, written from the settings classes of the services.

`make settings-page` writes it anew: `python tests/system/settings_page.py`. The classes are read as source, so that no
service has to be installed: a settings class is one that is derived from `BaseSettings` in a file `settings.py`.
"""

import ast
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "settings.md"
MIB = 1024 * 1024
WIDTH = 120

HEAD = """\
# Settings

<!-- Written by `make settings-page` from the settings classes; edit those. -->

Each process reads its settings from environment variables. Text in a wrong form, a number out of its limits and a
required variable that is missing end the process with exit code 2; the last log line names the variable.

- On one machine, `make run` passes its own environment on: `MAX_BATCH_MAILS=64 make run`.
- On a cluster, `settings:` of each component in `environments/<environment>/values.yaml` sets them; see
  [Deploying](deploying.md).
- Images and chart set the host to `0.0.0.0`. The chart also sets `DRAIN_SECONDS` to 10 and `SHUTDOWN_SECONDS` to 15.
- `MAX_BODY_BYTES` of transformer and predictor must grow with the gateway's `MAX_BATCH_BYTES`, six times as far: JSON
  may need six bytes for a character.
"""

SECTIONS = {
    "gateway": ("Gateway", "The canary's limits are required where `CANARY_SHARE` is above 0."),
    "transformer": ("Transformer", ""),
    "predictor": ("Predictor", ""),
    "drift": (
        "Drift detector",
        "Each variable is also an option, which wins: `--minimum-rows` for `MINIMUM_ROWS`. `drift-detector --help`"
        " lists them.",
    ),
    "tracing": (
        "Traces",
        "Gateway, transformer and predictor read these. They are OpenTelemetry's own names, except for"
        " `TRACING_PARENTS_PER_SECOND`. The SDK reads others by itself, such as `OTEL_RESOURCE_ATTRIBUTES`,"
        " `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_CERTIFICATE` and `OTEL_BSP_*`.",
    ),
}
"""Package -> title and introduction, in the order of the page. A package that is not named here comes last."""

FOOT = """\

## Object storage

Every process that reads or writes S3 takes the variables that S3 clients know: `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT_URL_S3`.

## Baseline generator

`baseline-generator` is a command with options. `baseline-generator corpus --help` and `baseline-generator log --help`
list them with the environment variables that they default to.
"""

TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "`true` or `false`",
    "str": "text",
    "Path": "path",
    "HttpUrl": "URL",
    "AnyHttpUrl": "URL",
}
DEFAULT = re.compile(r"\s*\(default: ([^)]*)\)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable; each text is Markdown."""

    name: str
    kind: str
    default: str
    meaning: str


class Module:
    """Python file whose constants can be looked up, including those that it imports from other packages here."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))

    def definition(self, name: str) -> "tuple[Module, ast.expr | ast.ClassDef] | None":
        """Return what a name stands for, and the module in which to read it."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return self, node.value
            if isinstance(node, ast.ClassDef) and node.name == name:
                return self, node
            if isinstance(node, ast.ImportFrom) and node.module and any(each.name == name for each in node.names):
                source = source_of(node.module)
                return Module(source).definition(name) if source else None
        return None

    def value(self, node: ast.expr) -> Any:
        """Return the value of a constant expression.

        Raises:
            ValueError: It is none, or of a form that is not known here.
        """
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if found := self.definition(name):
                module, expression = found
                if isinstance(expression, ast.expr):
                    return module.value(expression)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self.value(left) * self.value(right)
            case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
                return self.value(left) // self.value(right)
            case ast.JoinedStr(values=values):
                return "".join(str(self.value(each)) for each in values)
            case ast.FormattedValue(value=value):
                return self.value(value)
            case ast.Call(func=ast.Name(id="Path"), args=[path]):
                return self.value(path)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return self._attribute(name, attribute)
        raise ValueError(f"{ast.unparse(node)} is no constant")

    def _attribute(self, name: str, attribute: str) -> Any:
        """Return the default of a dataclass field, if `name` is such an object made without arguments."""
        match self.definition(name):
            case (module, ast.Call(func=ast.Name(id=made), args=[], keywords=[])):
                match module.definition(made):
                    case (owner, ast.ClassDef(body=body)):
                        for node in body:
                            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == attribute and node.value:
                                return owner.value(node.value)
        raise ValueError(f"{name}.{attribute} is no constant")


def source_of(module: str) -> Path | None:
    """Return the file of a module of this repository; None for others."""
    package, *inner = module.split(".")
    for folder in sorted(ROOT.glob(f"*/*/src/{package}")):
        path = folder.joinpath(*inner)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists() and (inner or file.name == "__init__.py"):
                return file
    return None


def settings_files() -> list[Path]:
    """Return all files that may hold a settings class."""
    return sorted(path for path in ROOT.glob("*/*/src/**/settings.py") if "BaseSettings" in path.read_text("utf-8"))


def settings_of(path: Path) -> list[Setting]:
    """Return the settings in one file, in their order."""
    module = Module(path)
    return [
        setting
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "BaseSettings" for base in node.bases)
        for setting in class_settings(module, node)
    ]


def class_settings(module: Module, settings: ast.ClassDef) -> Iterator[Setting]:
    followed = zip(settings.body, [*settings.body[1:], None], strict=True)
    for node, after in followed:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id.upper()
        described = docstring(after) or description(module, node.value)
        stated = DEFAULT.search(described)
        meaning = DEFAULT.sub("", described)
        yield Setting(
            name=name,
            kind=escaped(kind(module, node.annotation, node.value)),
            default=escaped(stated.group(1) if stated else default(module, name, node.value)),
            meaning=escaped(sentence(meaning)),
        )


def docstring(node: ast.stmt | None) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split())
    return ""


def description(module: Module, value: ast.expr | None) -> str:
    found = keywords(value).get("description")
    return " ".join(str(module.value(found)).split()) if found else ""


def keywords(call: ast.expr | None) -> dict[str, ast.expr]:
    return {each.arg: each.value for each in call.keywords if each.arg} if isinstance(call, ast.Call) else {}


def default(module: Module, name: str, value: ast.expr | None) -> str:
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        value = value.args[0] if value.args else None
    if value is None:
        return "required"
    found = module.value(value)
    if found is None or found == "":
        return ""
    if isinstance(found, bool):
        return f"`{str(found).lower()}`"
    if name.endswith("_BYTES") and found % MIB == 0:
        return f"`{found}` ({found // MIB} MiB)"
    return f"`{found:g}`" if isinstance(found, float) else f"`{found}`"


def kind(module: Module, annotation: ast.expr, value: ast.expr | None) -> str:
    """Return the type in words, with its limits."""
    name, limits = parts(module, annotation)
    limits |= {key: module.value(each) for key, each in keywords(value).items() if key != "description"}
    return " ".join([name, *limits_in_words(limits)])


def parts(module: Module, annotation: ast.expr) -> tuple[str, dict[str, Any]]:
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return parts(module, left)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *more])):
            name, limits = parts(module, inner)
            for each in more:
                limits |= {key: module.value(found) for key, found in keywords(each).items()}
            return name, limits
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            named = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return ", ".join(f"`{module.value(each)}`" for each in named), {}
        case ast.Subscript(value=ast.Name(id="dict")):
            return "JSON object", {}
        case ast.Name(id=name) if name in TYPES:
            return TYPES[name], {}
        case ast.Name(id=name) if found := module.definition(name):
            owner, expression = found
            if isinstance(expression, ast.expr):
                return parts(owner, expression)
    raise ValueError(f"no words are known for the type {ast.unparse(annotation)}")


def limits_in_words(limits: dict[str, Any]) -> Iterator[str]:
    if "ge" in limits and "le" in limits:
        yield f"from {limits['ge']} to {limits['le']}"
    else:
        words = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}
        if bounds := [f"{word} {limits[key]}" for key, word in words.items() if key in limits]:
            yield " and ".join(bounds)
    if limits.get("min_length"):
        yield "that is not empty"
    if pattern := limits.get("pattern") or limits.get("regex"):
        yield f"that matches `{pattern}`"


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop, unless it begins with a name."""
    if not text:
        return ""
    whole = text if text[0] == "`" else text[0].upper() + text[1:]
    return whole if whole.endswith((".", "?", "!", "…")) else f"{whole}."


def escaped(text: str) -> str:
    """Return a text for a cell of a table."""
    return text.strip().replace("|", "\\|")


def page() -> str:
    """Return the page as it should be."""
    files = {path.parent.name: path for path in settings_files()}
    order = [*(name for name in SECTIONS if name in files), *(name for name in files if name not in SECTIONS)]
    return HEAD + "".join(map(section, [files[name] for name in order])) + FOOT


def section(path: Path) -> str:
    package = path.parent.name
    title, introduction = SECTIONS.get(package, (package.capitalize(), ""))
    source = f"Source: [`{path.relative_to(ROOT)}`]({os.path.relpath(path, PAGE.parent)})."
    rows = "".join(f"| `{each.name}` | {each.kind} | {each.default} | {each.meaning} |\n" for each in settings_of(path))
    said = f"{textwrap.fill(introduction, WIDTH)}\n\n" if introduction else ""
    head = f"\n## {title}\n\n{said}{source}\n\n"
    return head + "| variable | value | default | meaning |\n|---|---|---|---|\n" + rows


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
