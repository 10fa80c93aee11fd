"""A report and its answer, as values: what wire.py writes and reads, and report.py sends."""

from collections.abc import Iterable
from dataclasses import dataclass

from nodeagent.assignment import Assignment
from nodeagent.findings import Finding
from nodeagent.nvml.model import Driver, Gpu, Reading
from nodeagent.probes.clients import Client, ClientFacts
from nodeagent.probes.gpus import GpuFacts
from nodeagent.state import Snapshot


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports; `instance` is random per start of the process."""

    node_name: str
    boot_id: str
    instance: str
    version: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A change that must not get lost between two reports; `number` counts up per instance."""

    number: int
    at: float
    finding: Finding


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The whole truth about this node now."""

    identity: Identity
    sequence: int
    sent_at: float
    findings: tuple[Finding, ...]
    driver: Driver | None = None
    gpus: tuple[Gpu, ...] = ()
    clients: tuple[Client, ...] = ()
    transitions: tuple[Transition, ...] = ()
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the coordinator said: when to call again, and what should be true if that changed."""

    next_report_after: float | None
    assignment: Assignment | None = None
    acknowledged_transition: int = 0


def node_report(
    snapshot: Snapshot,
    *,
    identity: Identity,
    sequence: int,
    now: float,
    transitions: Iterable[Transition] = (),
) -> NodeReport:
    """Return the report that a snapshot amounts to; `now` is seconds since the epoch."""
    gpu_facts = snapshot.facts("gpus")
    client_facts = snapshot.facts("clients")
    reading = gpu_facts.answer if isinstance(gpu_facts, GpuFacts) else None
    answered = reading if isinstance(reading, Reading) else None
    return NodeReport(
        identity=identity,
        sequence=sequence,
        sent_at=now,
        findings=snapshot.findings,
        driver=None if answered is None else answered.driver,
        gpus=() if answered is None else answered.gpus,
        clients=client_facts.clients if isinstance(client_facts, ClientFacts) else (),
        transitions=tuple(transitions),
        revision=snapshot.revision,
    )
