"""Command line of `release`."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inferencelog import printable
from release import chart, promote, report
from release.changes import compare
from release.errors import ReleaseError
from release.git import Git
from release.images import read_digests
from release.model import check_place, check_uploaded, read_alone, read_bundle
from release.releasefile import IMAGES, MODEL_SHA256, MODEL_URI, Place, ReleaseFile

LINE_CHARACTERS = 2_000
COMMENT_LIMIT = 60_000
"""Most characters of a comment; GitHub allows 65,536."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; results go to standard output, reasons for failure to standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options, Git.around(Path.cwd())))
    except ReleaseError as error:
        # The error has several lines where helm or git printed several.
        said = "\n".join(printable(line, LINE_CHARACTERS) for line in str(error).split("\n"))
        print(f"release: {said}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release", description="What each environment runs, in Git.")
    commands = parser.add_subparsers(required=True)
    images = commands.add_parser("pin-images", help="write digests of pushed images into a release file")
    images.add_argument("--environment", required=True)
    images.add_argument("--from", dest="source", type=Path, help="folder of buildx metadata, or file of digests")
    images.add_argument("images", nargs="*", metavar="service=sha256:…", help=", ".join(IMAGES))
    images.set_defaults(run=_pin_images)
    model = commands.add_parser("pin-model", help="write a model into a release file")
    model.add_argument("--environment", required=True)
    what = model.add_mutually_exclusive_group(required=True)
    what.add_argument("--bundle", type=Path, help="the bundle's folder; all its files are checked")
    what.add_argument("--manifest", type=Path, help="its model.json alone, where the bundle is elsewhere")
    model.add_argument("--uri", required=True, help="where it was uploaded: s3://bucket/…/version; it is looked at")
    model.add_argument("--offline", action="store_true", help="pin without looking at the URI")
    model.set_defaults(run=_pin_model)
    _add_reading(commands)
    return parser


def _add_reading(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    promotion = commands.add_parser("promote", help="commit one environment's release as another's")
    promotion.add_argument("--from", dest="source", default="staging")
    promotion.add_argument("--to", dest="target", default="production")
    promotion.add_argument("--models", type=Path, default=Path("build/models"), help="bundles whose metrics to show")
    evidence = Path("build/evidence/evidence.json")
    promotion.add_argument("--evidence", type=Path, default=evidence, help="by make evidence (%(default)s)")
    promotion.add_argument("--without-evidence", metavar="REASON", help="promote all the same; it is committed")
    promotion.add_argument("--dry-run", action="store_true", help="print the commit's message and change nothing")
    promotion.set_defaults(run=_promote)
    render = commands.add_parser("render", help="print an environment's manifests")
    render.add_argument("environment")
    render.set_defaults(run=_render)
    pins = commands.add_parser("pins", help="print a service and the digest of its image, a line each")
    pins.add_argument("environment")
    pins.set_defaults(run=_pins)
    diff = commands.add_parser("diff", help="what this tree changes in each environment's manifests, as Markdown")
    diff.add_argument("--base", help="revision to compare with, where the branch left it (origin/main, else main)")
    diff.add_argument("--limit", type=int, default=COMMENT_LIMIT, help="characters, 0 for all (%(default)s)")
    diff.set_defaults(run=_diff)


def _pin_images(options: argparse.Namespace, git: Git) -> int:
    digests = read_digests(options.images, options.source)
    return _write(git, options.environment, {IMAGES[service]: digest for service, digest in digests.items()})


def _pin_model(options: argparse.Namespace, git: Git) -> int:
    model = read_bundle(options.bundle) if options.bundle else read_alone(options.manifest)
    check_place(model, options.uri)
    if not options.offline:
        check_uploaded(model, options.uri)
    pinned = _write(git, options.environment, {MODEL_URI: options.uri, MODEL_SHA256: model.sha256})
    # Show the threshold, which decides each verdict, to whoever reviews the pin.
    print(f"model {model.version}: a mail is spam from {model.threshold:g} on")
    looked = f"{options.uri} holds this bundle"
    print(looked if not options.offline else f"not checked: whether {looked}")
    return pinned


def _write(git: Git, environment: str, values: dict[Place, str]) -> int:
    chart.check_environment(git.root, environment)
    path = git.root / chart.release_path(environment)
    before = ReleaseFile.read(path)
    path.write_text(before.replaced(values).text)
    for place, value in values.items():
        old = before.get(place)
        print(f"{'.'.join(place)}: " + ("unchanged" if old == value else f"{old or 'nothing'} -> {value}"))
    return 0


def _promote(options: argparse.Namespace, git: Git) -> int:
    promotion = promote.prepare(
        git, options.source, options.target, options.models, options.evidence, options.without_evidence
    )
    if options.dry_run:
        print(promotion.message)
        print("A dry run: nothing was written.")
        return 0
    name = promote.commit(git, promotion)
    print(promotion.message)
    branch = f"promote/{options.target}-{name}"
    print(f"Committed as {name}, not pushed. Next, for a pull request that the code owners approve:")
    print(f"    git push origin HEAD:refs/heads/{branch}")
    return 0


def _render(options: argparse.Namespace, git: Git) -> int:
    chart.check_environment(git.root, options.environment)
    print(chart.render(chart.find_helm(git.root), git.root, options.environment), end="")
    return 0


def _pins(options: argparse.Namespace, git: Git) -> int:
    chart.check_environment(git.root, options.environment)
    for service, digest in ReleaseFile.read(git.root / chart.release_path(options.environment)).pins().images.items():
        print(service, digest)
    return 0


def _diff(options: argparse.Namespace, git: Git) -> int:
    helm = chart.find_helm(git.root)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        git.export(_fork(git, options.base), base, "charts", chart.ENVIRONMENTS)
        names = sorted({*chart.environments(base), *chart.environments(git.root)})
        results = {name: _compared(helm, base, git.root, name) for name in names}
    print(report.as_markdown(results, options.limit or sys.maxsize), end="")
    return int(any(isinstance(result, report.NotCompared) and result.ours for result in results.values()))


def _fork(git: Git, base: str | None) -> str:
    """Return the commit where this branch left its base; later commits of the base are not changes of this branch."""
    named = [base] if base else ["origin/main", "main"]
    known = [name for name in named if git.resolves(name)]
    if not known:
        raise ReleaseError(f"{' and '.join(named)} is no revision here; fetch it, or name another: make diff BASE=…")
    return git.run("merge-base", known[0], "HEAD").strip()


def _compared(helm: str, base: Path, head: Path, environment: str) -> report.Result:
    try:
        after = _objects(helm, head, environment)
    except chart.RenderError as error:
        return report.NotCompared(str(error), ours=True)
    try:
        return compare(_objects(helm, base, environment), after)
    except chart.RenderError as error:
        return report.NotCompared(str(error), ours=False)


def _objects(helm: str, root: Path, environment: str) -> chart.Objects:
    """Return the objects of an environment; none if the tree lacks it because this branch adds or removes it."""
    there = environment in chart.environments(root)
    return chart.parse(chart.render(helm, root, environment)) if there else {}


if __name__ == "__main__":
    sys.exit(main())
