"""Installation that a platform team does once: images pinned, models uploaded, Secrets made, `argocd/` applied."""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cluster import Object, apply, kubectl, wait_ready
from gitops import Repository
from settings import BUILD, MODELS, MONITORING, NAMESPACES, ROOT, ClusterSettings

from argocd import wait_synced
from inferencelog import open_store

IMAGES = ROOT / "build" / "images"
STATE_METRICS = BUILD / "kube-state-metrics" / "image.json"
PLACE = "e2e/spam-detector"
"""Prefix of the bundles in the bucket."""
FIRST_SYNC_SECONDS = 420
NAMES = ("first", "second", "worse", "better")
"""Names of the bundles; the last three are trained on the same mail."""
SUFFIXES = {"production": "", "staging": "-staging"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Model, here and in S3."""

    folder: Path
    uri: str
    sha256: str
    """SHA-256 of `model.json`, as a release pins it."""

    @property
    def version(self) -> str:
        """Return the model's version."""
        return self.folder.name


def install(settings: ClusterSettings, repository: Repository) -> tuple[dict[str, Bundle], dict[str, str]]:
    """Bring both environments up; return bundles by name and images by service."""
    bundles = {name: upload(settings, BUILD / "models" / name) for name in NAMES}
    images = read_images(settings)
    repository.copy_from_here()
    fit_to_cluster(repository, settings)
    for environment in NAMESPACES:
        pin(repository, environment, bundles["first"])
    revision = repository.commit("Fit the environments to this cluster, pin images and model")
    repository.push()
    kubectl("apply", "-f", str(repository.folder / "argocd" / "1-namespaces.yaml"))
    apply(*(secret(settings, environment, place) for environment in NAMESPACES for place in places(environment)))
    deploy_state_metrics(settings)
    kubectl("apply", "-f", str(repository.folder / "argocd"))
    for environment in ("staging", "production"):
        wait_synced(environment, revision, FIRST_SYNC_SECONDS)
    return bundles, images


def upload(settings: ClusterSettings, models: Path) -> Bundle:
    """Upload the only bundle of a folder to S3 and return it."""
    (folder,) = (models / "spam-detector").iterdir()
    uri = f"s3://{settings.s3_bucket}/{PLACE}/{folder.name}"
    store = open_store(uri)
    for file in folder.iterdir():
        store.write(file.name, file.read_bytes())
    return Bundle(folder, uri, hashlib.sha256((folder / "model.json").read_bytes()).hexdigest())


def read_images(settings: ClusterSettings) -> dict[str, str]:
    """Return the references of images by service, as `make images` left them."""
    found = {path.stem: reference(settings, path, path.stem) for path in IMAGES.glob("*.json")}
    if not found:
        raise LookupError(
            f"no images in {IMAGES.relative_to(ROOT)}; build and push them first: "
            f"make images REGISTRY={settings.image_registry}/model-serving"
        )
    return found


def fit_to_cluster(repository: Repository, settings: ClusterSettings) -> None:
    """Set the addresses of this cluster in the environments, and values that suit its small size.

    The chart offers all of these values. Times that an operator counts in minutes are shortened.
    """
    port = int(settings.s3_endpoint_in_cluster.rpartition(":")[2])
    egress = [
        {
            "to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}],
            "ports": [{"protocol": "TCP", "port": port}],
        }
    ]
    for environment in NAMESPACES:
        repository.set(
            environment,
            "values",
            {
                "global.image.registry": f"{settings.image_registry}/model-serving",
                "global.storage.endpoint": settings.s3_endpoint_in_cluster,
                "global.storage.region": settings.region,
                "global.storage.egress": egress,
                "global.inferenceLog.uri": f"s3://{settings.s3_bucket}/e2e/inference-log",
                "global.monitors.interval": "5s",
                "gateway.resources.requests.cpu": "50m",
                "transformer.resources.requests.cpu": "50m",
                "transformer.settings.INFERENCE_LOG_FLUSH_SECONDS": 5,
                "predictor.resources.requests.cpu": "25m",
                "drift.resources.requests.cpu": "50m",
                "smoke.timeoutSeconds": 90,
                "monitoring.predictor.notReadyMinutes": 1,
            },
        )
    # Allow four replicas of each tier on one small node, and scale down quickly, because the suite waits for it.
    scaling = {f"{tier}.autoscaling.maxReplicas": 4 for tier in ("gateway", "transformer", "predictor")}
    scaling |= {f"{tier}.autoscaling.scaleDownStabilizationSeconds": 30 for tier in ("gateway", "transformer")}
    repository.set("production", "values", scaling)
    repository.edit("argocd/2-project.yaml", always_open)


def always_open(project: str) -> str:
    """Return the project with production's sync window always open: the suite cannot wait for Monday."""
    return project.replace('"0 8 * * 1-4"', '"0 0 * * *"').replace("duration: 8h", "duration: 24h")


def pin(repository: Repository, environment: str, bundle: Bundle) -> None:
    """Pin the images and a model by the commands of the repository."""
    repository.make("pin-images", f"ENV={environment}", f"FROM={IMAGES}")
    repository.make("pin-model", f"ENV={environment}", f"URI={bundle.uri}", f"BUNDLE={bundle.folder}")


def places(environment: str) -> list[str]:
    """Return the namespaces that need the S3 credentials of an environment."""
    return [NAMESPACES[environment], MODELS, MONITORING]


def secret(settings: ClusterSettings, environment: str, namespace: str) -> Object:
    """Return the Secret with S3 credentials; for models it also tells KServe's storage initializer where S3 is."""
    endpoint = settings.s3_endpoint_in_cluster
    annotations = {
        "serving.kserve.io/s3-endpoint": endpoint.partition("://")[2],
        "serving.kserve.io/s3-usehttps": "1" if endpoint.startswith("https") else "0",
        "serving.kserve.io/s3-region": settings.region,
    }
    data = {"AWS_ACCESS_KEY_ID": settings.access_key, "AWS_SECRET_ACCESS_KEY": settings.secret_key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"model-serving-s3{SUFFIXES[environment]}",
            "namespace": namespace,
            "annotations": annotations if namespace == MODELS else {},
        },
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }


def deploy_state_metrics(settings: ClusterSettings) -> None:
    """Deploy kube-state-metrics if its image has been built, for a cluster that has none."""
    if not STATE_METRICS.is_file():
        return
    manifest = (Path(__file__).parent / "kube-state-metrics" / "manifest.yaml").read_text()
    kubectl(
        "apply", "-f", "-", text=manifest.replace("IMAGE", reference(settings, STATE_METRICS, "kube-state-metrics"))
    )
    wait_ready(MONITORING, "kube-state-metrics")


def reference(settings: ClusterSettings, file: Path, name: str) -> str:
    """Return the reference of an image with the digest that its build has left."""
    digest = json.loads(file.read_text())["containerimage.digest"]
    return f"{settings.image_registry}/model-serving/{name}@{digest}"
