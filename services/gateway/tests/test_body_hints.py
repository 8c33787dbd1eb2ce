"""Hints for clients whose body does not match the API."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from gateway.http import bodies
from gateway.http.bodies import BatchPredictRequest, PredictRequest
from gateway.problems import Problem

RAW = b"From: a@example.org\r\nSubject: SECRET\r\n\r\nSECRET line\r\n"
ONE = b'{"email_content": "SECRET"}'


def told(body: bytes, model: type[PredictRequest] | type[BatchPredictRequest] = PredictRequest) -> str:
    with pytest.raises(Problem) as raised:
        bodies.parse(model, body)
    assert raised.value.status == 422
    assert raised.value.detail.count("SECRET") == 0, "a mail's text is not repeated"
    return raised.value.detail


@pytest.mark.parametrize(
    ("body", "seems"),
    [
        (RAW, "body: looks like a raw mail, not JSON"),
        (b"From a@example.org Mon Jan  1 00:00:00 2024\n" + RAW, "looks like a raw mail"),
        (b"\r\n" + RAW, "looks like a raw mail"),
        (b"\xef\xbb\xbf" + RAW, "looks like a raw mail"),
        (b">From a@example.org\n" + RAW, "body: is no JSON"),
        (b"Subject: caf\xe9\r\n\r\nx", "looks like a raw mail"),
        (RAW.replace(b"\r\n", b""), "looks like a raw mail"),
        (b"SECRET, see you at ten.", "is no JSON"),
        ("Größe SECRET".encode(), "is no JSON"),
        ("Übergröße".encode(), "is no JSON"),
        (b"<!doctype html><p>SECRET", "looks like HTML or XML"),
    ],
)
def test_a_mail_that_is_no_json_is_told_how_to_become_it(body: bytes, seems: str) -> None:
    detail = told(body)
    assert seems in detail
    assert "--data-binary @mail.json: PYTHONIOENCODING=latin-1 python3 -c 'import json, sys;" in detail


@pytest.mark.parametrize("model", [PredictRequest, BatchPredictRequest])
def test_the_command_works_as_the_answer_shows_it(
    model: type[PredictRequest] | type[BatchPredictRequest], tmp_path: Path
) -> None:
    raw = RAW + bytes(range(256))
    (tmp_path / "mail.eml").write_bytes(raw)
    with pytest.raises(Problem) as raised:
        bodies.parse(model, raw)
    shown = raised.value.body("r-1").decode()
    command = shown[shown.index("PYTHONIOENCODING") : shown.index(" > mail.json") + len(" > mail.json")]
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    parsed = bodies.parse(model, (tmp_path / "mail.json").read_bytes())
    (mail,) = parsed.emails if isinstance(parsed, BatchPredictRequest) else [parsed.email_content]
    assert mail == raw.decode("latin-1"), "byte for byte"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: is empty; send {"),
        (b" \r\n", "body: is empty; send {"),
        (b"\xef\xbb\xbf" + ONE, "begins with a byte order mark; send UTF-8 without one"),
        (ONE.decode().encode("utf-16"), "looks like UTF-16 or UTF-32; send JSON as UTF-8"),
        (ONE.decode().encode("utf-16-le"), "looks like UTF-16"),
        (ONE.decode().encode("utf-16-be"), "looks like UTF-16"),
        (ONE.decode().encode("utf-32"), "looks like UTF-16 or UTF-32"),
        ('{"email_content": "café"}'.encode("latin-1"), "is not UTF-8"),
        (gzip.compress(ONE, mtime=0), "is compressed by gzip, not JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG image, not JSON"),
        (b"PK\x03\x04\x14\0", "is a ZIP archive, not JSON"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Outlook message (.msg)"),
        (
            b'--x1\r\nContent-Disposition: form-data; name="f"\r\n\r\nSECRET\r\n--x1--\r\n',
            "looks like multipart/form-data",
        ),
        (b"email_content=SECRET%0A", "looks like a form (name=value)"),
        (b"email_content=%7B%7D&a=b", "looks like a form"),
        (b"@mail.eml", "is the name of a file, not its content; curl reads a file with --data-binary"),
        (b"email_content: SECRET\n", "looks like YAML"),
        (b"---\nemail_content: |\n  SECRET\n", "looks like YAML"),
        (ONE + b"\n" + ONE + b"\n", "has more after its JSON, which must be one object"),
        (ONE + ONE, "several mails go to POST /api/v1/batch-predict"),
        (ONE + b",", "has more after its JSON"),
        (b"{'email_content': 'SECRET'}", "has single quotes, JSON has double ones"),
        (b"{\"email_content\": 'SECRET'}", "has single quotes"),
        ("{\u201cemail_content\u201d: \u201cSECRET\u201d}".encode(), "has curled quotes, JSON has straight ones"),
        (b"[object Object]", "is JavaScript's name of an object"),
        (b"%7B%22email_content%22%3A%20%22SECRET%22%7D", "looks like JSON in URL encoding"),
        (b"eyJlbWFpbF9jb250ZW50IjogIngifQ==", "looks like JSON in base64"),
        (b"\x81\xadSECRET\0\0\0", "is binary data, not JSON"),
        (b"'{email_content:SECRET}'", "begins with a single quote"),
        (b"{email_content: SECRET}", "has a name without double quotes"),
        (b'{\\"email_content\\": \\"SECRET\\"}', "has backslashes before its quotes"),
        (b'{"email_content": "SECRET\nSECRET"}', "has a line break or another control character within a string"),
        (b'{"email_content": "SECRET', "ends too early"),
        (b'{"email_content": "SECRET",}', "trailing comma"),
        (b'"SECRET"', "is JSON, but must be an object; send {"),
        (json.dumps(ONE.decode()).encode(), "is a JSON string that holds JSON, so it was encoded twice"),
        (b'["SECRET"]', "is a JSON list and must be an object"),
        (b"[" + ONE + b"]", "several mails go to POST /api/v1/batch-predict"),
        (b"5", "is JSON, but must be an object"),
        (b"null", "is JSON, but must be an object"),
        (b"{}", "email_content: is missing; send {"),
        (b'{"email": "SECRET"}', "email: unknown; known: email_content; send {"),
        (b'{"emails": ["SECRET"]}', "emails: unknown; known: email_content; several mails go to POST"),
        (b'{"email_content": ["SECRET"]}', "email_content: must be one string, the mail; several mails"),
        (b'{"email_content": {"text": "SECRET"}}', "email_content: must be one string"),
        (b'{"email_content": null}', "email_content: must be one string"),
    ],
)
def test_what_a_body_seems_to_be_is_said(body: bytes, said: str) -> None:
    assert said in told(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (ONE, 'email_content: unknown; known: emails; one mail goes to POST /api/v1/predict as "email_content"'),
        (b'{"mails": ["SECRET"]}', "mails: unknown; known: emails; send {"),
        (b'{"emails": "SECRET"}', "emails: must be a list of strings"),
        (b'{"emails": [{"email_content": "SECRET"}]}', "emails.0: must be a string, the mail"),
        (b'{"emails": []}', "emails: holds no mail; send 1 to 1,000"),
        (b'["SECRET"]', 'is a JSON list and must be an object; send {"emails": ["first mail", "second mail"]}'),
        (RAW, "dict(emails=[sys.stdin.read()])"),
    ],
)
def test_a_batch_is_told_its_own_field(body: bytes, said: str) -> None:
    assert said in told(body, BatchPredictRequest)
