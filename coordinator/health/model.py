"""Reports of node agents as values, and what they mean for an engine. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime


class Outcome(enum.Enum):
    """The result of a check. Unknown is neither a failure nor a pass."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "n/a"


class SubjectKind(enum.Enum):
    """What a finding is about."""

    NODE = "node"
    GPU = "gpu"
    ENGINE = "engine"
    CLIENT = "client"
    # Of a kind that only a newer agent knows: shown nowhere, blamed on nobody.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result on one node. `subject` is a GPU's UUID, an engine's UID or a pod's UID."""

    check: str
    kind: SubjectKind
    subject: str
    outcome: Outcome
    reason: str
    message: str
    remedy: str = ""
    evidence: tuple[tuple[str, str], ...] = ()
    since: datetime | None = None

    def sentence(self) -> str:
        """Return what was seen and what mends it, as a person reads it."""
        return " ".join(part for part in (_ended(self.message), _ended(self.remedy)) if part)

    def meaning(self) -> tuple[str, str, str, str, str]:
        """Return what must not change without being told; numbers in the message may move."""
        return (self.check, self.kind.value, self.subject, self.outcome.value, self.reason)


@dataclass(frozen=True, slots=True)
class Client:
    """A process that uses a cache server, by the address on its command line."""

    pod_uid: str
    host: str
    port: int
    isolated_ipc: bool | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The newest word of one node's agent."""

    node: str
    boot_id: str
    agent_instance: str
    sequence: int
    agent_version: str
    nvml_library: str = ""
    driver_version: str = ""
    gpu_count: int = 0
    findings: tuple[Finding, ...] = ()
    clients: tuple[Client, ...] = ()
    assignment_revision: str = ""

    def meaning(self) -> tuple[object, ...]:
        """Return what makes two reports differ for a reader of the status."""
        return (
            self.nvml_library,
            self.gpu_count,
            tuple(finding.meaning() for finding in self.findings),
            self.clients,
        )

    def concerning(self, engine_uid: str) -> tuple[Finding, ...]:
        """Return the findings that matter to one engine: the node's, its GPUs', its own."""
        return tuple(
            finding
            for finding in self.findings
            if finding.kind in (SubjectKind.NODE, SubjectKind.GPU)
            or (finding.kind is SubjectKind.ENGINE and finding.subject == engine_uid)
        )


class NodeState(enum.Enum):
    """A node's health for one engine, worst first."""

    FAILING = "Failing"
    WARNING = "Warning"
    UNKNOWN = "Unknown"
    HEALTHY = "Healthy"


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """What is true on one node for one engine."""

    name: str
    state: NodeState
    reason: str
    message: str
    gpus: str | None = None
    since: datetime | None = None
    reporting: bool = True
    findings: tuple[Finding, ...] = field(default=(), compare=False)


_BY_SEVERITY = (
    (Outcome.FAIL, NodeState.FAILING),
    (Outcome.WARN, NodeState.WARNING),
    (Outcome.UNKNOWN, NodeState.UNKNOWN),
)


def judge_report(
    report: NodeReport, engine_uid: str, *, expected_gpus: int | None = None
) -> NodeHealth:
    """Return a reporting node's health: its worst finding, and how many more there are.

    `expected_gpus` is what the Node object promises, None where it promises none.
    """
    gpus = _gpus(report, expected_gpus or 0)
    findings = report.concerning(engine_uid)
    for outcome, state in _BY_SEVERITY:
        hits = [finding for finding in findings if finding.outcome is outcome]
        if hits:
            first = hits[0]
            more = f" (and {len(hits) - 1} more: {_names(hits[1:])})" if hits[1:] else ""
            return NodeHealth(
                report.node,
                state,
                first.reason,
                first.sentence() + more,
                gpus,
                first.since,
                findings=findings,
            )
    passed = [finding for finding in findings if finding.outcome is Outcome.PASS]
    return NodeHealth(
        report.node,
        NodeState.HEALTHY,
        "ChecksPassed",
        f"{len(passed)} checks passed; {_driver(report)}.",
        gpus,
        max((f.since for f in passed if f.since is not None), default=None),
        findings=findings,
    )


def _gpus(report: NodeReport, expected: int) -> str:
    bad = {
        finding.subject
        for finding in report.findings
        if finding.kind is SubjectKind.GPU and finding.outcome is Outcome.FAIL
    }
    return f"{max(report.gpu_count - len(bad), 0)}/{max(report.gpu_count, expected)}"


def _driver(report: NodeReport) -> str:
    if not report.nvml_library:
        return "no NVML library loaded"
    version = f"driver {report.driver_version}, " if report.driver_version else ""
    return f"{version}NVML from {report.nvml_library}"


def _names(findings: Iterable[Finding]) -> str:
    return ", ".join(sorted({finding.reason for finding in findings}))


def _ended(sentence: str) -> str:
    return sentence if not sentence or sentence[-1] in ".!?" else sentence + "."
