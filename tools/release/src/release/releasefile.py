"""Release file `environments/<environment>/release.yaml`: the images and the model that an environment runs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from release.errors import ReleaseError

Place = tuple[str, ...]
"""Keys that lead to a value."""

IMAGES: dict[str, Place] = {
    "gateway": ("gateway", "image", "digest"),
    "transformer": ("transformer", "image", "digest"),
    "predictor": ("predictor", "image", "digest"),
    "drift": ("drift", "image", "digest"),
    "baseline": ("drift", "baseline", "image", "digest"),
}
"""Place of the digest of each service's image."""
MODEL_URI: Place = ("global", "model", "uri")
MODEL_SHA256: Place = ("global", "model", "sha256")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._-]+)+")
_EXAMPLE = f"/{'0' * 12}"
_UNQUOTED = re.compile(r"(sha256:|s3://)\S+")


@dataclass(frozen=True, slots=True)
class Pins:
    """Pins of a complete release file."""

    images: dict[str, str]
    """Digest of each service's image."""
    model_uri: str
    model_sha256: str

    @property
    def model_version(self) -> str:
        """Return the last part of the model's URI."""
        return self.model_uri.rpartition("/")[2]


def check_digest(what: str, digest: str) -> None:
    """Refuse a text that is not an image digest, or that is only a placeholder.

    Raises:
        ReleaseError: If the text is not `sha256:` and 64 hexadecimal digits, or if it is a placeholder.
    """
    if not _DIGEST.fullmatch(digest) or _stands_in(digest.removeprefix("sha256:")):
        raise ReleaseError(
            f"{what}: {digest!r} is no digest of an image, sha256: and 64 hexadecimal digits;"
            " take the one that the registry gave when the image was pushed"
        )


def check_sha256(what: str, sha256: str) -> None:
    """Refuse a text that is not the SHA-256 of a file, or that is only a placeholder.

    Raises:
        ReleaseError: If the text is not 64 hexadecimal digits, or if it is a placeholder.
    """
    if not _SHA256.fullmatch(sha256) or _stands_in(sha256):
        raise ReleaseError(f"{what}: {sha256!r} is no SHA-256, 64 hexadecimal digits; run make pin-model")


def check_uri(what: str, uri: str) -> None:
    """Refuse a text that does not name the folder of a model.

    Raises:
        ReleaseError: If the text is not `s3://bucket/…/version`, or if it is a placeholder.
    """
    if not _URI.fullmatch(uri):
        raise ReleaseError(f"{what}: {uri!r} must be s3://bucket/…/version, without a slash at its end")
    if uri.endswith(_EXAMPLE):
        raise ReleaseError(f"{what}: {uri!r} is the example that the file came with; run make pin-model")


def _stands_in(digits: str) -> bool:
    return len(set(digits)) == 1


class ReleaseFile:
    """Text of a release file, in which single values can be replaced while the rest stays as its author wrote it."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self._root = _parse(text, name)

    @classmethod
    def read(cls, path: Path) -> "ReleaseFile":
        """Read a release file.

        Raises:
            ReleaseError: If the file is missing or not YAML.
        """
        name = "/".join(path.parts[-3:])
        try:
            return cls(path.read_text(), name)
        except FileNotFoundError:
            raise ReleaseError(f"{name} does not exist; copy another environment's, then pin") from None

    def get(self, place: Place) -> str:
        """Return the value at a place; "" if there is none."""
        node = self._find(place)
        return "" if node is None or node.tag.endswith(":null") else str(node.value)

    def replaced(self, values: Mapping[Place, str]) -> "ReleaseFile":
        """Return the file with other values.

        Raises:
            ReleaseError: If a place is not in the file.
        """
        text = self.text
        # Replace from the end backwards, so that the positions found earlier stay valid.
        for node, value in sorted(((self._node(p), v) for p, v in values.items()), key=_start, reverse=True):
            start, end = node.start_mark.index, node.end_mark.index
            space = "" if text[start - 1].isspace() or text[start - 1] in "{[" else " "
            text = text[:start] + space + _scalar(value) + text[end:]
        changed = ReleaseFile(text, self.name)
        assert all(changed.get(place) == value for place, value in values.items())
        return changed

    def written(self) -> Pins:
        """Return the pins as written, unchecked; "" where there is none."""
        images = {service: self.get(place) for service, place in IMAGES.items()}
        return Pins(images, self.get(MODEL_URI), self.get(MODEL_SHA256))

    def pins(self) -> Pins:
        """Return all pins.

        Raises:
            ReleaseError: If a pin is missing or malformed.
        """
        pins = self.written()
        for service, digest in pins.images.items():
            check_digest(f"{self.name}: {'.'.join(IMAGES[service])}", digest)
        check_uri(f"{self.name}: {'.'.join(MODEL_URI)}", pins.model_uri)
        check_sha256(f"{self.name}: {'.'.join(MODEL_SHA256)}", pins.model_sha256)
        return pins

    def _node(self, place: Place) -> yaml.ScalarNode:
        node = self._find(place)
        if node is None:
            raise ReleaseError(
                f'{self.name} has no {".".join(place)}; write it there once, with "" as its value:'
                " where it stands and what is said about it are yours"
            )
        return node

    def _find(self, place: Place) -> yaml.ScalarNode | None:
        node: yaml.Node | None = self._root
        for key in place:
            if not isinstance(node, yaml.MappingNode):
                return None
            node = next((value for name, value in node.value if name.value == key), None)
        return node if isinstance(node, yaml.ScalarNode) else None


def _parse(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ReleaseError(f"{name} is no YAML: {error}; mend it, or take it back from Git") from None


def _start(item: tuple[yaml.ScalarNode, str]) -> int:
    return item[0].start_mark.index


def _scalar(value: str) -> str:
    """Return a YAML scalar, quoted unless it can only be text: a digest of digits alone would be a number."""
    return value if _UNQUOTED.fullmatch(value) else json.dumps(value)
