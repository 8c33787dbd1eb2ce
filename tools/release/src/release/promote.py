"""Promotion: one environment's release file becomes another's in a single commit that shows its effect."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inferencelog import printable
from manifest import Manifest
from release import chart, report
from release import evidence as evidence_file
from release.changes import compare
from release.errors import ReleaseError
from release.git import Git
from release.model import check_kind, find_model
from release.override import threshold_of
from release.releasefile import IMAGES, Pins, ReleaseFile

DIFF_LIMIT = 20_000
"""Most characters of the rendered diff in the commit message, so that `git log` stays readable."""
SUBJECT_LIMIT = 72
LINE_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True)
class Promotion:
    """Promotion that is ready to be committed."""

    path: Path
    content: str
    message: str


def prepare(
    git: Git, source: str, target: str, models: Path, evidence: Path, without_evidence: str | None
) -> Promotion:
    """Check a promotion and write its message, without changing anything.

    Args:
        git: Repository.
        source: Environment whose release is promoted.
        target: Environment that gets it.
        models: Root of bundles, `<models>/<name>/<version>`; metrics are shown for the models found there.
        evidence: File that `make evidence` has written about the model.
        without_evidence: Reason to promote without evidence, if any.

    Raises:
        ReleaseError: If there is nothing to promote, or if the promotion is not allowed.
    """
    for environment in (source, target):
        chart.check_environment(git.root, environment)
    _check_clean(git)
    paths = {environment: git.root / chart.release_path(environment) for environment in (source, target)}
    release = ReleaseFile.read(paths[source])
    pins = release.pins()
    check_kind(models, pins, source)
    before = ReleaseFile.read(paths[target]).written()
    if before == pins:
        raise ReleaseError(f"{target} already runs what {source} runs; there is nothing to promote")
    asked = evidence_file.Asked(git.root, source, target, before, pins, datetime.now(UTC))
    shown = evidence_file.summary(evidence, asked, without_evidence)
    changes = _rendered(git.root, target, paths[source])
    summary = [*_summary(before, pins, models), *_override(git.root, target)]
    # A bundle, the evidence or a release file may contain line breaks, but each item must stay one line of the message.
    lines = [printable(line, LINE_CHARACTERS) for line in [_subject(target, before, pins), "", *summary, "", *shown]]
    message = "\n".join([*lines, "", changes, ""])
    return Promotion(paths[target], release.text, message)


def commit(git: Git, promotion: Promotion) -> str:
    """Commit only the promotion, and return the commit's short name.

    Raises:
        ReleaseError: If git refuses; the tree is then unchanged.
    """
    path = str(promotion.path.relative_to(git.root))
    before = promotion.path.read_bytes()
    promotion.path.write_text(promotion.content)
    try:
        # Commit this path alone, whatever else is staged.
        git.run("commit", "--quiet", "--file=-", "--only", "--", path, text=promotion.message)
    except ReleaseError:
        promotion.path.write_bytes(before)
        raise
    return git.run("rev-parse", "--short", "HEAD").strip()


def _check_clean(git: Git) -> None:
    # The chart counts too: the diff in the message must be that of the commit.
    changed = git.changes(chart.ENVIRONMENTS, "charts")
    if changed:
        raise ReleaseError(
            f"not committed: {', '.join(changed[:5])}; commit or stash it, a promotion is of what has been reviewed"
        )


def _rendered(root: Path, target: str, release: Path) -> str:
    helm = chart.find_helm(root)
    after = chart.parse(chart.render(helm, root, target, release))
    try:
        before = chart.parse(chart.render(helm, root, target))
    except chart.RenderError as error:
        return "\n".join([f"{target} did not render before:", *(f"    {line}" for line in str(error).splitlines())])
    return report.as_text(compare(before, after), DIFF_LIMIT)


def _subject(target: str, before: Pins, after: Pins) -> str:
    images = [service for service in IMAGES if before.images[service] != after.images[service]]
    model = [f"model {after.model_version}"] if before.model_sha256 != after.model_sha256 else []
    subject = f"Promote to {target}: {', '.join([*model, *images])}"
    if len(subject) <= SUBJECT_LIMIT:
        return subject
    return f"Promote to {target}: {', '.join([*model, f'{len(images)} images'])}"


def _summary(before: Pins, after: Pins, models: Path) -> Iterator[str]:
    for service in IMAGES:
        yield f"{service:12}{_change(_short(before.images[service]), _short(after.images[service]))}"
    yield f"{'model':12}{_change(before.model_uri, after.model_uri)}"
    if before.model_sha256 != after.model_sha256:
        yield f"{'':12}SHA-256 {_change(before.model_sha256, after.model_sha256)}"
        yield from _metrics(find_model(models, before), find_model(models, after))


def _override(root: Path, target: str) -> Iterator[str]:
    """Yield a line if the target has a threshold of its own, which the promoted model gets too."""
    threshold = threshold_of(root, target)
    if threshold is not None:
        yield f"{'':12}spam from {threshold:.4g} on in {target}, which sets it in place of the model's own"


def _change(before: str, after: str) -> str:
    return "unchanged" if before == after else f"{before or 'nothing'} -> {after}"


def _metrics(before: Manifest | None, after: Manifest | None) -> Iterator[str]:
    if after is None:
        yield f"{'':12}metrics: its model.json is not at hand"
        return
    known = {"threshold": before.threshold, **before.metrics} if before else {}
    for name, value in {"threshold": after.threshold, **after.metrics}.items():
        if isinstance(value, float):
            old = known.get(name)
            was = f"{old:.4g} -> " if isinstance(old, float) else ""
            yield f"{'':12}{name} {was}{value:.4g}"


def _short(digest: str) -> str:
    """Return enough of a digest to recognise it; the diff below has all of it."""
    return digest[: len("sha256:") + 12]
