"""Protocol messages to values and back; the only module of the coordinator that imports *_pb2.

Every report is checked against its bounds here: an agent is a less trusted place than we are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb

from coordinator.health.assignment import Assignment, EngineOnNode
from coordinator.health.model import Client, Finding, NodeReport, Outcome, SubjectKind

MAX_NAME = 253
MAX_FINDINGS = 512
MAX_CLIENTS = 256
MAX_GPUS = 64
MAX_TRANSITIONS = 64
MAX_EVIDENCE = 32
MAX_SENTENCE = 512
# The years 2000 to 2199.
_EARLIEST = 946_684_800
_LATEST = 7_258_118_400

_OUTCOMES = {
    pb.OUTCOME_PASS: Outcome.PASS,
    pb.OUTCOME_WARN: Outcome.WARN,
    pb.OUTCOME_FAIL: Outcome.FAIL,
    pb.OUTCOME_NOT_APPLICABLE: Outcome.NOT_APPLICABLE,
}
_KINDS = {
    pb.SUBJECT_KIND_NODE: SubjectKind.NODE,
    pb.SUBJECT_KIND_GPU: SubjectKind.GPU,
    pb.SUBJECT_KIND_ENGINE: SubjectKind.ENGINE,
    pb.SUBJECT_KIND_CLIENT: SubjectKind.CLIENT,
}
_IPC_MODES = {
    "hostIPC": pb.IPC_MODE_HOST_IPC,
    "hostPath": pb.IPC_MODE_HOST_PATH,
    "isolated": pb.IPC_MODE_ISOLATED,
}


class ReportRefused(ValueError):
    """A report breaks a bound; the message names it."""


def report_from(message: pb.ReportRequest) -> NodeReport:
    """Return a report as a value. Raises ReportRefused."""
    _bounded("node_name", message.node_name, MAX_NAME, required=True)
    _bounded("boot_id", message.boot_id, 64)
    _bounded("agent_instance", message.agent_instance, 64, required=True)
    _bounded("agent_version", message.agent_version, 64)
    _bounded("assignment_revision", message.assignment_revision, 64)
    _few("findings", message.findings, MAX_FINDINGS)
    _few("clients", message.clients, MAX_CLIENTS)
    _few("gpus", message.gpus, MAX_GPUS)
    _few("transitions", message.transitions, MAX_TRANSITIONS)
    return NodeReport(
        node=message.node_name,
        boot_id=message.boot_id,
        agent_instance=message.agent_instance,
        sequence=message.sequence,
        agent_version=message.agent_version,
        nvml_library=_bounded("nvml.library_path", message.nvml.library_path, 256),
        driver_version=_bounded("nvml.driver_version", message.nvml.driver_version, 80),
        gpu_count=len(message.gpus),
        # Sorted here too: an order that depends on the sender would look like news.
        findings=tuple(sorted(map(_finding, message.findings), key=Finding.meaning)),
        clients=tuple(_client(client) for client in message.clients),
        assignment_revision=message.assignment_revision,
    )


def response(
    *, next_report_after: float, acknowledged: int, assignment: Assignment | None
) -> pb.ReportResponse:
    """Return the answer to a report; `assignment` only when the agent does not have it yet."""
    answer = pb.ReportResponse(acknowledged_transition=acknowledged)
    answer.next_report_after.FromNanoseconds(int(next_report_after * 1e9))
    if assignment is not None:
        answer.assignment.CopyFrom(_assignment(assignment))
    return answer


def last_transition(message: pb.ReportRequest) -> int:
    """Return the highest id among a report's transitions, 0 without any."""
    return max((transition.id for transition in message.transitions), default=0)


def _assignment(assignment: Assignment) -> pb.Assignment:
    message = pb.Assignment(
        revision=assignment.revision, engines=[_engine(engine) for engine in assignment.engines]
    )
    message.thresholds.memory_reserve_bytes = assignment.memory_reserve_bytes
    if assignment.expected_gpus is not None:
        message.thresholds.expected_gpus = assignment.expected_gpus
    return message


def _engine(engine: EngineOnNode) -> pb.Engine:
    message = pb.Engine(
        namespace=engine.namespace,
        name=engine.name,
        uid=engine.uid,
        service_host=engine.service_host,
        port=engine.port,
        gateway_port=engine.gateway_port,
        metrics_port=engine.metrics_port,
        l1_size_bytes=engine.l1_size_bytes,
        l1_init_size_bytes=engine.l1_init_size_bytes,
        l1_use_hugepages=engine.l1_use_hugepages,
        memory_request_bytes=engine.memory_request_bytes,
        memory_limit_bytes=engine.memory_limit_bytes,
        ipc_mode=_IPC_MODES[engine.ipc_mode],
        hash_algorithm=engine.hash_algorithm,
        chunk_size=engine.chunk_size,
        runtime_class_name=engine.runtime_class_name,
        privileged=engine.privileged,
        gpu_vendor=engine.gpu_vendor,
        l1_in_shared_memory=engine.l1_in_shared_memory,
    )
    for pod in engine.pods:
        message.pods.add(
            uid=pod.uid, name=pod.name, ip=pod.pod_ip, started_at=_stamp(pod.started_at)
        )
    if engine.l2_address is not None:
        message.l2_address.host, message.l2_address.port = engine.l2_address
    return message


def _finding(message: pb.Finding) -> Finding:
    _few("evidence", message.evidence, MAX_EVIDENCE)
    return Finding(
        check=_bounded("finding.check", message.check, 63, required=True),
        kind=_KINDS.get(message.subject.kind, SubjectKind.OTHER),
        subject=_bounded("finding.subject", message.subject.id, 128),
        # A value that a newer agent knows and we do not is not a failure.
        outcome=_OUTCOMES.get(message.outcome, Outcome.UNKNOWN),
        reason=_word("finding.reason", message.reason),
        message=_sentence("finding.message", message.message),
        remedy=_sentence("finding.remedy", message.remedy),
        evidence=tuple(
            sorted(
                (_bounded("evidence", name, 63), _sentence("evidence", value, 256))
                for name, value in message.evidence.items()
            )
        ),
        since=_moment(message.since) if message.HasField("since") else None,
    )


def _client(message: pb.Client) -> Client:
    return Client(
        pod_uid=_bounded("client.pod_uid", message.pod_uid, 64),
        host=_bounded("client.host", message.host, MAX_NAME),
        port=message.port,
        isolated_ipc=message.isolated_ipc if message.HasField("isolated_ipc") else None,
        started_at=_moment(message.started_at) if message.HasField("started_at") else None,
    )


def _bounded(name: str, text: str, limit: int, *, required: bool = False) -> str:
    if required and not text:
        raise ReportRefused(f"{name} is empty")
    if len(text) > limit:
        raise ReportRefused(f"{name} has {len(text)} characters, at most {limit} are accepted")
    if not text.isprintable():
        raise ReportRefused(f"{name} holds control characters")
    return text


def _sentence(name: str, text: str, limit: int = MAX_SENTENCE) -> str:
    """Return a sentence without control characters.

    It may quote a log line of another program: no reason to refuse all that the node has to say.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return _bounded(name, text, limit)


def _word(name: str, text: str) -> str:
    _bounded(name, text, 63, required=True)
    if not (text.isascii() and text.isalnum() and text[0].isalpha()):
        raise ReportRefused(f"{name} is not a CamelCase word")
    return text


def _few(name: str, items: Any, limit: int) -> None:
    if len(items) > limit:
        raise ReportRefused(f"{name} has {len(items)} entries, at most {limit} are accepted")


def _moment(stamp: Timestamp) -> datetime:
    # A clock that is off by years would end in a status that the API server refuses.
    if not _EARLIEST <= stamp.seconds < _LATEST:
        raise ReportRefused("a timestamp is out of range")
    return stamp.ToDatetime(tzinfo=UTC)


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
