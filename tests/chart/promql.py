"""Metrics and labels that a PromQL expression names. promtool checks whether the expression is valid."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<range>\[[^\]]*\])|(?P<number>\d[\w.]*)"""
    r"""|(?P<name>[a-zA-Z_:][\w:]*)|(?P<sign>\S)"""
)
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = GROUPING | {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"}
AGGREGATIONS = {"sum", "min", "max", "avg", "group", "count", "topk", "bottomk", "quantile", "stddev", "stdvar"}


@dataclass(slots=True)
class Named:
    """Names in an expression."""

    metrics: list[tuple[str, set[str]]] = field(default_factory=list)
    """Metrics, each with the labels of its matchers."""
    grouping: set[str] = field(default_factory=set)


def named(expression: str) -> Named:
    """Return the metrics with their matchers' labels, and the labels that are grouped or joined by."""
    found = Named()
    tokens = [(str(match.lastgroup), match.group()) for match in TOKEN.finditer(expression)]
    rest = iter([*tokens, ("sign", "")])
    for kind, text in rest:
        if text == "{":
            found.metrics[-1][1].update(_names(rest, "}"))
        elif text.lower() in GROUPING:
            next(rest)
            found.grouping.update(_names(rest, ")"))
        elif kind == "name" and text.lower() not in WORDS | AGGREGATIONS and not _is_call(tokens, text):
            found.metrics.append((text, set()))
    return found


def _names(tokens: Iterator[tuple[str, str]], end: str) -> Iterator[str]:
    for kind, text in tokens:
        if text == end:
            return
        if kind == "name":
            yield text


def _is_call(tokens: list[tuple[str, str]], name: str) -> bool:
    """Return whether a name is called: functions always are, metrics never."""
    return any(text == name and after == "(" for (_, text), (_, after) in pairwise(tokens))
