"""Between the agent's values and the protocol's messages; the only importer of *_pb2.

The bounds are those written beside the fields in nodehealth.proto: a sender cuts.
"""

from datetime import timedelta

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb
from lmcache_nodehealth.v1.nodehealth_pb2_grpc import NodeHealthServiceStub

from nodeagent.assignment import Assignment, Engine, EnginePod, IpcMode, Thresholds
from nodeagent.findings import Finding, Outcome, SubjectKind
from nodeagent.node_report import Answer, NodeReport, Transition
from nodeagent.nvml.model import Driver, Gpu
from nodeagent.probes.clients import Client

MOST_GPUS = 64
MOST_FINDINGS = 512
MOST_CLIENTS = 256
MOST_TRANSITIONS = 64
MOST_ENGINES = 64
MOST_EVIDENCE = 32
LONGEST_NAME = 63
LONGEST_IDENTIFIER = 128
LONGEST_TEXT = 512
LONGEST_EVIDENCE = 256
LONGEST_NODE_NAME = 253

_OUTCOMES = {
    Outcome.PASS: pb.OUTCOME_PASS,
    Outcome.WARN: pb.OUTCOME_WARN,
    Outcome.FAIL: pb.OUTCOME_FAIL,
    Outcome.UNKNOWN: pb.OUTCOME_UNKNOWN,
    Outcome.NOT_APPLICABLE: pb.OUTCOME_NOT_APPLICABLE,
}
_SUBJECT_KINDS = {
    SubjectKind.NODE: pb.SUBJECT_KIND_NODE,
    SubjectKind.GPU: pb.SUBJECT_KIND_GPU,
    SubjectKind.ENGINE: pb.SUBJECT_KIND_ENGINE,
    SubjectKind.CLIENT: pb.SUBJECT_KIND_CLIENT,
}
_IPC_MODES = {
    pb.IPC_MODE_HOST_IPC: IpcMode.HOST_IPC,
    pb.IPC_MODE_HOST_PATH: IpcMode.HOST_PATH,
    pb.IPC_MODE_ISOLATED: IpcMode.ISOLATED,
}


class ReportCall:
    """The call `Report` over one channel, from value to value."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = NodeHealthServiceStub(channel)

    def __call__(
        self, report: NodeReport, *, deadline: float, metadata: tuple[tuple[str, str], ...]
    ) -> Answer:
        """Send a report within `deadline` seconds; raises grpc.RpcError."""
        return answer(self._stub.Report(request(report), timeout=deadline, metadata=metadata))


def request(report: NodeReport) -> pb.ReportRequest:
    """Return the message of a report, cut to the protocol's bounds."""
    identity = report.identity
    return pb.ReportRequest(
        node_name=identity.node_name[:LONGEST_NODE_NAME],
        boot_id=identity.boot_id[:LONGEST_NAME],
        agent_instance=identity.instance,
        sequence=report.sequence,
        agent_version=identity.version[:LONGEST_NAME],
        sent_at=_timestamp(report.sent_at),
        nvml=None if report.driver is None else _nvml(report.driver),
        gpus=[_gpu(gpu) for gpu in report.gpus[:MOST_GPUS]],
        findings=[_finding(finding) for finding in _most_urgent(report.findings)],
        clients=[_client(client) for client in report.clients[:MOST_CLIENTS]],
        transitions=[_transition(each) for each in report.transitions[:MOST_TRANSITIONS]],
        assignment_revision=report.revision,
    )


def answer(response: pb.ReportResponse) -> Answer:
    """Return what a response says; sizes and counts beyond the bounds are cut here, too."""
    pace = None
    if response.HasField("next_report_after"):
        pace = response.next_report_after.ToTimedelta() / timedelta(seconds=1)
    return Answer(
        next_report_after=pace,
        assignment=(_assignment(response.assignment) if response.HasField("assignment") else None),
        acknowledged_transition=response.acknowledged_transition,
    )


def _most_urgent(findings: tuple[Finding, ...]) -> list[Finding]:
    """Return all findings or, where there are too many, the most urgent; ordered as promised."""
    kept = sorted(findings, key=lambda each: -each.outcome.severity)[:MOST_FINDINGS]
    return sorted(kept, key=lambda each: (each.check, each.subject.identifier))


def _finding(finding: Finding) -> pb.Finding:
    evidence = sorted(finding.evidence.items())[:MOST_EVIDENCE]
    return pb.Finding(
        check=finding.check[:LONGEST_NAME],
        subject=pb.Subject(
            kind=_SUBJECT_KINDS[finding.subject.kind],
            id=_cut(finding.subject.identifier, LONGEST_IDENTIFIER),
        ),
        outcome=_OUTCOMES[finding.outcome],
        reason=finding.reason[:LONGEST_NAME],
        message=_cut(finding.message, LONGEST_TEXT),
        remedy=_cut(finding.remedy, LONGEST_TEXT),
        evidence={name[:LONGEST_NAME]: _cut(value, LONGEST_EVIDENCE) for name, value in evidence},
        since=_timestamp(finding.since),
    )


def _nvml(driver: Driver) -> pb.Nvml:
    return pb.Nvml(
        library_path=_cut(driver.library_path, LONGEST_EVIDENCE),
        driver_version=driver.driver_version[:LONGEST_NAME],
        nvml_version=driver.nvml_version[:LONGEST_NAME],
        cuda_driver_version=driver.cuda_version,
    )


def _gpu(gpu: Gpu) -> pb.Gpu:
    return pb.Gpu(
        index=gpu.index,
        uuid=_cut(gpu.uuid or "", LONGEST_IDENTIFIER),
        model=_cut(gpu.model or "", LONGEST_IDENTIFIER),
        pci_bus_id=_cut(gpu.pci_bus_id or "", LONGEST_NAME),
        memory_total_bytes=gpu.memory_total or 0,
        memory_used_bytes=gpu.memory_used,
        mig_enabled=bool(gpu.mig_enabled),
    )


def _client(client: Client) -> pb.Client:
    return pb.Client(
        pod_uid=client.pod_uid,
        host=client.target.host,
        port=client.target.port,
        isolated_ipc=client.target.isolated_ipc,
        started_at=None if client.started_at is None else _timestamp(client.started_at),
    )


def _transition(transition: Transition) -> pb.Transition:
    return pb.Transition(
        id=transition.number,
        at=_timestamp(transition.at),
        finding=_finding(transition.finding),
    )


def _assignment(message: pb.Assignment) -> Assignment:
    return Assignment(
        revision=message.revision,
        engines=tuple(_engine(each) for each in message.engines[:MOST_ENGINES]),
        thresholds=_thresholds(message.thresholds),
    )


def _engine(message: pb.Engine) -> Engine:
    return Engine(
        uid=message.uid,
        namespace=message.namespace,
        name=message.name,
        pods=tuple(_pod(each) for each in message.pods),
        service_host=message.service_host,
        port=message.port,
        gateway_port=message.gateway_port,
        metrics_port=message.metrics_port,
        l1_size=message.l1_size_bytes,
        l1_initial_size=message.l1_init_size_bytes,
        l1_use_hugepages=message.l1_use_hugepages,
        l1_in_shared_memory=message.l1_in_shared_memory,
        memory_request=message.memory_request_bytes,
        memory_limit=message.memory_limit_bytes,
        # An unknown mode is one of a later release: judge as the README runs the servers.
        ipc_mode=_IPC_MODES.get(message.ipc_mode, IpcMode.HOST_IPC),
        hash_algorithm=message.hash_algorithm,
        chunk_size=message.chunk_size,
        l2_address=(
            (message.l2_address.host, message.l2_address.port)
            if message.HasField("l2_address")
            else None
        ),
        runtime_class_name=message.runtime_class_name,
        privileged=message.privileged,
        gpu_vendor=message.gpu_vendor,
    )


def _pod(message: pb.EnginePod) -> EnginePod:
    started_at = (
        message.started_at.ToMicroseconds() / 1e6 if message.HasField("started_at") else None
    )
    return EnginePod(uid=message.uid, name=message.name, ip=message.ip, started_at=started_at)


def _thresholds(message: pb.Thresholds) -> Thresholds:
    """Return the thresholds; what is zero, absent or no number is the agent's own default."""
    own = Thresholds()
    ratio = message.memory_warn_ratio
    age = message.stale_segment_age.ToTimedelta() / timedelta(seconds=1)
    return Thresholds(
        memory_reserve=message.memory_reserve_bytes or own.memory_reserve,
        memory_warn_ratio=ratio if 0 < ratio < 1 else own.memory_warn_ratio,
        stale_segment_age=age if age > 0 else own.stale_segment_age,
        recovery_rounds=message.recovery_rounds or own.recovery_rounds,
        expected_gpus=message.expected_gpus if message.HasField("expected_gpus") else None,
        xid_classes=dict(message.xid_classes),
    )


def _timestamp(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds // 1), nanos=int(seconds % 1 * 1e9))


def _cut(text: str, length: int) -> str:
    """Cut a text so that it shows that it was cut, and keep it valid UTF-8 on the wire."""
    valid = text.encode(errors="replace").decode()
    return valid if len(valid) <= length else f"{valid[: length - 1]}…"
