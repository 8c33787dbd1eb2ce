"""API keys, and the file that knows them by their hashes.

A key is 256 random bits of our making, so nobody finds it by trying what its SHA-256 could be of. Slow hashes and salts
are for passwords, which people choose, and would cost every request what they cost an attacker.
"""

import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

PREFIX = "msk_"
"""By which people and scanners for leaked secrets know a key."""
KEY_BYTES = 32

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ApiKeysError(ValueError):
    """The file of keys is missing or wrong; says which key and field, and never what a field holds."""


class ApiKey(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    """Whose it is, for logs and metrics."""
    sha256: str
    """Of the key, 64 hex digits in lower case."""
    environments: Annotated[tuple[str, ...], Field(min_length=1)]
    """Those that it may ask."""
    mails_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """For each replica of the gateway; none for no limit. A request of n mails counts n."""
    burst: Annotated[int, Field(ge=1)] | None = None
    """Mails that may come at once after a pause; without it those of one second."""

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("is not 1 to 63 of a-z, 0-9 and - (neither first nor last)")
        return name

    @field_validator("sha256")
    @classmethod
    def _is_digest(cls, digest: str) -> str:
        if digest.startswith(PREFIX):
            raise ValueError("is a key, not its SHA-256, and is known to all who have read the file: make another")
        if not _SHA256.fullmatch(digest):
            raise ValueError("is not 64 hex digits in lower case; `gateway api-key` prints the entry of a new key")
        return digest

    @model_validator(mode="after")
    def _burst_has_a_rate(self) -> Self:
        if self.burst is not None and self.mails_per_second is None:
            raise ValueError("burst without mails_per_second, of which it is a part")
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of the key, 32 bytes."""
        return bytes.fromhex(self.sha256)

    @property
    def rate(self) -> tuple[float, int] | None:
        """Mails a second, and at once; None without a limit."""
        if self.mails_per_second is None:
            return None
        return self.mails_per_second, self.burst or max(1, math.ceil(self.mails_per_second))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    keys: Annotated[list[ApiKey], Field(min_length=1)]


def new_key() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: str) -> bytes:
    """SHA-256 of a key as it comes in a header, 32 bytes."""
    return sha256(key.encode("latin-1", errors="replace")).digest()


def read_keys(path: Path, environments: Sequence[str]) -> list[ApiKey]:
    """The keys in a file.

    Args:
        environments: Those that the gateway knows.

    Raises:
        ApiKeysError: The file cannot be read, is not as described, or names what there is not.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ApiKeysError(f"{path} cannot be read: {error.strerror}") from None
    return parse_keys(content, environments, str(path))


def parse_keys(content: bytes, environments: Sequence[str], place: str) -> list[ApiKey]:
    """The keys in JSON; as `read_keys`, `place` being its name for errors."""
    try:
        keys = _File.model_validate_json(content).keys
    except ValidationError as error:
        names = _names(content)
        found = [_described(each, names) for each in error.errors(include_url=False, include_input=False)]
        raise ApiKeysError(f"{place}: " + "; ".join(found[:5])) from None
    faults = [*_repeated(keys), *_unknown(keys, environments)]
    if faults:
        raise ApiKeysError(f"{place}: " + "; ".join(faults))
    return keys


def _repeated(keys: list[ApiKey]) -> list[str]:
    names = Counter(key.name for key in keys)
    digests = Counter(key.sha256 for key in keys)
    twice = [", ".join(key.name for key in keys if key.sha256 == digest) for digest, n in digests.items() if n > 1]
    return [f"key {name}: {n} entries have this name" for name, n in names.items() if n > 1] + [
        f"keys {names}: the same sha256; make a key for each" for names in twice
    ]


def _unknown(keys: list[ApiKey], environments: Sequence[str]) -> list[str]:
    known = ", ".join(environments)
    return [
        f"key {key.name}: environments: {name!r} is not known; known: {known}"
        for key in keys
        for name in key.environments
        if name not in environments
    ]


def _described(error: ErrorDetails, names: dict[int, str]) -> str:
    """Which field of which key is wrong, and why. What the field holds may be a key, and is left out."""
    keys, i, field = (*error["loc"], "", "", "")[:3]
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = _File.model_fields if i == "" else ApiKey.model_fields
        reason = f"is no field; known: {', '.join(known)}"
    place = keys if i == "" else f"key {names.get(int(i), f'number {int(i) + 1}')}"
    return ": ".join(filter(None, [str(place), str(field), reason]))


def _names(content: bytes) -> dict[int, str]:
    """The names, as far as there are any, in a file of which something is wrong."""
    try:
        named = [entry.get("name", "") for entry in json.loads(content)["keys"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {i: name for i, name in enumerate(named) if isinstance(name, str) and _NAME.fullmatch(name)}
