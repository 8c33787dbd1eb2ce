"""Command `gateway api-key`: makes a key, shows it once, and prints or stores the entry that a gateway needs."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gateway.access.api_keys import ApiKeysError, digest_of, new_key, parse_keys
from runtime import masked_text


def run(arguments: list[str]) -> None:
    """Make a key. It goes to stderr only, its entry to stdout or a file; exit 2 on invalid input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    key = new_key()
    entry = _entry(options, key)
    try:
        before = json.loads(options.file.read_bytes())["keys"] if options.file and options.file.exists() else []
        content = json.dumps({"keys": [*before, entry]}, indent=2).encode()
        parse_keys(content, _environments([*before, entry]), str(options.file or "options"))
    except (ApiKeysError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        parser.error(str(error) if isinstance(error, ApiKeysError) else f"{options.file} holds no keys: {_why(error)}")
    if options.file:
        options.file.write_bytes(content + b"\n")
    else:
        print(json.dumps(entry))
    print(f"the key of {options.name}, shown this once:\n{key}", file=sys.stderr)


def _entry(options: argparse.Namespace, key: str) -> dict[str, Any]:
    entry = {
        "name": options.name,
        "sha256": digest_of(key).hex(),
        "environments": [name for name in options.environments.split(",") if name],
        "mails_per_second": options.mails_per_second,
        "burst": options.burst,
        "canary": False if options.no_canary else None,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _environments(entries: list[Any]) -> list[str]:
    """Return the environments that the entries name; only the gateway that reads the file knows which exist."""
    return [name for entry in entries for name in entry.get("environments", [])]


def _why(error: Exception) -> str:
    return masked_text(f"{type(error).__name__}: {error}")[:200]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description="Without arguments: serve, as the environment sets.")
    command = parser.add_subparsers(required=True, metavar="COMMAND").add_parser("api-key", help="make an API key")
    command.add_argument("--name", required=True, help="whose it is, for logs and metrics: a-z, 0-9 and -")
    command.add_argument("--environments", required=True, help="those that it may ask, such as staging,production")
    command.add_argument("--mails-per-second", type=float, help="for each replica of the gateway; default: no limit")
    command.add_argument("--burst", type=int, help="mails at once after a pause; default: those of one second")
    command.add_argument("--no-canary", action="store_true", help="only the environment that is asked answers")
    command.add_argument("--file", type=Path, help="keys.json to add the entry to; made where there is none")
    return parser
