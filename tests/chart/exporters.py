"""Metrics of foreign exporters that rules and dashboards name, each with the reason."""

from dataclasses import dataclass

TARGET = frozenset({"namespace", "pod", "container", "service", "endpoint", "job", "instance"})
"""Labels that the Prometheus Operator adds to everything that a ServiceMonitor or PodMonitor scrapes."""
AUTOSCALER = frozenset({"namespace", "horizontalpodautoscaler"})
ROOM = "kube-state-metrics alone knows what an autoscaler has, wants and may have"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Metric of somebody else's exporter."""

    labels: frozenset[str]
    reason: str


EXPORTERS = {
    "up": Exporter(TARGET | {"environment"}, "Prometheus' own, of every target: nobody can report that he is gone"),
    "kube_horizontalpodautoscaler_status_current_replicas": Exporter(AUTOSCALER, ROOM),
    "kube_horizontalpodautoscaler_status_desired_replicas": Exporter(AUTOSCALER, ROOM),
    "kube_horizontalpodautoscaler_spec_max_replicas": Exporter(AUTOSCALER, ROOM),
    "kube_horizontalpodautoscaler_spec_min_replicas": Exporter(AUTOSCALER, ROOM),
    "kube_horizontalpodautoscaler_status_target_metric": Exporter(
        AUTOSCALER | {"metric_name", "metric_target_type"}, "the very figure that the autoscaler decides by"
    ),
    "kube_deployment_status_replicas_unavailable": Exporter(
        frozenset({"namespace", "deployment"}), "a pod that found no node has no address that Prometheus could scrape"
    ),
}
