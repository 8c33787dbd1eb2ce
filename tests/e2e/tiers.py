"""Tiers of production, and the number of their replicas."""

from cluster import get
from settings import INFERENCE_SERVICES, MODELS, NAMESPACES
from waiting import Pending

PREDICTOR = f"{INFERENCE_SERVICES['production']}-predictor"
TIERS = {
    "gateway": (NAMESPACES["production"], "api-gateway", "api-gateway"),
    "transformer": (NAMESPACES["production"], "feature-transformer", "feature-transformer"),
    "predictor": (MODELS, PREDICTOR, f"isvc.{PREDICTOR}"),
}
"""Namespace, Deployment and autoscaler, label `app`, by tier."""


def replicas(tier: str) -> tuple[int, int]:
    """Return the number of ready replicas, and their minimum."""
    namespace, name, _ = TIERS[tier]
    ready = get("deployment", name, namespace)["status"].get("readyReplicas", 0)
    return ready, get("hpa", name, namespace)["spec"]["minReplicas"]


def fallen() -> None:
    """Raise Pending unless all tiers are at their minimum."""
    found = {tier: replicas(tier) for tier in TIERS}
    if any(ready != minimum for ready, minimum in found.values()):
        raise Pending(str(found))
