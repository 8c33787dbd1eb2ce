"""Digests of pushed images, given one by one or read from the build's files."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from release.errors import ReleaseError
from release.releasefile import IMAGES, check_digest

BUILDX_DIGEST = "containerimage.digest"
"""Key of the digest in buildx's `--metadata-file`."""


def read_digests(arguments: Sequence[str], source: Path | None) -> dict[str, str]:
    """Return checked digests by service.

    Args:
        arguments: Texts of the form `service=sha256:…`.
        source: Folder with a buildx metadata file `<service>.json` for each image; or a file, either a JSON object of
            digests by service or lines of `service digest`.

    Raises:
        ReleaseError: If there are no digests, if a service has no image, or if a digest is malformed or contradicts
            another.
    """
    found: dict[str, str] = {}
    for service, digest in [*map(_argument, arguments), *(_read(source) if source else [])]:
        _check(service, digest, found)
        found[service] = digest
    if not found:
        raise ReleaseError("no image is named; give service=sha256:…, or the folder that make image writes")
    return found


def _check(service: str, digest: str, found: dict[str, str]) -> None:
    if service not in IMAGES:
        raise ReleaseError(f"{service!r} has no image; the services are {', '.join(IMAGES)}")
    check_digest(service, digest)
    if found.get(service, digest) != digest:
        raise ReleaseError(f"{service} is given twice, as {found[service]} and as {digest}; give one")
    same = [other for other in found if found[other] == digest and other != service]
    if same:
        raise ReleaseError(f"{service} and {same[0]} are given the same image {digest}; one of them is a slip")


def _argument(text: str) -> tuple[str, str]:
    service, equals, digest = text.partition("=")
    if not equals:
        raise ReleaseError(f"{text!r} must be service=sha256:…")
    return service, digest


def _read(source: Path) -> Iterable[tuple[str, str]]:
    if source.is_dir():
        files = sorted(source.glob("*.json"))
        return [(path.stem, str(_json(path).get(BUILDX_DIGEST))) for path in files]
    if not source.exists():
        raise ReleaseError(f"{source} does not exist; build and push the images first: make image PUSH=1")
    if source.read_text().lstrip().startswith("{"):
        return [(service, str(digest)) for service, digest in _json(source).items()]
    return [_line(line, source) for line in source.read_text().splitlines() if line.strip()]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ReleaseError(f"{path} is no JSON ({error}); build the image again") from None
    if not isinstance(content, dict):
        raise ReleaseError(f"{path} holds no JSON object; build the image again")
    return content


def _line(line: str, source: Path) -> tuple[str, str]:
    parts = line.split()
    if len(parts) != 2:
        raise ReleaseError(f"{source}: {line!r} must be a service and its digest")
    return parts[0], parts[1]
