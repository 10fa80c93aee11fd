"""The nodes of an engine with what is known of each: reports, silence, the grace of new nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coordinator.health.model import NodeHealth, NodeState, judge_report
from coordinator.health.store import ReportStore
from coordinator.status import reasons
from coordinator.status.observed import Fleet

# A new node pulls the agent's image first.
NODE_GRACE_SECONDS = 120.0
# A new process, or a new leader, calls nobody silent before every agent had the time to call.
START_GRACE_SECONDS = 60.0


class FleetBook:
    """Answers what is true on the nodes of an engine, and notices when time alone changes it."""

    def __init__(
        self,
        store: ReportStore,
        *,
        agents_deployed: Callable[[], bool],
        expected_gpus: Callable[[str], int | None] = lambda _node: None,
        node_age: Callable[[str], float] = lambda _node: 0.0,
        clock: Callable[[], float],
        wake_node: Callable[[str], None],
        node_grace_seconds: float = NODE_GRACE_SECONDS,
        start_grace_seconds: float = START_GRACE_SECONDS,
    ) -> None:
        self._store = store
        self._agents_deployed = agents_deployed
        self._expected_gpus = expected_gpus
        self._node_age = node_age
        self._clock = clock
        self._wake_node = wake_node
        self._node_grace = node_grace_seconds
        self._start_grace = start_grace_seconds
        # Nodes that have never reported: until when they have time to.
        self._awaited: dict[str, float] = {}

    def fleet(self, engine_uid: str, nodes: Iterable[str]) -> Fleet:
        """Return what is known about these nodes for one engine."""
        if not self._agents_deployed() and not len(self._store):
            return Fleet()
        return Fleet(
            agents_installed=True,
            nodes=tuple(self._health(node, engine_uid) for node in sorted(set(nodes))),
        )

    def sweep(self) -> float:
        """Notice what time has changed; returns the seconds until the next look is due."""
        now = self._clock()
        soonest = self._store.mark_silent()
        for node, deadline in list(self._awaited.items()):
            if deadline <= now:
                # From here on `_health` says silent; the entry has done its work.
                self._awaited[node] = float("inf")
                self._wake_node(node)
            else:
                soonest = min(soonest, deadline - now)
        return max(soonest, 0.1)

    def forget(self, node: str) -> None:
        """Drop a node that left the cluster."""
        self._awaited.pop(node, None)
        self._store.forget(node)

    def _health(self, node: str, engine_uid: str) -> NodeHealth:
        report = self._store.report(node)
        if report is None:
            return self._never_heard(node)
        self._awaited.pop(node, None)
        heard = self._store.silent_since(node)
        if heard is None:
            return judge_report(report, engine_uid, expected_gpus=self._expected_gpus(node))
        return NodeHealth(
            node,
            NodeState.UNKNOWN,
            reasons.AGENT_SILENT.name,
            f"No report since {heard:%Y-%m-%dT%H:%M:%SZ}. Look at the agent: kubectl get pods -A -l"
            f" app.kubernetes.io/component=node-agent --field-selector spec.nodeName={node}",
            since=heard,
            reporting=False,
        )

    def _never_heard(self, node: str) -> NodeHealth:
        now = self._clock()
        deadline = self._awaited.get(node)
        if deadline is None:
            left = self._node_grace - self._node_age(node)
            deadline = now + max(left, self._start_grace - self._store.uptime, 0.0)
            self._awaited[node] = deadline
        if deadline <= now or deadline == float("inf"):
            return NodeHealth(
                node,
                NodeState.UNKNOWN,
                reasons.AGENT_SILENT.name,
                "No report has ever come from this node. Look at the agent: kubectl get pods -A -l"
                f" app.kubernetes.io/component=node-agent --field-selector spec.nodeName={node}",
                reporting=False,
            )
        return NodeHealth(
            node,
            NodeState.UNKNOWN,
            reasons.AGENT_STARTING.name,
            "Waiting for the first report of this node's agent.",
            reporting=False,
        )
