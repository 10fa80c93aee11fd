"""Conditions and lines about the nodes, from what their agents found."""

from __future__ import annotations

from collections import Counter
from typing import Any

from coordinator.api.status import MESSAGE_LIMIT, NODES_LIMIT
from coordinator.health.model import Finding, NodeHealth, NodeState, Outcome
from coordinator.status import reasons
from coordinator.status.observed import Fleet
from coordinator.status.policies import Verdict
from coordinator.status.reasons import Reason

# Which checks of the agents each condition speaks for.
GPU_CHECKS = frozenset({"nvml", "gpu-count", "gpu-lost", "gpu-health", "gpu-xid"})
SHARED_MEMORY_CHECKS = frozenset({"shared-memory"})
L1_MEMORY_CHECKS = frozenset({"l1-memory"})

# Not applicable is no verdict: where nothing was judged, nothing is known to be right.
_JUDGED = (Outcome.PASS, Outcome.WARN)

_ORDER = {state: index for index, state in enumerate(NodeState)}


def sorted_nodes(nodes: tuple[NodeHealth, ...]) -> tuple[NodeHealth, ...]:
    """Return nodes worst first, then by name: a stable order that needs no clock."""
    return tuple(sorted(nodes, key=lambda node: (_ORDER[node.state], node.name)))


def node_entries(nodes: tuple[NodeHealth, ...]) -> list[dict[str, Any]]:
    """Return the entries of status.nodes, cut to their bound."""
    return [_entry(node) for node in sorted_nodes(nodes)[:NODES_LIMIT]]


def node_summary(nodes: tuple[NodeHealth, ...]) -> dict[str, int]:
    """Return the totals beside the bounded list."""
    states = Counter(node.state for node in nodes)
    return {
        "desired": len(nodes),
        "reporting": sum(1 for node in nodes if node.reporting),
        "healthy": states[NodeState.HEALTHY],
        "warning": states[NodeState.WARNING],
        "failing": states[NodeState.FAILING],
        "unknown": states[NodeState.UNKNOWN],
    }


def nodes_healthy(fleet: Fleet) -> Verdict:
    """Return whether everything that the agents look at is in order everywhere."""
    if not fleet.agents_installed:
        return Verdict(
            "Unknown",
            reasons.AGENTS_DISABLED,
            "No node agent is installed: nothing is known about GPUs, /dev/shm and memory of the"
            " nodes. Install the agent DaemonSet to have them checked.",
        )
    if not fleet.nodes:
        return Verdict("Unknown", reasons.NO_NODES, "The engine runs on no node yet.")
    nodes = sorted_nodes(fleet.nodes)
    total = len(nodes)
    for state, reason, words in (
        (NodeState.FAILING, reasons.NODE_FAILING, "cannot serve the cache"),
        (NodeState.WARNING, reasons.NODES_WARNING, "with a warning"),
    ):
        hits = [node for node in nodes if node.state is state]
        if hits:
            return Verdict(
                "False", reason, f"{len(hits)} of {total} nodes {words}: {_listed(hits)}"
            )
    unknown = [node for node in nodes if node.state is NodeState.UNKNOWN]
    if unknown:
        silent = [node for node in unknown if not node.reporting]
        starting = [node for node in silent if node.reason == reasons.AGENT_STARTING.name]
        if silent and len(starting) == len(silent):
            reason = reasons.AGENT_STARTING
        else:
            reason = reasons.AGENT_SILENT if silent else reasons.CHECKS_UNKNOWN
        return Verdict(
            "Unknown", reason, f"{len(unknown)} of {total} nodes unknown: {_listed(unknown)}"
        )
    return Verdict("True", reasons.NODES_HEALTHY, f"All checks passed on {total} of {total} nodes.")


def gpu_visible(fleet: Fleet) -> Verdict:
    """Return whether NVML sees every GPU on the reporting nodes."""
    return _aspect(fleet, GPU_CHECKS, reasons.GPUS_VISIBLE, "All GPUs are visible")


def shared_memory_ready(fleet: Fleet) -> Verdict:
    """Return whether /dev/shm is shared as the engine needs it."""
    return _aspect(
        fleet, SHARED_MEMORY_CHECKS, reasons.SHARED_MEMORY_READY, "Shared memory is as it must be"
    )


def l1_memory_ready(fleet: Fleet) -> Verdict:
    """Return whether L1 fits into the nodes' memory."""
    return _aspect(fleet, L1_MEMORY_CHECKS, reasons.L1_MEMORY_READY, "L1 fits into memory")


def _aspect(fleet: Fleet, checks: frozenset[str], good: Reason, words: str) -> Verdict:
    if not fleet.agents_installed:
        return Verdict("Unknown", reasons.AGENTS_DISABLED, "No node agent is installed.")
    reporting = [node for node in sorted_nodes(fleet.nodes) if node.reporting]
    if not fleet.nodes:
        return Verdict("Unknown", reasons.NO_NODES, "The engine runs on no node yet.")
    if not reporting:
        starting = all(node.reason == reasons.AGENT_STARTING.name for node in fleet.nodes)
        return Verdict(
            "Unknown",
            reasons.AGENT_STARTING if starting else reasons.AGENT_SILENT,
            f"None of {len(fleet.nodes)} nodes is reporting.",
        )
    total = len(reporting)
    failing = _with(reporting, checks, Outcome.FAIL)
    if failing:
        node, finding = failing[0]
        return Verdict(
            "False",
            Reason(finding.reason, finding.message, finding.remedy),
            f"{len(failing)} of {total} reporting nodes: {node.name}: {finding.sentence()}",
        )
    unknown = _with(reporting, checks, Outcome.UNKNOWN)
    judged = [
        node
        for node in reporting
        if any(f.check in checks and f.outcome in _JUDGED for f in node.findings)
    ]
    if unknown:
        node, finding = unknown[0]
        return Verdict(
            "Unknown",
            Reason(finding.reason, finding.message, finding.remedy),
            f"{len(unknown)} of {total} reporting nodes: {node.name}: {finding.sentence()}",
        )
    if not judged and not any(f.check in checks for node in reporting for f in node.findings):
        return Verdict("Unknown", reasons.CHECKS_UNKNOWN, "No node has reported on this yet.")
    if not judged:
        return Verdict(
            "Unknown", reasons.NOT_APPLICABLE, "The question does not arise on these nodes."
        )
    return Verdict("True", good, f"{words} on {len(judged)} of {total} reporting nodes.")


def _with(
    nodes: list[NodeHealth], checks: frozenset[str], outcome: Outcome
) -> list[tuple[NodeHealth, Finding]]:
    hits = []
    for node in nodes:
        for finding in node.findings:
            if finding.check in checks and finding.outcome is outcome:
                hits.append((node, finding))
                break
    return hits


def _entry(node: NodeHealth) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": node.name,
        "state": node.state.value,
        "reason": node.reason,
        "message": node.message[:MESSAGE_LIMIT],
    }
    if node.gpus is not None:
        entry["gpus"] = node.gpus
    if node.since is not None:
        entry["since"] = node.since.strftime("%Y-%m-%dT%H:%M:%SZ")
    return entry


def _listed(nodes: list[NodeHealth]) -> str:
    first = nodes[0]
    more = f" Also: {', '.join(node.name for node in nodes[1:4])}" if nodes[1:] else ""
    rest = f" and {len(nodes) - 4} more" if len(nodes) > 4 else ""
    return f"{first.name}: {first.message}{more}{rest}" + ("." if more else "")
