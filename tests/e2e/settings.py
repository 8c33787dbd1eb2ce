"""Settings of the suite, given only by environment variables, so that it cannot depend on a particular cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "e2e"
"""Folder of what the suite makes and leaves: models, mail, the copy of this repository, summary, logs of failures."""

NAMESPACES = {"production": "serving", "staging": "serving-staging"}
"""Namespaces of gateway and transformer."""
INFERENCE_SERVICES = {"production": "spam-detector", "staging": "spam-detector-staging"}
MODELS = "kserve"
MONITORING = "monitoring"
ARGOCD = "argocd"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Addresses of the cluster's services."""

    image_registry: str
    """Registry as pods name it, with the path before each image's name."""
    s3_endpoint: str
    """Address from this machine."""
    s3_endpoint_in_cluster: str
    s3_bucket: str
    access_key: str
    secret_key: str
    region: str
    git_url: str
    """URL from this machine of an existing repository that may be pushed to."""
    git_url_in_cluster: str
    prometheus_url: str
    """URL from this machine."""

    @classmethod
    def read(cls) -> "ClusterSettings":
        """Read the settings from the environment.

        Raises:
            LookupError: If variables are not set; the message names all of them.
        """
        missing = [name for name in VARIABLES.values() if not os.environ.get(name)]
        if missing or not os.environ.get("KUBECONFIG"):
            raise LookupError(
                f"not set: {', '.join(missing or ['KUBECONFIG'])}. A cluster is needed: `make kind-up` makes one, "
                f'`eval "$(make --silent kind-env)"` sets KUBECONFIG, {", ".join(VARIABLES.values())}'
            )
        return cls(**{field: os.environ[name].rstrip("/") for field, name in VARIABLES.items()})


VARIABLES = {
    "image_registry": "IMAGE_REGISTRY",
    "s3_endpoint": "S3_ENDPOINT",
    "s3_endpoint_in_cluster": "S3_ENDPOINT_IN_CLUSTER",
    "s3_bucket": "S3_BUCKET",
    "access_key": "AWS_ACCESS_KEY_ID",
    "secret_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_DEFAULT_REGION",
    "git_url": "GIT_URL",
    "git_url_in_cluster": "GIT_URL_IN_CLUSTER",
    "prometheus_url": "PROMETHEUS_URL",
}
