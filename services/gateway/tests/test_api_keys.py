import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.access.api_keys import ApiKeysError, digest_of, new_key, parse_keys, read_keys
from gateway.access.token_bucket import TokenBucket

KNOWN = ["staging", "production"]
KEY = new_key()
ENTRY = {"name": "shop", "sha256": digest_of(KEY).hex(), "environments": ["staging"]}
OTHER = {**ENTRY, "name": "mill", "sha256": "0" * 64}


def parsed(*entries: dict[str, Any]) -> Any:
    return parse_keys(json.dumps({"keys": entries}).encode(), KNOWN, "keys.json")


def test_a_key_has_256_random_bits_and_is_never_the_same() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    # base64 holds six bits a character, so 43 characters hold 256 bits.
    assert {(key[:4], len(key)) for key in keys} == {("msk_", 4 + 43)}


def test_what_a_file_says_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{**ENTRY, "mails_per_second": 2.5, "burst": 100}, OTHER]}))
    shop, mill = read_keys(path, KNOWN)
    assert (shop.name, shop.digest, shop.environments) == ("shop", digest_of(KEY), ("staging",))
    assert (shop.rate, mill.rate) == ((2.5, 100), None)


@pytest.mark.parametrize(("rate", "burst"), [(2.5, 3), (0.01, 1), (50, 50)])
def test_a_burst_is_a_seconds_mails_unless_said(rate: float, burst: int) -> None:
    assert parsed({**ENTRY, "mails_per_second": rate})[0].rate == (rate, burst)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sha256": KEY}, "keys.json: key shop: sha256: is a key, not its SHA-256"),
        ({"sha256": "AB" * 32}, "key shop: sha256: is not 64 hex digits in lower case"),
        ({"sha256": "ab" * 31}, "key shop: sha256: is not 64 hex digits in lower case"),
        ({"sha256": None}, "key shop: sha256: Input should be a valid string"),
        ({"name": "Shop"}, "key number 1: name: is not 1 to 63 of a-z, 0-9 and -"),
        ({"name": KEY}, "key number 1: name: is not 1 to 63 of a-z, 0-9 and -"),
        ({"name": ""}, "key number 1: name: is not"),
        ({"environments": []}, "key shop: environments: "),
        ({"environments": "staging"}, "key shop: environments: Input should be a valid array"),
        ({"environments": ["prod"]}, "key shop: environments: 'prod' is not known; known: staging, production"),
        ({"mails_per_second": 0}, "key shop: mails_per_second: Input should be greater than or equal to 0.001"),
        ({"mails_per_second": 5e-324}, "key shop: mails_per_second: Input should be greater than or equal to 0.001"),
        ({"mails_per_second": -1}, "key shop: mails_per_second: Input should be greater than or equal to 0.001"),
        ({"mails_per_second": 1e308}, "key shop: mails_per_second: Input should be less than or equal to 1000000"),
        ({"mails_per_second": float("inf")}, "key shop: mails_per_second: Input should be "),
        ({"mails_per_second": float("nan")}, "key shop: mails_per_second: Input should be a finite number"),
        ({"mails_per_second": True}, "key shop: mails_per_second: Input should be a valid number"),
        ({"mails_per_second": [[[]]]}, "key shop: mails_per_second: Input should be a valid number"),
        ({"mails_per_second": 5, "burst": 10**400}, "key shop: burst: "),
        ({"mails_per_second": 5, "burst": 1_000_001}, "key shop: burst: Input should be less than or equal to 1000000"),
        ({"mails_per_second": 5, "burst": 1e308}, "key shop: burst: Input should be a valid integer"),
        ({"mails_per_second": 5, "burst": -1}, "key shop: burst: Input should be greater than or equal to 1"),
        ({"canary": "no"}, "key shop: canary: Input should be a valid boolean"),
        ({"name": "a\nb"}, "key number 1: name: is not 1 to 63"),
        ({"\x1b[31m": 1}, "key shop: ?[31m: is no field"),
        ({KEY: 1}, "key shop: msk_***: is no field"),
        ({"x" * 1000: 1}, "key shop: " + "x" * 63 + "…: is no field"),
        ({"environments": [KEY]}, "key shop: environments: 'msk_***' is not known"),
        ({"mails_per_second": "50"}, "key shop: mails_per_second: Input should be a valid number"),
        ({"mails_per_second": 5, "burst": 0}, "key shop: burst: Input should be greater than or equal to 1"),
        ({"burst": 5}, "key shop: burst without mails_per_second"),
        (
            {"environment": "staging"},
            "key shop: environment: is no field; known: name, sha256, environments, mails_per_second, burst, canary",
        ),
    ],
)
def test_a_wrong_entry_is_refused_by_key_and_field(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ApiKeysError) as refused:
        parsed({**ENTRY, **changed})
    assert reason in str(refused.value)
    assert KEY not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("field", ["name", "sha256", "environments"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(ApiKeysError, match=f"{field}: Field required"):
        parsed({name: value for name, value in ENTRY.items() if name != field})


def test_two_keys_are_not_called_the_same_nor_are_the_same() -> None:
    with pytest.raises(ApiKeysError, match="key shop: 2 entries have this name"):
        parsed(ENTRY, {**ENTRY, "sha256": "0" * 64})
    with pytest.raises(ApiKeysError, match="keys shop, mill: the same sha256"):
        parsed(ENTRY, {**ENTRY, "name": "mill"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "keys.json: Invalid JSON"),
        ("{", "keys.json: Invalid JSON"),
        ("[]", "keys.json: Input should be an object"),
        ("{}", "keys.json: keys: Field required"),
        ('{"keys": []}', "keys.json: keys: "),
        ('{"keys": {}}', "keys.json: keys: "),
        ('{"keys": ["x"]}', "keys.json: key number 1: "),
        ('{"key": []}', "key: is no field; known: keys"),
        ("[" * 100_000, "keys.json: Invalid JSON: it is nested too deeply"),
        ('{"keys": ' + "[" * 100_000, "keys.json: Invalid JSON: it is nested too deeply"),
        ('{"keys": [{"name": "shop", "environments": ' + "[" * 500 + "]" * 500 + "}]}", "keys.json: "),
        ("9" * 5000, "keys.json: Invalid JSON: "),
        ('{"keys": [], "keys": []}', "keys.json: keys: stands there twice"),
        (
            '{"keys": [{"name": "shop", "sha256": "a", "sha256": "b"}]}',
            "keys.json: key shop: sha256: stands there twice",
        ),
        ('{"keys": [{"name": "shop", "burst": Infinity}]}', "keys.json: "),
    ],
)
def test_what_is_no_file_of_keys_is_refused(content: str, reason: str) -> None:
    with pytest.raises(ApiKeysError) as refused:
        parse_keys(content.encode(), KNOWN, "keys.json")
    assert reason in str(refused.value)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 1500


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ApiKeysError, match="keys.json: Invalid JSON: it is no UTF-8"):
        parse_keys(b'{"keys": "\xff"}', KNOWN, "keys.json")


def test_of_many_faults_some_are_said() -> None:
    entries = [{**OTHER, "name": f"k{n}", "sha256": f"{n:064x}", "environments": ["prod"]} for n in range(1000)]
    with pytest.raises(ApiKeysError, match="key k0: .*; key k4: .*; 995 more") as refused:
        parsed(*entries)
    assert len(str(refused.value)) < 1500


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ApiKeysError, match="it is no regular file"):
            read_keys(path, KNOWN)
    (tmp_path / "large").write_bytes(b" " * (16 * 2**20 + 1))
    with pytest.raises(ApiKeysError, match="it has more than 16,777,216 bytes"):
        read_keys(tmp_path / "large", KNOWN)


def test_the_least_rate_and_the_largest_burst_can_be_counted() -> None:
    for rate, burst in ((0.001, 1), (1e6, 1_000_000)):
        (key,) = parsed({**ENTRY, "mails_per_second": rate, "burst": burst})
        assert key.rate is not None
        bucket = TokenBucket(*key.rate, clock=lambda: 0.0)
        assert bucket.take(burst) == 0 and 0 < bucket.take(1) <= 1000


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ApiKeysError, match=f"^{path} cannot be read: {reason}"):
            read_keys(path, KNOWN)
