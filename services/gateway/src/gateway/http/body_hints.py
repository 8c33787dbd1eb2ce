"""Hints for bodies that the API cannot read: what a body looks like, and what to send instead.

A hint never repeats the body: it may be somebody's mail, which belongs neither in an answer nor in a log line.
"""

import re

BATCH_PATH = "POST /api/v1/batch-predict"
EXAMPLES = {
    "email_content": '{"email_content": "Subject: Hi\\n\\nSee you at ten."}',
    "emails": '{"emails": ["first mail", "second mail"]}',
}
"""A valid body for each field that the API knows."""
_READ = {"email_content": "sys.stdin.read()", "emails": "[sys.stdin.read()]"}

_LOOKED_AT = 4096
"""Bytes at the beginning of a body that are inspected."""
_RENAMED = {
    "email_content": f'several mails go to {BATCH_PATH} as "emails"',
    "emails": 'one mail goes to POST /api/v1/predict as "email_content"',
}
"""Hint by the expected field: where to send the other field."""

_BINARY = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "compressed by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xfd7zXZ": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"\xd0\xcf\x11\xe0": "an Outlook message (.msg) or another file of Office",
}
_UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|[\x20-\x7e]\x00[\x20-\x7e]\x00|\x00[\x20-\x7e]\x00[\x20-\x7e]|\x00\x00")
_MEANT_TO_BE_JSON = re.compile(rb"[{\[\"]|-?\d[\d.eE+-]*\s|(?:true|false|null)\s*\Z")
_BOM = b"\xef\xbb\xbf"
_MULTIPART = re.compile(rb"--[^\r\n]{1,200}\r?\nContent-", re.IGNORECASE)
_FILE_NAME = re.compile(rb"@[^\s{}\"']{1,200}\s*")
_FORM = re.compile(rb"[\w.%+\[\]-]{1,100}=")
_HEADER = re.compile(rb"(?:From \S+ |>?[!-9;-~]{1,76}:(?:\s|$))")
_YAML = re.compile(rb"(?:---\s+)?(?:email_content|emails):")
_ESCAPED_QUOTES = re.compile(rb"[{\[]\s*\\+\"")
_SINGLE_QUOTES = re.compile(rb"[{\[]\s*(?:'|\"\w+\"\s*:\s*\[?\s*')")
_CURLED_QUOTES = re.compile(rb"[{\[]\s*(?:\"\w+\"\s*:\s*)?\xe2\x80[\x98-\x9f]")
_OBJECT = b"[object Object]"
"""The text that JavaScript makes of an object without JSON.stringify."""
_BARE_NAME = re.compile(rb"\{\s*[A-Za-z_]")


def not_json(body: bytes, field: str, error: str) -> str:
    """Return what an unreadable body looks like, and what to send instead.

    Args:
        body: The body as received.
        field: The field that a valid body has.
        error: The parser's own message, used when there is no better one.
    """
    head = body[:_LOOKED_AT]
    text = head.removeprefix(_BOM).lstrip()
    hint = _bytes_hint(head, field) or _text_hint(text, len(body), field)
    if hint is None and head.startswith(_BOM):
        hint = "begins with a byte order mark; send UTF-8 without one"
    return hint or _json_hint(text, field, error)


def not_an_object(body: bytes, field: str) -> str:
    """Return why JSON other than an object is refused, and what to send instead."""
    head = body[:_LOOKED_AT].lstrip()
    send = f"must be an object; send {EXAMPLES[field]}"
    if head.startswith(b"["):
        more = f"; {_RENAMED[field]}" if field == "email_content" else ""
        return f"is a JSON list and {send}{more}"
    if re.match(rb'"\s*\{', head):
        return f"is a JSON string that holds JSON, so it was encoded twice; send the object itself: {EXAMPLES[field]}"
    return f"is JSON, but {send}"


def unknown_field(field: str, name: str) -> str:
    """Return a hint for a field that the API does not know, if it knows only `field`."""
    reason = f"unknown; known: {field}"
    return f"{reason}; {_RENAMED[field]}" if name in EXAMPLES else f"{reason}; send {EXAMPLES[field]}"


def wrong_field(kind: str, field: str, message: str) -> str:
    """Return what is wrong with the value of a known field.

    Args:
        kind: pydantic's error type.
        field: The field that a valid body has.
        message: pydantic's own message, used when there is no better one.
    """
    if kind == "missing":
        return f"is missing; send {EXAMPLES[field]}"
    if kind == "string_type" and field == "email_content":
        return f"must be one string, the mail; {_RENAMED[field]}"
    if kind == "string_type":
        return "must be a string, the mail"
    if kind == "list_type":
        return f"must be a list of strings, the mails; {_RENAMED[field]}"
    if kind == "too_short":
        return "holds no mail; send 1 to 1,000"
    return message


def wrap_command(field: str) -> str:
    """Return a shell command that turns a file into a valid body.

    It has no double quotes or backslashes, which a JSON answer would escape, so it can be copied as it stands.
    """
    code = f"import json, sys; print(json.dumps(dict({field}={_READ[field]})))"
    return f"PYTHONIOENCODING=latin-1 python3 -c '{code}' < mail.eml > mail.json"


def _bytes_hint(head: bytes, field: str) -> str | None:
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            return f"is {what}, not JSON; send {EXAMPLES[field]} uncompressed"
    if _UTF_16.match(head):
        return "looks like UTF-16 or UTF-32; send JSON as UTF-8"
    return None


def _text_hint(text: bytes, size: int, field: str) -> str | None:
    """Return a hint for text in another format than JSON, or None."""
    send = f"send {EXAMPLES[field]}"
    wrap = f"wrap it, and send the file that this makes with curl --data-binary @mail.json: {wrap_command(field)}"
    if not text:
        return f"is empty; {send}" if size <= _LOOKED_AT else None
    if _MEANT_TO_BE_JSON.match(text):
        return None
    if _MULTIPART.match(text):
        return f"looks like multipart/form-data (curl -F), not JSON; {send} (curl -d)"
    if size <= _LOOKED_AT and _FILE_NAME.fullmatch(text):
        return "is the name of a file, not its content; curl reads a file with --data-binary @mail.json, not --data-raw"
    if text.startswith((b"%7B", b"%7b", b"eyJ")):
        return f"looks like JSON in {'base64' if text[:1] == b'e' else 'URL encoding'}; send it as it is"
    if _YAML.match(text):
        return f"looks like YAML, not JSON; {send}"
    if _FORM.match(text):
        return f"looks like a form (name=value), not JSON; {send}"
    if text.startswith(b"'"):
        return f"begins with a single quote, which no JSON does; where the shell takes it literally, {send} from a file"
    if _HEADER.match(text):
        return f"looks like a raw mail, not JSON; {wrap}"
    if text.startswith(b"<"):
        return f"looks like HTML or XML, not JSON; {wrap}"
    return f"is binary data, not JSON; {send}" if b"\0" in text else f"is no JSON; {wrap}"


def _json_hint(text: bytes, field: str, error: str) -> str:
    """Return what is wrong with text that was meant to be JSON."""
    send = f"send {EXAMPLES[field]}"
    if _ESCAPED_QUOTES.match(text):
        return f"has backslashes before its quotes; {send}"
    if _SINGLE_QUOTES.match(text):
        return f"has single quotes, JSON has double ones; {send} (in Python, json.dumps makes it)"
    if _CURLED_QUOTES.match(text):
        return f"has curled quotes, JSON has straight ones; {send}"
    if text.startswith(_OBJECT):
        return f"is JavaScript's name of an object; {send} (JSON.stringify makes it)"
    if _BARE_NAME.match(text):
        return f"has a name without double quotes; {send} (a shell may have taken them away: send a file)"
    if "trailing characters" in error:
        several = f"; {_RENAMED[field]}" if field == "email_content" else ""
        return f"has more after its JSON, which must be one object; {send}{several}"
    if "control character" in error:
        return f"has a line break or another control character within a string, where JSON has \\n ({error}); {send}"
    if "unicode code point" in error:
        return f"is not UTF-8 ({error}); encode it as UTF-8"
    if "EOF" in error:
        return f"ends too early ({error}); {send}"
    return f"{error}; {send}"
