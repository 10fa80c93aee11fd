"""The status of an engine from what was observed, and the patch that makes it so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coordinator.api.conditions import Condition, set_condition
from coordinator.api.status import ENDPOINTS_LIMIT, MESSAGE_LIMIT, NODES_LIMIT, Phase
from coordinator.status import failures, fleet, policies, reasons
from coordinator.status.observed import Observed
from coordinator.status.policies import Verdict


def build(observed: Observed, current: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the whole status; transitions of conditions are counted from the current one."""
    rollout = observed.rollout
    desired = rollout.desired if rollout else 0
    ready = rollout.ready if rollout else 0
    endpoints = _endpoints(observed)
    nodes = observed.fleet.nodes
    status: dict[str, Any] = {
        "conditions": _conditions(observed, current, now=now),
        "phase": phase(observed),
        "observedGeneration": observed.generation,
        "desiredInstances": desired,
        "readyInstances": ready,
        "endpoints": endpoints[:ENDPOINTS_LIMIT],
    }
    if len(endpoints) > ENDPOINTS_LIMIT:
        status["omittedEndpoints"] = len(endpoints) - ENDPOINTS_LIMIT
    if observed.fleet.agents_installed:
        status["nodes"] = fleet.node_entries(nodes)
        status["nodeSummary"] = fleet.node_summary(nodes)
        if len(nodes) > NODES_LIMIT:
            status["omittedNodes"] = len(nodes) - NODES_LIMIT
    return status


def phase(observed: Observed) -> Phase:
    """Return the state in one word, from configuration and pods alone."""
    if observed.problems or observed.conflicts or observed.refused:
        return "Failed"
    rollout = observed.rollout
    failure = failures.first(observed)
    if failure is not None and failure.is_hopeless:
        return "Failed"
    if rollout is None or rollout.desired == 0 or rollout.ready == 0:
        return "Pending"
    return "Running" if rollout.ready >= rollout.desired else "Degraded"


def patch(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch from the one status to the other; empty when they are equal.

    Lists go as a whole (RFC 7386); a key that is no longer wanted is removed.
    """
    changes: dict[str, Any] = {key: None for key in current if key not in wanted}
    for key, value in wanted.items():
        known = current.get(key)
        if known == value:
            continue
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            changes[key] = patch(known, value)
        else:
            changes[key] = value
    return changes


def _conditions(
    observed: Observed, current: Mapping[str, Any], *, now: datetime
) -> list[dict[str, Any]]:
    known = tuple(Condition.from_dict(raw) for raw in current.get("conditions") or ())
    verdicts = _verdicts(observed)
    # A condition type that an older version wrote and this one does not know would lie for ever.
    known = tuple(condition for condition in known if condition.type in verdicts)
    for type_, verdict in verdicts.items():
        known = set_condition(
            known,
            Condition(
                type=type_,
                status=verdict.status,
                reason=verdict.reason.name,
                message=verdict.message[: 2 * MESSAGE_LIMIT],
                observed_generation=observed.generation,
            ),
            now=now,
        )
    return [condition.to_dict() for condition in known]


def _verdicts(observed: Observed) -> dict[str, Verdict]:
    return {
        "Ready": policies.ready(observed),
        "ConfigValid": _config_valid(observed),
        "Available": _available(observed),
        "AllInstancesReady": _all_instances_ready(observed),
        "NodesHealthy": fleet.nodes_healthy(observed.fleet),
        "GPUVisible": fleet.gpu_visible(observed.fleet),
        "SharedMemoryReady": fleet.shared_memory_ready(observed.fleet),
        "L1MemoryReady": fleet.l1_memory_ready(observed.fleet),
    }


def _config_valid(observed: Observed) -> Verdict:
    if observed.problems:
        return Verdict("False", reasons.VALIDATION_FAILED, " ".join(observed.problems))
    return Verdict("True", reasons.VALID, " ".join(("The spec is valid.", *observed.warnings)))


def _available(observed: Observed) -> Verdict:
    ready = observed.rollout.ready if observed.rollout else 0
    if ready:
        return Verdict("True", reasons.AT_LEAST_ONE_READY, _count(observed))
    return Verdict("False", reasons.NO_READY_INSTANCES, _count(observed))


def _all_instances_ready(observed: Observed) -> Verdict:
    rollout = observed.rollout
    if rollout is not None and rollout.is_current and 0 < rollout.desired <= rollout.ready:
        return Verdict("True", reasons.ALL_READY, _count(observed))
    return Verdict("False", reasons.NOT_ALL_READY, _count(observed))


def _count(observed: Observed) -> str:
    rollout = observed.rollout
    return f"{rollout.ready}/{rollout.desired} instances ready." if rollout else "No DaemonSet."


def _endpoints(observed: Observed) -> list[dict[str, Any]]:
    """Return the cache servers, those that are not ready first, then by node."""
    pods = [pod for pod in observed.pods if not pod.is_terminating and pod.node]
    pods.sort(key=lambda pod: (pod.is_ready, pod.node, pod.name))
    entries = []
    for pod in pods:
        entry: dict[str, Any] = {"nodeName": pod.node}
        if pod.host_ip:
            entry["hostIP"] = pod.host_ip
        entry["podName"] = pod.name
        if observed.port is not None:
            entry["port"] = observed.port
        if observed.metrics_port is not None:
            entry["metricsPort"] = observed.metrics_port
        entry["ready"] = pod.is_ready
        entries.append(entry)
    return entries
