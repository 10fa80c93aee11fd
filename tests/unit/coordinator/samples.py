"""Reports, nodes and pods as tests need them: short to write, complete to use."""

from datetime import UTC, datetime
from typing import Any

from coordinator.health.model import (
    Finding,
    NodeHealth,
    NodeReport,
    NodeState,
    Outcome,
    SubjectKind,
)
from coordinator.status.observed import Fleet, Observed, Pod, Rollout

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
UID = "engine-uid"


def finding(
    outcome: Outcome = Outcome.PASS,
    *,
    check: str = "gpu-lost",
    kind: SubjectKind = SubjectKind.NODE,
    subject: str = "",
    reason: str = "Fine",
    message: str = "8 GPUs",
    **rest: Any,
) -> Finding:
    return Finding(check, kind, subject, outcome, reason, message, **rest)


def report(node: str = "n1", sequence: int = 1, **rest: Any) -> NodeReport:
    values: dict[str, Any] = {
        "boot_id": "boot",
        "agent_instance": "agent",
        "agent_version": "1",
        "nvml_library": "/usr/lib/libnvidia-ml.so.1",
        "driver_version": "580.1",
        "gpu_count": 8,
        "findings": (finding(),),
    }
    return NodeReport(node=node, sequence=sequence, **(values | rest))


def health(
    name: str = "n1", state: NodeState = NodeState.HEALTHY, *findings: Finding, **rest: Any
) -> NodeHealth:
    values: dict[str, Any] = {"reason": "ChecksPassed", "message": "fine", "gpus": "8/8"}
    return NodeHealth(name, state, findings=findings, **(values | rest))


def fleet(*nodes: NodeHealth, installed: bool = True) -> Fleet:
    return Fleet(agents_installed=installed, nodes=nodes)


def pod(name: str = "p1", node: str = "n1", **rest: Any) -> Pod:
    values: dict[str, Any] = {
        "namespace": "ns",
        "uid": f"uid-{name}",
        "engine": "e",
        "host_ip": "10.0.0.1",
        "pod_ip": "10.1.0.1",
        "is_ready": True,
        "is_terminating": False,
        "started_at": NOW,
    }
    return Pod(name=name, node=node, **(values | rest))


def rollout(desired: int = 1, ready: int = 1, updated: int = 1, *, current: bool = True) -> Rollout:
    return Rollout(desired, ready, updated, is_current=current)


def observed(**rest: Any) -> Observed:
    values: dict[str, Any] = {
        "generation": 1,
        "rollout": rollout(),
        "pods": (pod(),),
        "port": 5555,
        "metrics_port": 9090,
    }
    return Observed(**(values | rest))
