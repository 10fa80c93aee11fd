"""Model and protocol: everything arrives, and the bounds hold."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb

from nodeagent import wire
from nodeagent.assignment import Assignment, Engine, EnginePod, IpcMode, Thresholds
from nodeagent.findings import NODE, Finding, Outcome, client, engine, gpu
from nodeagent.kv_transfer import Target
from nodeagent.node_report import Identity, NodeReport, Transition
from nodeagent.nvml.model import Driver, Gpu
from nodeagent.probes.clients import Client

IDENTITY = Identity("node-a", "boot", "instance", "0.1.0")


def finding(**changes: object) -> Finding:
    made = {
        "check": "nvml",
        "subject": NODE,
        "outcome": Outcome.FAIL,
        "reason": "R",
        "message": "m",
        **changes,
    }
    return Finding(**made)  # type: ignore[arg-type]


def report(**changes: object) -> pb.ReportRequest:
    made = {"identity": IDENTITY, "sequence": 3, "sent_at": 12.5, "findings": (), **changes}
    return wire.request(NodeReport(**made))  # type: ignore[arg-type]


def test_a_report_arrives_whole() -> None:
    message = report(
        findings=(
            finding(remedy="r", evidence={"a": "b"}, since=1.25),
            finding(check="gpu-lost", subject=gpu("GPU-a"), outcome=Outcome.NOT_APPLICABLE),
        ),
        driver=Driver("/lib/x", "580", "13", 13000),
        gpus=(Gpu(0, "GPU-a", "H200", "bus", 10, 0, mig_enabled=True), Gpu(1)),
        clients=(Client("pod", Target("h", 1, isolated_ipc=False), pid=5, started_at=7.0),),
        transitions=(Transition(4, 9.0, finding()),),
        revision="7",
    )
    assert message.sequence == 3
    assert message.sent_at == Timestamp(seconds=12, nanos=500_000_000)
    assert [each.check for each in message.findings] == ["gpu-lost", "nvml"]
    assert message.findings[1].since == Timestamp(seconds=1, nanos=250_000_000)
    assert dict(message.findings[1].evidence) == {"a": "b"}
    assert message.findings[0].subject.kind == pb.SUBJECT_KIND_GPU
    assert message.gpus[0].memory_used_bytes == 0
    assert not message.gpus[1].HasField("memory_used_bytes")
    assert message.clients[0].HasField("isolated_ipc")
    assert message.transitions[0].id == 4
    assert message.assignment_revision == "7"
    assert message.nvml.cuda_driver_version == 13000


def test_without_a_driver_the_report_has_none() -> None:
    assert not report().HasField("nvml")


def test_every_outcome_and_subject_has_its_number() -> None:
    subjects = (NODE, gpu("g"), engine("e"), client("c"))
    findings = tuple(
        finding(outcome=outcome, subject=subject) for outcome in Outcome for subject in subjects
    )
    message = report(findings=findings)
    assert {each.outcome for each in message.findings} == {1, 2, 3, 4, 5}
    assert {each.subject.kind for each in message.findings} == {1, 2, 3, 4}


def test_too_much_is_cut_and_the_urgent_stays() -> None:
    calm = [finding(outcome=Outcome.PASS, subject=client(f"{n:04}")) for n in range(600)]
    message = report(
        findings=(*calm, finding(subject=client("9999"))),
        gpus=tuple(Gpu(index) for index in range(100)),
        clients=tuple(Client(str(n), Target("h", 1), pid=n) for n in range(300)),
        transitions=tuple(Transition(n, 0.0, finding()) for n in range(100)),
    )
    assert len(message.findings) == 512
    assert message.findings[-1].subject.id == "9999"
    assert (len(message.gpus), len(message.clients), len(message.transitions)) == (64, 256, 64)


def test_long_and_broken_text_is_cut_and_valid() -> None:
    evidence = {f"key{n}": "v" * 999 for n in range(50)}
    long = finding(message="ä" * 999, remedy="\ud800", evidence=evidence, subject=gpu("x" * 200))
    (message,) = report(findings=(long,)).findings
    assert len(message.message) == 512
    assert message.message.endswith("…")
    assert message.remedy == "?"
    assert len(message.evidence) == 32
    assert len(message.evidence["key0"]) == 256
    assert len(message.subject.id) == 128
    message.SerializeToString()


def test_an_assignment_arrives_whole() -> None:
    response = pb.ReportResponse(
        next_report_after=Duration(seconds=12, nanos=500_000_000),
        acknowledged_transition=4,
        assignment=pb.Assignment(
            revision="7",
            engines=[
                pb.Engine(
                    namespace="default",
                    name="my-cache",
                    uid="e",
                    pods=[pb.EnginePod(uid="p", name="x", ip="10.0.0.1", started_at=Timestamp())],
                    service_host="h",
                    port=5555,
                    gateway_port=8081,
                    metrics_port=9090,
                    l1_size_bytes=1,
                    l1_init_size_bytes=2,
                    l1_use_hugepages=True,
                    memory_request_bytes=3,
                    memory_limit_bytes=4,
                    ipc_mode=pb.IPC_MODE_HOST_PATH,
                    hash_algorithm="blake3",
                    chunk_size=256,
                    l2_address=pb.HostPort(host="redis", port=6379),
                    runtime_class_name="nvidia",
                    privileged=True,
                    gpu_vendor="nvidia",
                    l1_in_shared_memory=True,
                )
            ],
            thresholds=pb.Thresholds(
                memory_reserve_bytes=5,
                memory_warn_ratio=0.25,
                stale_segment_age=Duration(seconds=60),
                recovery_rounds=2,
                expected_gpus=0,
                xid_classes={"94": "reset"},
            ),
        ),
    )
    answer = wire.answer(response)
    assert answer.next_report_after == 12.5
    assert answer.acknowledged_transition == 4
    assert answer.assignment == Assignment(
        "7",
        (
            Engine(
                uid="e",
                namespace="default",
                name="my-cache",
                pods=(EnginePod("p", "x", "10.0.0.1", 0.0),),
                service_host="h",
                port=5555,
                gateway_port=8081,
                metrics_port=9090,
                l1_size=1,
                l1_initial_size=2,
                l1_use_hugepages=True,
                l1_in_shared_memory=True,
                memory_request=3,
                memory_limit=4,
                ipc_mode=IpcMode.HOST_PATH,
                hash_algorithm="blake3",
                chunk_size=256,
                l2_address=("redis", 6379),
                runtime_class_name="nvidia",
                privileged=True,
                gpu_vendor="nvidia",
            ),
        ),
        Thresholds(5, 0.25, 60.0, 2, expected_gpus=0, xid_classes={"94": "reset"}),
    )


def test_what_is_absent_is_the_agents_own_default() -> None:
    answer = wire.answer(pb.ReportResponse(assignment=pb.Assignment(revision="1")))
    assert answer.next_report_after is None
    assert answer.assignment == Assignment("1", (), Thresholds())


def test_absurd_thresholds_are_the_agents_own_default() -> None:
    for ratio in (float("nan"), float("inf"), -1.0, 7.0):
        message = pb.Assignment(thresholds=pb.Thresholds(memory_warn_ratio=ratio))
        answer = wire.answer(pb.ReportResponse(assignment=message))
        assert answer.assignment is not None
        assert answer.assignment.thresholds == Thresholds()


def test_every_field_of_the_protocol_is_known_here() -> None:
    """A field that is added to the protocol must be read or left out on purpose."""
    assert {field.name for field in pb.Engine.DESCRIPTOR.fields} == {
        "namespace", "name", "uid", "pods", "service_host", "port", "gateway_port",
        "metrics_port", "l1_size_bytes", "l1_init_size_bytes", "l1_use_hugepages",
        "memory_request_bytes", "memory_limit_bytes", "ipc_mode", "hash_algorithm",
        "chunk_size", "l2_address", "runtime_class_name", "privileged", "gpu_vendor",
        "l1_in_shared_memory",
    }  # fmt: skip
