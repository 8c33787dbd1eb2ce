"""Send mail through the gateway until the pinned model answers several times in a row; exit 1 if time runs out."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

ENVIRONMENT = os.environ["ENVIRONMENT"]
VERSION = os.environ["MODEL_VERSION"]
SHA256 = os.environ["MODEL_SHA256"]
MAIL = "Subject: You have won\n\nClaim your free prize now, click here!!!"


def ask() -> dict[str, Any]:
    """Return the gateway's answer to one mail; a model digest that the predictor does not report counts as correct."""
    headers = {"Content-Type": "application/json", "X-Environment": ENVIRONMENT, "Connection": "close"}
    if key := os.environ.get("API_KEY"):
        headers["Authorization"] = f"Bearer {key.strip()}"
    body = json.dumps({"email_content": MAIL}).encode()
    request = urllib.request.Request(os.environ["GATEWAY_URL"] + "/api/v1/predict", body, headers)
    with urllib.request.urlopen(request, timeout=15) as response:
        found: dict[str, Any] = json.load(response)
        return found | {"model_sha256": response.headers.get("X-Model-SHA256", SHA256)}


def detail(problem: bytes) -> str:
    """Return the detail of a problem document, else the beginning of the text."""
    try:
        return str(json.loads(problem)["detail"])
    except (ValueError, KeyError, TypeError):
        return problem[:200].decode(errors="replace")


def fault() -> str | None:
    """Return what is wrong with one answer: "" for nothing, None if another environment answered, as in a canary."""
    try:
        answer = ask()
        probability = answer["spam_probability"]
    except urllib.error.HTTPError as error:
        return f"{error.code}: {detail(error.read(10_000))}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    if answer.get("environment") != ENVIRONMENT:
        return None
    if answer.get("model_version") != VERSION:
        return f"expected model {VERSION} of {ENVIRONMENT}, got {answer.get('model_version')}"
    if answer["model_sha256"] != SHA256:
        other = answer["model_sha256"]
        return f"expected the bundle of model {VERSION} with SHA-256 {SHA256}, the one that answers has {other}"
    if answer.get("prediction") not in ("spam", "ham") or not 0 <= probability <= 1:
        return f"no verdict: {answer}"
    return ""


def main() -> int:
    """Return 0 once enough right answers have come in a row, or 1 when time runs out."""
    end = time.monotonic() + float(os.environ["TIMEOUT_SECONDS"])
    wanted, right, elsewhere, said = int(os.environ["ANSWERS"]), 0, 0, ""
    while right < wanted:
        found = fault()
        if found is None:
            elsewhere += 1
        else:
            right = 0 if found else right + 1
            if found != said:
                print(found or f"model {VERSION} answers", flush=True)
            said = found
        if time.monotonic() > end:
            others = f", and {elsewhere} came from another environment" if elsewhere else ""
            print(f"FAILED: {right} right answers in a row, {wanted} are wanted{others}", flush=True)
            return 1
        time.sleep(1 if found else 0.05)
    print(f"ok: {wanted} answers in a row by model {VERSION} of {ENVIRONMENT}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
