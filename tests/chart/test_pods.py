"""Tests of the pods: each may do only what it needs, is told apart from a dead one, and ends in order."""

import re
from collections.abc import Callable, Iterator

from chart.manifests import Case, Object, each_case, each_environment, named, none_of, strings
from chart.pods import Pod, pods

DIGEST = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}")
QUANTITY = re.compile(r"(\d+)(m|Ki|Mi|Gi)?")
SECRET_NAME = re.compile("SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY$|PRIVATE", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|://[^/@\s]+:[^/@\s]+@|\bey[\w-]{20,}\.|[A-Za-z0-9+]{40}(?![\w+])"
)
SHA256 = re.compile(r"[0-9a-f]{64}")
DOMAINS = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def wrong(case: Case, holds: Callable[[Pod], bool], servers: bool = False) -> Iterator[str]:
    """Yield the pods for which a condition does not hold."""
    found = [pod for pod in pods(case) if pod.is_server or not servers]
    assert found
    return (str(pod) for pod in found if not holds(pod))


def wrong_containers(case: Case, holds: Callable[[Object], bool]) -> Iterator[str]:
    return wrong(case, lambda pod: all(holds(container) for container in pod.containers))


@each_case
def test_every_component_has_a_pod(case: Case) -> None:
    jobs = {"drift-detector", "baseline-generator"} if case.value("drift", "enabled") else set()
    assert {pod.app for pod in pods(case)} == {"api-gateway", "feature-transformer", "spam-detector", "smoke"} | jobs


@each_case
def test_pods_have_no_token(case: Case) -> None:
    none_of(wrong(case, lambda pod: pod.spec.get("automountServiceAccountToken") is False))


@each_case
def test_pods_share_nothing_with_their_node(case: Case) -> None:
    shared = ("hostNetwork", "hostPID", "hostIPC")
    none_of(wrong(case, lambda pod: not any(pod.spec.get(name) for name in shared)))
    none_of(wrong(case, lambda pod: all(is_own(volume) for volume in pod.spec["volumes"])))


def is_own(volume: Object) -> bool:
    """Return whether a volume is a size-limited folder of the pod's own, or named parts of a Secret."""
    kind, content = next((name, value) for name, value in volume.items() if name != "name")
    return bool(content.get({"emptyDir": "sizeLimit", "secret": "items"}.get(kind, "")))


@each_case
def test_pods_do_not_run_as_root(case: Case) -> None:
    none_of(wrong(case, lambda pod: pod.spec["securityContext"].get("runAsNonRoot") is True))
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("runAsNonRoot") is True))
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("runAsUser", 0) > 0))
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("runAsGroup", 0) > 0))


@each_case
def test_pods_have_the_seccomp_profile_of_their_runtime(case: Case) -> None:
    default = {"type": "RuntimeDefault"}
    none_of(wrong(case, lambda pod: pod.spec["securityContext"].get("seccompProfile") == default))


@each_case
def test_containers_can_gain_nothing(case: Case) -> None:
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("allowPrivilegeEscalation") is False))
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("privileged") is False))
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("capabilities") == {"drop": ["ALL"]}))


@each_case
def test_root_file_systems_stay_as_built(case: Case) -> None:
    none_of(wrong_containers(case, lambda each: each["securityContext"].get("readOnlyRootFilesystem") is True))
    # Python, joblib and numba need a place to write to.
    none_of(wrong_containers(case, lambda each: "/tmp" in [mount["mountPath"] for mount in each["volumeMounts"]]))


@each_case
def test_containers_say_what_they_need_and_what_is_too_much(case: Case) -> None:
    none_of(wrong_containers(case, lambda each: set(each["resources"]["requests"]) == {"cpu", "memory"}))
    none_of(wrong_containers(case, lambda each: set(each["resources"]["limits"]) == {"cpu", "memory"}))
    none_of(wrong_containers(case, lambda each: all(within(each["resources"], name) for name in ("cpu", "memory"))))


def within(resources: Object, name: str) -> bool:
    return 0 < amount(resources["requests"][name]) <= amount(resources["limits"][name])


def amount(quantity: str) -> float:
    """Return a quantity as a number.

    It must be written as Kubernetes would write it, such as 1 and not 1000m. Otherwise Argo CD and KServe find a
    difference that is none.
    """
    found = QUANTITY.fullmatch(str(quantity))
    assert found, f"{quantity!r} is no quantity"
    number, unit = int(found[1]), found[2] or ""
    assert unit == "" or number % (1000 if unit == "m" else 1024), f"{quantity} is not as Kubernetes writes it"
    return number * {"": 1, "m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


@each_case
def test_servers_are_probed_on_ports_that_they_have(case: Case) -> None:
    none_of(wrong(case, lambda pod: all(name in pod.container for name in PROBES), servers=True))
    none_of(wrong(case, lambda pod: all(reaches(pod.container, name) for name in PROBES), servers=True))


def reaches(container: Object, probe: str) -> bool:
    request = container[probe]["httpGet"]
    ports = {value for port in container["ports"] for value in (port["name"], port["containerPort"])}
    return request["path"].startswith("/") and request["port"] in ports


@each_case
def test_a_slow_start_is_no_death(case: Case) -> None:
    """Liveness counts once the startup probe has passed, which must allow more time than any start took."""
    none_of(wrong(case, lambda pod: seconds(pod, "startupProbe") >= 60, servers=True))
    none_of(wrong(case, lambda pod: seconds(pod, "livenessProbe") > seconds(pod, "readinessProbe"), servers=True))


def seconds(pod: Pod, probe: str) -> int:
    return int(pod.container[probe]["periodSeconds"] * pod.container[probe]["failureThreshold"])


@each_case
def test_jobs_end(case: Case) -> None:
    for kind in ("Job", "CronJob"):
        for pod in (pod for pod in pods(case) if pod.owner.kind == kind):
            spec = named(case, *pod.owner[::2])["spec"]
            job = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
            assert job["activeDeadlineSeconds"] > 0, pod
            assert pod.spec["restartPolicy"] == "Never", pod


@each_environment
def test_images_are_named_by_digest(case: Case) -> None:
    none_of(wrong_containers(case, lambda each: bool(DIGEST.fullmatch(each["image"]))))


@each_case
def test_nothing_secret_stands_in_a_manifest(case: Case) -> None:
    none_of(f"{pod}: {fault}" for pod in pods(case) for fault in secrets(pod))


def secrets(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        for each in container.get("env", []):
            if SECRET_NAME.search(each["name"]) and list(each.get("valueFrom", {})) != ["secretKeyRef"]:
                yield f"{each['name']} is not from a Secret"
        for text in strings([container.get("command"), container.get("args"), container.get("env")]):
            if found := SECRET_VALUE.search(SHA256.sub("", text)):
                yield f"{found[0]!r} looks secret"


@each_case
def test_service_accounts_exist_and_mount_no_token_either(case: Case) -> None:
    for pod in pods(case):
        # The default account has no permissions, and no token here.
        if (name := pod.spec["serviceAccountName"]) != "default":
            account = named(case, "ServiceAccount", name)
            assert account["metadata"]["namespace"] == pod.namespace, pod
            assert account["automountServiceAccountToken"] is False, pod


@each_case
def test_pods_are_spread_by_their_own_labels(case: Case) -> None:
    for pod in (pod for pod in pods(case) if pod.is_server):
        constraints = pod.spec["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in constraints] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        assert all(pod.selected_by(each["labelSelector"]["matchLabels"]) for each in constraints), pod


@each_case
def test_no_variable_is_set_twice(case: Case) -> None:
    """The last of two would win, and KServe's merge decides which one that is."""
    none_of(wrong(case, lambda pod: len(pod.variables) == len(pod.container["env"])))
