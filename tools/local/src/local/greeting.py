"""Greeting for a person once everything answers: a verdict from each environment, and commands to try."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus import CorpusError, MailFile, find_mails, read_mail, shown

READY_SECONDS = 90
POLL_SECONDS = 0.2
ANSWER_SECONDS = 10
ENVIRONMENTS = ("staging", "production")
UNKNOWN_KEY = 401
FORBIDDEN = 403

# Requests to this machine must never go through a proxy, whatever the environment says.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True, slots=True)
class EnvironmentVerdict:
    """Verdict of one environment on a mail."""

    text: str
    """Verdict for a person, or the reason why there is none."""
    status: int = 200
    """HTTP status of the answer; 0 if there was none."""


def wait_until_ready(base: str) -> bool:
    """Wait until the gateway can serve both environments; return False if that takes too long."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            states = _get(f"{base}/ready")["environments"]
            if all(states.get(name) == "ready" for name in ENVIRONMENTS):
                return True
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        time.sleep(POLL_SECONDS)
    return False


def greeting(base: str, corpus: Path) -> str:
    """Return verdicts on a real mail from each environment, and commands to try.

    A part that fails becomes one line that says so; the rest is unaffected.
    """
    lines = ["", f"The spam detector answers.{_page(base)}"]
    samples, missing = _samples(corpus)
    verdicts = [
        (environment, mail, predict(base, environment, read_mail(mail).decode("latin-1")))
        for mail in samples.values()
        for environment in ENVIRONMENTS
    ]
    if verdicts:
        lines += ["A real mail of each kind, asked of each environment:", ""]
    for environment, mail, verdict in verdicts:
        folder, _, file = mail.name.rpartition("/")
        name = f"{folder}/{file if mail.number else file[:11]}"
        lines.append(f"  {environment:10}  {shown(Path(name))}  ->  {verdict.text}")
    with_keys = has_keys(base, {verdict.status for *_, verdict in verdicts})
    return "\n".join([*lines, *missing, "", *_commands(base, samples.get("spam"), with_keys), ""])


def predict(base: str, environment: str, mail: str) -> EnvironmentVerdict:
    """Return the verdict of one environment on one mail."""
    body = json.dumps({"email_content": mail}).encode()
    headers = {"Content-Type": "application/json", "X-Environment": environment, **key_header()}
    try:
        answer = _get(urllib.request.Request(f"{base}/api/v1/predict", body, headers))
        return EnvironmentVerdict(f"{answer['prediction']:4}  {answer['spam_probability']:.4f}")
    except urllib.error.HTTPError as error:
        return EnvironmentVerdict(_refusal(error, environment), error.code)
    except TimeoutError:
        return EnvironmentVerdict(f"no answer within {ANSWER_SECONDS} s", 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return EnvironmentVerdict(f"no answer ({getattr(error, 'reason', error) or type(error).__name__})", 0)


def key_header(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the header with the API key of the variable API_KEY; empty if it is not set."""
    key = environ.get("API_KEY", "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def has_keys(base: str, statuses: set[int]) -> bool:
    """Return whether the gateway requires API keys, judged by its statuses so far or by a request without a key."""
    if statuses & {UNKNOWN_KEY, FORBIDDEN}:
        return True
    if not key_header():
        return False
    try:
        with _open(urllib.request.Request(f"{base}/api/v1/predict", b"{}"), timeout=ANSWER_SECONDS):
            return False
    except urllib.error.HTTPError as error:
        return error.code == UNKNOWN_KEY
    except OSError:
        return False


def _refusal(error: urllib.error.HTTPError, environment: str) -> str:
    if error.code == UNKNOWN_KEY:
        fault = "this API_KEY is not known" if key_header() else "an API key is wanted"
        return f"401: {fault}; API_KEY=msk_… make run asks with yours"
    if error.code == FORBIDDEN:
        return f"403: the key of API_KEY may not ask {environment}"
    try:
        detail = str(json.load(error)["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        detail = str(error.reason)
    return f"{error.code}: {detail}"


def _samples(corpus: Path) -> tuple[dict[str, MailFile], list[str]]:
    """Return a mail of each kind, always the same, and a line for each kind that is missing."""
    try:
        mails = find_mails(corpus, 0)
    except CorpusError as error:
        return {}, [f"  no mail to show: {error}"]
    found = {
        kind: next((mail for mail in mails if mail.spam is spam), None)
        for kind, spam in (("spam", True), ("ham", False))
    }
    missing = [
        f"  no {kind} to show: the corpus {shown(corpus)} has none" for kind, mail in found.items() if mail is None
    ]
    return {kind: mail for kind, mail in found.items() if mail}, missing


def _page(base: str) -> str:
    """Return where the page is, or that it is switched off."""
    try:
        with _open(f"{base}/", timeout=ANSWER_SECONDS) as response:
            is_page = response.headers.get_content_type() == "text/html"
    except OSError:
        is_page = False
    return f" Try it in a browser: {base}/" if is_page else ""


def _get(request: str | urllib.request.Request) -> dict[str, Any]:
    with _open(request, timeout=ANSWER_SECONDS) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _commands(base: str, spam: MailFile | None, with_keys: bool) -> list[str]:
    body = """-d '{"email_content": "Subject: Lunch\\n\\nSee you at ten."}'"""
    emails = """-d '{"emails": ["See you at ten.", "You have won $1,000,000!!!"]}'"""
    # Keep the file's bytes: if it were opened as text, CRLF would become LF.
    code = "import json, sys; print(json.dumps(dict(email_content=sys.stdin.read())))"
    raw = f"PYTHONIOENCODING=latin-1 python3 -c '{code}'"
    key = ' -H "Authorization: Bearer $API_KEY"' if with_keys else ""
    first = ["API keys are on; with yours in the variable API_KEY try"] if with_keys else ["Try"]
    return [
        f"{first[0]} (Ctrl-C ends everything):",
        "",
        f"  curl {base}/api/v1/predict{key} {body}",
        f"  curl {base}/api/v1/predict{key} -H 'X-Environment: production' {body}",
        f"  curl {base}/api/v1/batch-predict{key} {emails}",
        *([f"  {raw} < '{shown(spam.path)}' | curl {base}/api/v1/predict{key} -d @-"] if spam else []),
        f"  curl {base}/health    curl {base}/ready    curl {base}/metrics",
        f"  {base}/docs in a browser: the API",
    ]
