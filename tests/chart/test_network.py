"""Tests of who may talk to whom: the diagram's edges and no others, computed from the policies as a network does."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chart.manifests import CASES, ENVIRONMENTS, Case, Object, each_case, key, named, none_of, of_kind
from chart.pods import Pod, pods

HTTP = ("TCP", 8080)
NAMES = {("TCP", 53), ("UDP", 53)}
# Every port that a policy names, and some that none should.
PORTS = [("TCP", port) for port in (22, 53, 80, 443, 4318, 8080, 8081, 9000, 9091)] + [
    ("UDP", port) for port in (53, 8080)
]


class Edge(NamedTuple):
    """Connection that is allowed."""

    source: str
    target: str
    port: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Peer:
    """Pod, or address outside the cluster."""

    name: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    address: str = ""

    def selected_by(self, labels: dict[str, str]) -> bool:
        return labels.items() <= dict(self.labels).items()


def ours(case: Case) -> dict[str, Peer]:
    """Return the pods of a release, one of each sort, by app and environment."""
    found = {f"{pod.app} of {case.environment}": pod for pod in pods(case)}
    return {name: peer(name, pod) for name, pod in found.items()}


def peer(name: str, pod: Pod) -> Peer:
    return Peer(name, pod.namespace, tuple(pod.labels.items()))


OTHERS = [
    Peer("name server", "kube-system", (("k8s-app", "kube-dns"),)),
    Peer("Prometheus", "monitoring", (("app", "prometheus"),)),
    Peer("anybody", "elsewhere"),
    Peer("neighbour", "serving"),
    Peer("other model", "kserve"),
    Peer("S3", address="203.0.113.7"),
]


def edges(cases: list[Case], others: list[Peer]) -> set[Edge]:
    """Return all connections with one of our pods that the policies of some releases allow."""
    policies = [policy for case in cases for policy in of_kind(case, "NetworkPolicy")]
    own = [peer for case in cases for peer in ours(case).values()]
    every = [*own, *others]
    pairs = [(source, target) for source in every for target in every if source in own or target in own]
    return {
        Edge(source.name, target.name, port)
        for source, target in pairs
        for port in PORTS
        if passes(policies, source, target, port, "egress") and passes(policies, target, source, port, "ingress")
    }


def passes(policies: list[Object], subject: Peer, other: Peer, port: tuple[str, int], way: str) -> bool:
    """Return whether a peer's policies of one direction let a connection pass; without policies everything passes."""
    there = [each["spec"] for each in policies if key(each).namespace == subject.namespace]
    applied = [spec for spec in there if way.capitalize() in spec["policyTypes"]]
    binding = [spec for spec in applied if subject.selected_by(spec["podSelector"]["matchLabels"])]
    rules = [rule for spec in binding for rule in spec[way]]
    return not binding or any(allows(rule, other, port, "to" if way == "egress" else "from") for rule in rules)


def allows(rule: Object, other: Peer, port: tuple[str, int], side: str) -> bool:
    ports = [(each["protocol"], each["port"]) for each in rule.get("ports", [])]
    if ports and port not in ports:
        return False
    return not rule.get(side) or any(is_peer(each, other) for each in rule[side])


def is_peer(selector: Object, other: Peer) -> bool:
    """Return whether a selector chooses a peer; addresses choose only outside peers, since pods are known by labels."""
    if block := selector.get("ipBlock"):
        return bool(other.address) and ipaddress.ip_address(other.address) in ipaddress.ip_network(block["cidr"])
    namespace = selector["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    chosen = selector.get("podSelector", {}).get("matchLabels", {})
    return namespace == other.namespace and other.selected_by(chosen)


def diagram(
    environments: list[str], knocking: list[str], log: tuple[str, int] = ("TCP", 443), traced: bool = False
) -> Iterator[Edge]:
    """Yield the edges of the design's diagram.

    Args:
        environments: All environments.
        knocking: Other clients that may send to a gateway.
        log: Protocol and port of S3.
        traced: Whether there is a collector for spans.
    """
    for one in environments:
        gateway, transformer, predictor, *jobs = names(one)
        yield from (Edge(gateway, names(other)[1], HTTP) for other in environments)
        yield Edge(transformer, predictor, HTTP)
        yield Edge(f"smoke of {one}", gateway, HTTP)
        yield from (Edge(who, gateway, HTTP) for who in knocking)
        yield from (Edge("Prometheus", server, HTTP) for server in (gateway, transformer, predictor))
        if traced:
            yield from (Edge(server, "collector", ("TCP", 4318)) for server in (gateway, transformer, predictor))
        yield from (Edge(who, "S3", log) for who in (transformer, predictor, *jobs))
        yield Edge(jobs[0], "Prometheus", ("TCP", 9091))
        everyone = [*names(one), f"smoke of {one}"]
        yield from (Edge(who, "name server", port) for who in everyone for port in NAMES)


def names(environment: str) -> list[str]:
    apps = ("api-gateway", "feature-transformer", "spam-detector", "drift-detector", "baseline-generator")
    return [f"{app} of {environment}" for app in apps]


def compare(found: set[Edge], expected: set[Edge]) -> None:
    none_of(
        [f"allowed, and not in the diagram: {edge}" for edge in sorted(found - expected)]
        + [f"in the diagram, and not allowed: {edge}" for edge in sorted(expected - found)]
    )


def test_environments_have_the_edges_of_the_diagram_and_no_others() -> None:
    """The Pushgateway is any pod of monitoring, such as Prometheus' own; see `drift.pushgateway.podLabels`."""
    everybody = [peer.name for peer in OTHERS]
    compare(edges(ENVIRONMENTS, OTHERS), set(diagram(["production", "staging"], everybody)))


def test_named_clients_another_store_and_other_name_servers_have_theirs() -> None:
    """Nothing has its usual name in ci/production-values.yaml, and other environments are elsewhere."""
    (case,) = [each for each in CASES if each.name == "ci-production-values"]
    others = [
        Peer("name server", address="169.254.20.10"),
        Peer("Prometheus", "observability", (("app", "pushgateway"),)),
        Peer("ingress", "ingress"),
        Peer("anybody", "elsewhere"),
        Peer("S3", "storage"),
        Peer("collector", "telemetry"),
        Peer("internet", address="203.0.113.7"),
    ]
    compare(edges([case], others), set(diagram(["production"], ["ingress"], ("TCP", 9000), traced=True)))


@each_case
def test_every_pod_is_bound_in_both_directions(case: Case) -> None:
    policies = of_kind(case, "NetworkPolicy")
    assert all(found["spec"]["policyTypes"] == ["Ingress", "Egress"] for found in policies)
    bound = int(case.value("global", "networkPolicy", "enabled"))
    for pod in pods(case):
        there = [found["spec"]["podSelector"] for found in policies if key(found).namespace == pod.namespace]
        assert len([each for each in there if pod.selected_by(each["matchLabels"])]) == bound, pod


@each_case
def test_what_pods_are_told_to_ask_is_what_they_may_ask(case: Case) -> None:
    """The hosts in the pods' variables are Services in the namespaces of the policies."""
    allowed = edges([case], [])
    for pod in pods(case):
        for host, namespace, port in re.findall(r"http://([a-z0-9-]+)\.([a-z0-9-]+)[a-z.]*:(\d+)", str(pod.variables)):
            if namespace in case.namespaces.values() and host != "pushgateway":
                target = behind(case, host, namespace)
                wanted = Edge(f"{pod.app} of {case.environment}", target, ("TCP", int(port)))
                assert wanted in allowed, wanted


def behind(case: Case, service: str, namespace: str) -> str:
    # KServe's own Service, of port 80, leads to the same pods as ours.
    ours = service.replace("-predictor", "-replicas")
    selector = named(case, "Service", ours)["spec"]["selector"]
    (app,) = {pod.app for pod in pods(case) if pod.namespace == namespace and pod.selected_by(selector)}
    return f"{app} of {case.environment}"
