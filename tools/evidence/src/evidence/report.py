"""Report of the evidence: `evidence.md`, `evidence.json` and the plots beside them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from evidence import pictures
from evidence.models import Side
from evidence.result import Evidence
from evidence.shadow import KINDS, Disagreement, ShadowResult
from inferencelog import one_line

JSON_NAME, MARKDOWN_NAME = "evidence.json", "evidence.md"
_CAPTIONS = {
    pictures.ROC: "ROC curves of both models on the same labelled mails",
    pictures.SCORES: "probabilities of both models for the same mails",
    pictures.DIFFERENCES: "distribution of the differences",
    pictures.LATENCY: "distribution of the times",
}
_SHOWN_FEATURES = 5


def write(evidence: Evidence, folder: Path) -> None:
    """Write all files into a folder, in place of those of an earlier run.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (JSON_NAME, MARKDOWN_NAME, *_CAPTIONS):
        (folder / name).unlink(missing_ok=True)
    drawn = pictures.pictures(evidence.offline, evidence.shadow)
    for name, data in drawn.items():
        (folder / name).write_bytes(data)
    (folder / MARKDOWN_NAME).write_text(as_markdown(evidence, list(drawn)))
    # Write the JSON last, so that whoever sees it finds the report beside it.
    (folder / JSON_NAME).write_text(json.dumps(evidence.as_json(), indent=2, allow_nan=False) + "\n")


def as_markdown(evidence: Evidence, drawn: list[str]) -> str:
    """Return the report for a pull request.

    Args:
        evidence: Evidence to report.
        drawn: Names of the pictures beside the report.
    """
    parts = [_head(evidence), _checks(evidence), _advice(evidence), _shadow(evidence.shadow), _pictures(drawn)]
    parts += [_disagreements(evidence.shadow.disagreements), _notes(evidence)]
    return "\n".join(line for part in parts for line in [*part, ""])


def _head(evidence: Evidence) -> Iterator[str]:
    candidate, production = evidence.candidate, evidence.production
    yield f"# Evidence: {_code(candidate.version)} is {evidence.outcome}"
    yield ""
    for name, side in (("Candidate", candidate), ("Production", production)):
        yield f"{name}: {_code(side.version)} of {side.environment}, SHA-256 {_code(side.sha256)}, {_threshold(side)}  "
    yield f"Period: {evidence.start:%Y-%m-%d %H:%M} to {evidence.made:%Y-%m-%d %H:%M} UTC"


def _threshold(side: Side) -> str:
    from_here = f"spam from {side.threshold:.4g} on"
    own = side.manifest.threshold
    return from_here if side.override is None else f"{from_here} as the target sets it, not from its own {own:.4g}"


def _checks(evidence: Evidence) -> Iterator[str]:
    yield "| check | outcome | measured | threshold |"
    yield "|---|---|---|---|"
    for each in evidence.checks:
        outcome = f"**{each.outcome}**" if each.outcome == "refused" else each.outcome
        yield f"| {each.name} | {outcome} | {cell(each.measured)} | {cell(each.threshold)} |"


def _advice(evidence: Evidence) -> Iterator[str]:
    if evidence.refused:
        yield "What to do:"
        for each in evidence.refused:
            yield f"- {each.name}: {cell(each.advice)}"


def _shadow(shadow: ShadowResult) -> Iterator[str]:
    yield "## Shadowed mails"
    yield ""
    yield "| production said | candidate: spam | candidate: ham |"
    yield "|---|---|---|"
    for kind in KINDS:
        yield f"| {kind} | {shadow.table[kind]['spam']} | {shadow.table[kind]['ham']} |"
    yield ""
    window = shadow.window
    yield (
        f"{shadow.agreement.mails} mails of {shadow.requests} requests, each counted once;"
        f" set aside: {window.duplicates} rows of a mail that is counted already"
        f" ({window.contradictions} with another prediction), {window.other_models} rows of other models,"
        f" {shadow.unusable} rows with a value that no mail has, {window.misplaced} rows of another"
        f" environment or hour,"
        f" {len(window.unreadable)} files that cannot be read."
    )


def _pictures(drawn: list[str]) -> Iterator[str]:
    for name in drawn:
        yield f"![{_CAPTIONS[name]}]({name})"


def _disagreements(found: list[Disagreement]) -> Iterator[str]:
    if not found:
        return
    yield "## Largest disagreements"
    yield ""
    yield "| request | mail | production | candidate | features |"
    yield "|---|---|---|---|---|"
    for each in found:
        largest = sorted(each.features.items(), key=lambda item: -item[1])[:_SHOWN_FEATURES]
        shown = ", ".join(f"{name} {value:.4g}" for name, value in largest)
        sides = (
            f"{each.production_prediction} {each.production_probability:.4f}",
            f"{each.candidate_prediction} {each.candidate_probability:.4f}",
        )
        yield f"| {_code(each.request_id)} | {each.position} | {' | '.join(sides)} | {shown} |"
    yield ""
    yield f"The {_SHOWN_FEATURES} largest features of each; all are in {JSON_NAME}. A mail's text is nowhere."


def _notes(evidence: Evidence) -> Iterator[str]:
    yield "## How to read this"
    yield ""
    yield (
        "- Offline: scores paired by mail, out of fold for mail that a model learned from. Not significantly worse is"
        " no proof of equal: the interval says how much worse the candidate may be. Similar mails are taken as"
        " independent."
    )
    yield (
        "- Agreement says how much production's answers would change, and not which model is right."
        " Its intervals take mails as independent."
    )
    yield (
        "- Times are not of the same stretch: production's is measured by the gateway, the candidate's by its"
        " transformer, so it lacks the way there. Only those of mails count that both had in batches of one size."
    )
    if isinstance(evidence.health, str):
        yield f"- Health: {cell(evidence.health)}"


def cell(text: str) -> str:
    """Return foreign text that stays in its table cell and is nothing but text.

    Words that GitHub would turn into links or mentions become code, because no backslash prevents that.
    """
    return " ".join(
        _code(word, 300) if _LINKED.search(word) else _escaped(word) for word in one_line(text, 2_000).split()
    )


_LINKED = re.compile(r"[@#]|://|www\.", re.IGNORECASE)


def _escaped(word: str) -> str:
    return re.sub(r"([|<>\[\]`*_~&\\])", r"\\\1", word)


def _code(text: str, limit: int = 100) -> str:
    """Return a name that others chose, such as a request id, as code."""
    return f"`{re.sub(r'[^A-Za-z0-9._:/+=@#-]', '?', text)[:limit]}`"
