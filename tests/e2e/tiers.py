"""The tiers of production, and how many replicas each has."""

from cluster import get
from settings import INFERENCE_SERVICES, MODELS, NAMESPACES
from waiting import Pending

PREDICTOR = f"{INFERENCE_SERVICES['production']}-predictor"
TIERS = {
    "gateway": (NAMESPACES["production"], "api-gateway", "api-gateway"),
    "transformer": (NAMESPACES["production"], "feature-transformer", "feature-transformer"),
    "predictor": (MODELS, PREDICTOR, f"isvc.{PREDICTOR}"),
}
"""Namespace, Deployment and autoscaler, label `app`."""


def replicas(tier: str) -> tuple[int, int]:
    """Ready replicas, and how many there are at least."""
    namespace, name, _ = TIERS[tier]
    ready = get("deployment", name, namespace)["status"].get("readyReplicas", 0)
    return ready, get("hpa", name, namespace)["spec"]["minReplicas"]


def fallen() -> None:
    """Whether all tiers are at their minimum."""
    found = {tier: replicas(tier) for tier in TIERS}
    if any(ready != minimum for ready, minimum in found.values()):
        raise Pending(str(found))
