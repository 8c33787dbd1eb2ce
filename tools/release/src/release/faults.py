"""Faults of documents that pydantic refuses."""

from pydantic import ValidationError

from inferencelog import one_line


def first_fault(error: ValidationError) -> str:
    """Return where a document is wrong first, and why, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "it"
    return one_line(f"{where}: {first['msg']}")
