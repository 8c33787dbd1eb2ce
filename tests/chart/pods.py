"""Pods that a release starts, whichever object describes them."""

from collections.abc import Iterator
from dataclasses import dataclass

from chart.manifests import Case, Key, Object, key, named, rendered

SERVER_KINDS = ("Deployment", "InferenceService")


@dataclass(frozen=True, slots=True, repr=False)
class Pod:
    """Pod as Kubernetes will start it."""

    owner: Key
    labels: dict[str, str]
    spec: Object

    @property
    def app(self) -> str:
        """Return the name of the app, the same in all environments."""
        return self.labels["app.kubernetes.io/name"]

    @property
    def namespace(self) -> str:
        return self.owner.namespace

    @property
    def is_server(self) -> bool:
        """Return whether the pod runs until it is told to stop."""
        return self.owner.kind in SERVER_KINDS

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def container(self) -> Object:
        """Return the pod's only container."""
        (found,) = self.containers
        return found

    @property
    def variables(self) -> dict[str, str]:
        """Return the container's environment as its process will see it; a secret is shown by its source."""
        return {each["name"]: each.get("value", str(each.get("valueFrom"))) for each in self.container["env"]}

    def selected_by(self, labels: dict[str, str]) -> bool:
        """Return whether matchLabels choose the pod; empty ones choose every pod."""
        return labels.items() <= self.labels.items()

    def __repr__(self) -> str:
        return f"{self.owner.kind} {self.owner.namespace}/{self.owner.name}"


def pods(case: Case) -> Iterator[Pod]:
    """Yield one pod of each sort."""
    for found in rendered(case):
        yield from pods_of(case, found)


def pods_of(case: Case, found: Object) -> Iterator[Pod]:
    owner, spec = key(found), found.get("spec", {})
    match owner.kind:
        case "Deployment" | "Job":
            yield from_template(owner, spec["template"])
        case "CronJob":
            yield from_template(owner, spec["jobTemplate"]["spec"]["template"])
        case "Pod":
            yield from_template(owner, found)
        case "InferenceService":
            yield predictor(case, found)
        case "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController":
            raise AssertionError(f"say in tests/chart/pods.py where the pods of a {owner.kind} are")


def from_template(owner: Key, template: Object) -> Pod:
    return Pod(owner, template["metadata"]["labels"], template["spec"])


def predictor(case: Case, service: Object) -> Pod:
    """Return the pod that KServe makes of an InferenceService and its ServingRuntime; the former wins."""
    own = service["spec"]["predictor"]
    runtime = named(case, "ServingRuntime", own["model"]["runtime"])["spec"]
    (container,) = [each for each in runtime["containers"] if each["name"] == "kserve-container"]
    merged = {**container, **own["model"], "env": [*container["env"], *own["model"]["env"]]}
    labels = {"app": f"isvc.{service['metadata']['name']}-predictor", **service["metadata"]["labels"]}
    spec = {**{name: runtime[name] for name in ("volumes", "imagePullSecrets") if name in runtime}, **own}
    return Pod(key(service), labels, {**spec, "containers": [merged]})
