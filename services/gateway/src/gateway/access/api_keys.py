"""API keys, and the file that lists their hashes.

A key is 256 random bits that this program makes, so nobody can find it by guessing what its SHA-256 may stand for. Slow
hashes and salts protect passwords, which people choose. Here they would cost every request as much as they cost an
attacker.
"""

import json
import math
import os
import re
import secrets
import stat
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from runtime import masked_text
from runtime.secrets import PREFIX

KEY_BYTES = 32
FILE_BYTES = 16 * 1024 * 1024
"""Bytes a file of keys may have; one with 10,000 keys has about 2 MB."""
LEAST_RATE, MOST_RATE = 0.001, 1e6
"""Limits of a rate in mails a second; the smallest is one mail in 17 minutes."""
MOST_BURST = 1_000_000
SHOWN_FAULTS = 5
SHOWN_CHARACTERS = 64
"""Characters of the file's names and fields that an error repeats."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ApiKeysError(ValueError):
    """The file of keys is missing or wrong. The message names the key and field, but never a field's value."""


class ApiKey(BaseModel):
    """One entry of the file: what the gateway stores about a key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    """The key's owner, for logs and metrics."""
    sha256: str
    """SHA-256 of the key as 64 lower-case hex digits."""
    environments: Annotated[tuple[str, ...], Field(min_length=1)]
    """Environments that the key may use."""
    mails_per_second: Annotated[float, Field(ge=LEAST_RATE, le=MOST_RATE, allow_inf_nan=False)] | None = None
    """Rate limit in mails a second for each gateway replica; None for no limit. A request of n mails counts n."""
    burst: Annotated[int, Field(ge=1, le=MOST_BURST)] | None = None
    """Mails that may arrive at once after a pause; default: the mails of one second."""
    canary: bool = True
    """Whether a canary's candidate may answer; false for a caller that needs the environment it names."""

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
        """Return the SHA-256 of the key, 32 bytes."""
        return bytes.fromhex(self.sha256)

    @property
    def rate(self) -> tuple[float, int] | None:
        """Return mails a second and burst, or None for no limit."""
        if self.mails_per_second is None:
            return None
        return self.mails_per_second, self.burst or max(1, math.ceil(self.mails_per_second))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    keys: Annotated[list[ApiKey], Field(min_length=1)]


def new_key() -> str:
    """Return a new random key."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key as it arrives in a header, 32 bytes."""
    return sha256(key.encode("latin-1", errors="replace")).digest()


def read_keys(path: Path, environments: Sequence[str]) -> list[ApiKey]:
    """Return the keys in a file.

    Args:
        environments: Environments that the gateway knows.

    Raises:
        ApiKeysError: The file cannot be read, has invalid content, or names an unknown environment.
    """
    try:
        content = _content(path)
    except OSError as error:
        raise ApiKeysError(f"{path} cannot be read: {error.strerror}") from None
    return parse_keys(content, environments, str(path))


def _content(path: Path) -> bytes:
    # Opening a pipe without a writer would block, and a device may never end.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ApiKeysError(f"{path} cannot be read: it is no regular file")
        content = file.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise ApiKeysError(f"{path} cannot be read: it has more than {FILE_BYTES:,} bytes; take keys out")
    return content


def parse_keys(content: bytes, environments: Sequence[str], place: str) -> list[ApiKey]:
    """Return the keys in JSON; raises as `read_keys`. Errors call the source `place`."""
    plain = _parsed(content, place)
    try:
        keys = _File.model_validate_json(content).keys
    except ValidationError as error:
        names = _names(plain)
        found = [_described(each, names) for each in error.errors(include_url=False, include_input=False)]
        raise _refused(place, found) from None
    faults = [*_repeated(keys), *_unknown(keys, environments)]
    if faults:
        raise _refused(place, faults)
    return keys


def _refused(place: str, faults: list[str]) -> ApiKeysError:
    more = [f"{len(faults) - SHOWN_FAULTS:,} more"] if len(faults) > SHOWN_FAULTS else []
    return ApiKeysError(f"{place}: " + "; ".join([*faults[:SHOWN_FAULTS], *more]))


def _parsed(content: bytes, place: str) -> Any:
    """Return the file's JSON.

    Raises:
        ApiKeysError: The content is not JSON, or an object gives a field twice, so that its value would be a guess.
    """
    try:
        return json.loads(content, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise ApiKeysError(f"{place}: Invalid JSON: it is no UTF-8; write the file anew") from None
    except RecursionError:
        raise ApiKeysError(f"{place}: Invalid JSON: it is nested too deeply; a file has an object with keys") from None
    except _TwiceError as error:
        raise ApiKeysError(f"{place}: {error}") from None
    except ValueError as error:
        raise ApiKeysError(f"{place}: Invalid JSON: {_shown(error, 200)}") from None


class _TwiceError(ValueError):
    """An object gives a field twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        name = found.get("name")
        key = f"key {name}: " if isinstance(name, str) and _NAME.fullmatch(name) else ""
        raise _TwiceError(f"{key}{_shown(twice)}: stands there twice; leave one")
    return found


def _shown(text: object, limit: int = SHOWN_CHARACTERS) -> str:
    """Return text from the file with API keys masked and unprintable characters replaced."""
    plain = "".join(character if character.isprintable() else "?" for character in masked_text(str(text)))
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def _repeated(keys: list[ApiKey]) -> list[str]:
    names = Counter(key.name for key in keys)
    digests = Counter(key.sha256 for key in keys)
    same = {digest for digest, n in digests.items() if n > 1}
    twice = [", ".join(key.name for key in keys if key.sha256 == digest) for digest in list(same)[:SHOWN_FAULTS]]
    return [f"key {name}: {n} entries have this name" for name, n in names.items() if n > 1] + [
        f"keys {names}: the same sha256; make a key for each" for names in twice
    ]


def _unknown(keys: list[ApiKey], environments: Sequence[str]) -> list[str]:
    known = ", ".join(environments)
    return [
        f"key {key.name}: environments: {_shown(name)!r} is not known; known: {known}"
        for key in keys
        for name in key.environments
        if name not in environments
    ]


def _described(error: ErrorDetails, names: dict[int, str]) -> str:
    """Return which field of which key is wrong and why. The field's value may be a key, so it is left out."""
    keys, i, field = (*error["loc"], "", "", "")[:3]
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = _File.model_fields if i == "" else ApiKey.model_fields
        reason = f"is no field; known: {', '.join(known)}"
    place = keys if i == "" else f"key {names.get(int(i), f'number {int(i) + 1}')}"
    return ": ".join(filter(None, [_shown(place), _shown(field), reason]))


def _names(content: Any) -> dict[int, str]:
    """Return the valid names in an invalid file, by the position of their entry."""
    entries = content.get("keys") if isinstance(content, dict) else None
    named = [entry.get("name") if isinstance(entry, dict) else "" for entry in entries or []]
    return {i: name for i, name in enumerate(named) if isinstance(name, str) and _NAME.fullmatch(name)}
