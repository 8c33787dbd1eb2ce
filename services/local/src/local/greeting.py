"""What a person sees once everything answers: a verdict from each environment, and what to try."""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

READY_SECONDS = 90
POLL_SECONDS = 0.2
ENVIRONMENTS = ("staging", "production")


def wait_until_ready(base: str) -> bool:
    """Wait until the gateway can serve both environments; False when it takes too long."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            states = _get(f"{base}/ready")["environments"]
            if all(states.get(name) == "ready" for name in ENVIRONMENTS):
                return True
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(POLL_SECONDS)
    return False


def greeting(base: str, corpus: Path) -> str:
    """Verdicts on a real mail from each environment, and commands to try."""
    lines = ["", "The spam detector answers. Two real mails, asked of each environment:", ""]
    for kind in ("spam", "ham"):
        mail = sample(corpus, kind)
        for environment in ENVIRONMENTS:
            answer = predict(base, environment, mail.read_bytes().decode("latin-1"))
            verdict = f"{answer['prediction']:4}  {answer['spam_probability']:.4f}"
            lines.append(f"  {environment:10}  {mail.parent.name}/{mail.name[:11]}  ->  {verdict}")
    return "\n".join([*lines, "", *_commands(base, sample(corpus, "spam")), ""])


def sample(corpus: Path, kind: str) -> Path:
    """One mail of a kind ("spam" or "ham") from the corpus, the same each time."""
    folders = sorted(folder for folder in corpus.iterdir() if kind in folder.name.split("-") or folder.name == kind)
    mails = (path for folder in folders for path in sorted(folder.iterdir()) if path.suffix != ".json")
    return next(mails)


def predict(base: str, environment: str, mail: str) -> dict[str, Any]:
    """Ask one environment about one mail."""
    body = json.dumps({"email_content": mail}).encode()
    headers = {"Content-Type": "application/json", "X-Environment": environment, **key_header()}
    return _get(urllib.request.Request(f"{base}/api/v1/predict", body, headers))


def key_header() -> dict[str, str]:
    """What a gateway that wants API keys is sent: the variable API_KEY, where there is one."""
    key = os.environ.get("API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _get(request: str | urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _commands(base: str, spam: Path) -> list[str]:
    body = """-d '{"email_content": "Subject: Lunch\\n\\nSee you at ten."}'"""
    emails = """-d '{"emails": ["See you at ten.", "You have won $1,000,000!!!"]}'"""
    raw = """python3 -c 'import json; print(json.dumps({"email_content": open(0, encoding="latin-1").read()}))'"""
    return [
        "Try (Ctrl-C ends everything):",
        "",
        f"  curl {base}/api/v1/predict {body}",
        f"  curl {base}/api/v1/predict -H 'X-Environment: production' {body}",
        f"  curl {base}/api/v1/batch-predict {emails}",
        f"  {raw} < {spam} | curl {base}/api/v1/predict -d @-",
        f"  curl {base}/health    curl {base}/ready    curl {base}/metrics",
        f"  open {base}/docs",
    ]
