"""The agent's metrics, made from the last results at each scrape.

A custom collector and no gauges of its own: what vanished leaves no series behind. Every series
carries the node's name, so that dashboards and alerts need no relabelling. GPU telemetry for its
own sake (temperature, power, utilisation) is DCGM's job and not repeated here.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from nodeagent.findings import Finding, Outcome, SubjectKind
from nodeagent.metrics_gpu import gpu_metrics
from nodeagent.metrics_host import host_metrics
from nodeagent.nvml.client import NvmlClient
from nodeagent.report import ReportStatistics
from nodeagent.state import NodeState, Snapshot

# As kube-state-metrics shows conditions: one series per possible status, 0 or 1.
_STATUS = {outcome: outcome.value.replace("/", "_") for outcome in Outcome}


class AgentCollector(Collector):
    """Turns a snapshot into metric families."""

    def __init__(
        self,
        *,
        node_name: str,
        version: str,
        state: NodeState,
        nvml: NvmlClient,
        statistics: Callable[[], ReportStatistics],
    ) -> None:
        self._node = node_name
        self._version = version
        self._state = state
        self._nvml = nvml
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """Return all families."""
        snapshot = self._state.snapshot()
        yield from check_metrics(self._node, snapshot)
        yield from gpu_metrics(self._node, snapshot)
        yield from host_metrics(self._node, snapshot)
        yield from self._own()

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the registry would collect at registration otherwise."""
        return ()

    def _own(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "lmcache_node_agent_build_info",
            "Version of the agent; 1.",
            labels=["node", "version"],
        )
        build.add_metric([self._node, self._version], 1)
        yield build
        statistics = self._statistics()
        last = GaugeMetricFamily(
            "lmcache_node_agent_last_report_timestamp_seconds",
            "When the coordinator last took a report; 0 before the first.",
            labels=["node"],
        )
        last.add_metric([self._node], statistics.last_success)
        yield last
        trouble = GaugeMetricFamily(
            "lmcache_node_agent_report_failure_info",
            "Why the last report did not arrive; absent when it did.",
            labels=["node", "cause"],
        )
        if statistics.cause:
            trouble.add_metric([self._node, statistics.cause], 1)
        yield trouble
        counters = (
            ("agent_reports", "Reports that the coordinator took.", statistics.sent),
            ("agent_report_failures", "Reports that did not arrive.", statistics.failed),
            ("nvml_call_timeouts", "NVML requests past their deadline.", self._nvml.timeouts),
            ("nvml_process_starts", "Starts of the NVML process.", self._nvml.starts),
        )
        for name, documentation, value in counters:
            counter = CounterMetricFamily(f"lmcache_node_{name}", documentation, labels=["node"])
            counter.add_metric([self._node], value)
            yield counter


def check_metrics(node: str, snapshot: Snapshot) -> Iterator[Metric]:
    """Return the outcome and the reason of every check.

    Clients come and go with their pods, so they share one series per check: the worst of them.
    """
    status = GaugeMetricFamily(
        "lmcache_node_check_status",
        "Outcome of a check about a subject: 1 for what it is, 0 for the others.",
        labels=["node", "check", "subject", "status"],
    )
    reason = GaugeMetricFamily(
        "lmcache_node_check_reason_info",
        "Reason of a check's outcome; 1.",
        labels=["node", "check", "subject", "reason"],
    )
    titles = {each.uid: each.title for each in snapshot.assignment.engines}
    worst: dict[tuple[str, str], Finding] = {}
    for finding in snapshot.findings:
        key = (finding.check, _subject(finding, titles))
        before = worst.get(key)
        if before is None or finding.outcome.severity > before.outcome.severity:
            worst[key] = finding
    for (check, subject), finding in worst.items():
        reason.add_metric([node, check, subject, finding.reason], 1)
        for outcome, name in _STATUS.items():
            status.add_metric([node, check, subject, name], outcome is finding.outcome)
    seconds = GaugeMetricFamily(
        "lmcache_node_check_duration_seconds",
        "How long the last look of a probe took.",
        labels=["node", "probe"],
    )
    for probe, look in sorted(snapshot.looks.items()):
        seconds.add_metric([node, probe], look.seconds)
    yield from (status, reason, seconds)


def _subject(finding: Finding, titles: dict[str, str]) -> str:
    if finding.subject.kind is SubjectKind.GPU:
        return finding.subject.identifier
    if finding.subject.kind is SubjectKind.ENGINE:
        return titles.get(finding.subject.identifier, finding.subject.identifier)
    return ""


def registry(collector: AgentCollector) -> CollectorRegistry:
    """Return a registry that holds nothing but the agent's own metrics."""
    own = CollectorRegistry(auto_describe=False)
    own.register(collector)
    return own
