"""Applications of Argo CD."""

from typing import Any

from cluster import get
from settings import ARGOCD
from waiting import Pending, until

LIVE_SECONDS = 240


def application(environment: str) -> dict[str, Any]:
    """Return the Application of an environment."""
    return get("applications.argoproj.io", f"model-serving-{environment}", ARGOCD)


def state(environment: str) -> str:
    """Return the Application's state in one line."""
    status = application(environment).get("status", {})
    sync, health = status.get("sync", {}), status.get("health", {})
    operation = status.get("operationState", {})
    words = [sync.get("status"), health.get("status"), str(sync.get("revision"))[:12], operation.get("phase")]
    return " ".join(str(word) for word in [*words, operation.get("message", "")])


def wait_synced(environment: str, revision: str, seconds: float = LIVE_SECONDS) -> None:
    """Wait until an Application is Synced with a revision and Healthy, and its last sync and smoke test succeeded."""

    def synced() -> None:
        status = application(environment).get("status", {})
        found = (
            status.get("sync", {}).get("status"),
            status.get("health", {}).get("status"),
            status.get("operationState", {}).get("phase"),
        )
        if status.get("sync", {}).get("revision") != revision or found != ("Synced", "Healthy", "Succeeded"):
            raise Pending(state(environment))

    until(f"{environment} is Synced and Healthy at {revision[:12]}", synced, seconds)
