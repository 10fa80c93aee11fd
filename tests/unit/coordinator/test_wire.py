"""Between messages and values: every bound is kept and named, nothing is lost on the way."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb

from coordinator.health import wire
from coordinator.health.assignment import Assignment, EngineOnNode
from coordinator.health.model import Client, Finding, Outcome, SubjectKind
from coordinator.health.wire import ReportRefused, report_from
from tests.unit.coordinator.samples import NOW, pod


def stamp(moment=NOW) -> Any:
    result = Timestamp()
    result.FromDatetime(moment)
    return result


def message(**rest) -> Any:
    values: dict[str, Any] = {"node_name": "n1", "agent_instance": "i", "sequence": 7} | rest
    return pb.ReportRequest(**values)


def finding(**rest) -> Any:
    values: dict[str, Any] = {"check": "nvml", "reason": "Fine", "outcome": pb.OUTCOME_PASS} | rest
    return pb.Finding(**values)


def test_a_full_report_arrives_as_it_was_sent():
    request = message(
        boot_id="boot",
        agent_version="1.2",
        assignment_revision="rev",
        nvml=pb.Nvml(library_path="/lib/nvml", driver_version="580"),
        gpus=[pb.Gpu(uuid="GPU-1"), pb.Gpu(uuid="GPU-2")],
        findings=[
            finding(
                subject=pb.Subject(kind=pb.SUBJECT_KIND_GPU, id="GPU-1"),
                outcome=pb.OUTCOME_FAIL,
                message="lost",
                remedy="reboot",
                evidence={"b": "2", "a": "1"},
                since=stamp(),
            )
        ],
        clients=[pb.Client(pod_uid="p", host="h", port=1, isolated_ipc=False, started_at=stamp())],
    )
    report = report_from(pb.ReportRequest.FromString(request.SerializeToString()))
    assert (report.node, report.boot_id, report.agent_instance) == ("n1", "boot", "i")
    assert (report.sequence, report.agent_version) == (7, "1.2")
    assert (report.nvml_library, report.driver_version) == ("/lib/nvml", "580")
    assert report.gpu_count == 2
    assert report.assignment_revision == "rev"
    assert report.findings == (
        Finding(
            "nvml",
            SubjectKind.GPU,
            "GPU-1",
            Outcome.FAIL,
            "Fine",
            "lost",
            "reboot",
            (("a", "1"), ("b", "2")),
            NOW,
        ),
    )
    assert report.clients == (Client("p", "h", 1, isolated_ipc=False, started_at=NOW),)


def test_what_a_report_leaves_out_is_not_made_up():
    report = report_from(message(findings=[finding()], clients=[pb.Client()]))
    assert report.findings[0].since is None
    assert report.clients == (Client("", "", 0),)
    assert (report.nvml_library, report.gpu_count) == ("", 0)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (pb.OUTCOME_PASS, Outcome.PASS),
        (pb.OUTCOME_WARN, Outcome.WARN),
        (pb.OUTCOME_FAIL, Outcome.FAIL),
        (pb.OUTCOME_UNKNOWN, Outcome.UNKNOWN),
        (pb.OUTCOME_NOT_APPLICABLE, Outcome.NOT_APPLICABLE),
        (pb.OUTCOME_UNSPECIFIED, Outcome.UNKNOWN),
        (99, Outcome.UNKNOWN),
    ],
)
def test_an_outcome_that_is_not_known_here_is_unknown(outcome, expected):
    report = report_from(message(findings=[finding(outcome=outcome)]))
    assert report.findings[0].outcome is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pb.SUBJECT_KIND_NODE, SubjectKind.NODE),
        (pb.SUBJECT_KIND_GPU, SubjectKind.GPU),
        (pb.SUBJECT_KIND_ENGINE, SubjectKind.ENGINE),
        (pb.SUBJECT_KIND_CLIENT, SubjectKind.CLIENT),
    ],
)
def test_each_kind_of_subject_is_known(kind, expected):
    report = report_from(message(findings=[finding(subject=pb.Subject(kind=kind))]))
    assert report.findings[0].kind is expected


BOUNDS = {
    "node_name": ({"node_name": "n" * 254}, "node_name has 254 characters, at most 253"),
    "no node_name": ({"node_name": ""}, "node_name is empty"),
    "boot_id": ({"boot_id": "b" * 65}, "boot_id has 65"),
    "agent_instance": ({"agent_instance": "a" * 65}, "agent_instance has 65"),
    "no agent_instance": ({"agent_instance": ""}, "agent_instance is empty"),
    "agent_version": ({"agent_version": "v" * 65}, "agent_version has 65"),
    "assignment_revision": ({"assignment_revision": "r" * 65}, "assignment_revision has 65"),
    "library": ({"nvml": pb.Nvml(library_path="l" * 257)}, "nvml.library_path has 257"),
    "driver": ({"nvml": pb.Nvml(driver_version="d" * 81)}, "nvml.driver_version has 81"),
    "gpus": ({"gpus": [pb.Gpu()] * 65}, "gpus has 65 entries, at most 64"),
    "findings": ({"findings": [finding()] * 513}, "findings has 513 entries, at most 512"),
    "clients": ({"clients": [pb.Client()] * 257}, "clients has 257 entries, at most 256"),
    "transitions": ({"transitions": [pb.Transition()] * 65}, "transitions has 65 entries"),
    "check": ({"findings": [finding(check="c" * 64)]}, "finding.check has 64"),
    "no check": ({"findings": [finding(check="")]}, "finding.check is empty"),
    "subject": (
        {"findings": [finding(subject=pb.Subject(id="s" * 129))]},
        "finding.subject has 129",
    ),
    "reason": ({"findings": [finding(reason="R" * 64)]}, "finding.reason has 64"),
    "no reason": ({"findings": [finding(reason="")]}, "finding.reason is empty"),
    "reason of words": ({"findings": [finding(reason="Not One")]}, "finding.reason is not a"),
    "reason with a digit first": ({"findings": [finding(reason="1A")]}, "finding.reason is not a"),
    "reason beyond ASCII": ({"findings": [finding(reason="Verlorén")]}, "finding.reason is not a"),
    "message": ({"findings": [finding(message="m" * 513)]}, "finding.message has 513"),
    "remedy": ({"findings": [finding(remedy="r" * 513)]}, "finding.remedy has 513"),
    "evidence": (
        {"findings": [finding(evidence={str(n): "" for n in range(33)})]},
        "evidence has 33 entries",
    ),
    "evidence name": ({"findings": [finding(evidence={"e" * 64: ""})]}, "evidence has 64"),
    "evidence value": ({"findings": [finding(evidence={"e": "v" * 257})]}, "evidence has 257"),
    "client pod": ({"clients": [pb.Client(pod_uid="p" * 65)]}, "client.pod_uid has 65"),
    "client host": ({"clients": [pb.Client(host="h" * 254)]}, "client.host has 254"),
    "line break in a name": ({"node_name": "a\nb"}, "node_name holds control characters"),
}


@pytest.mark.parametrize(("change", "sentence"), BOUNDS.values(), ids=BOUNDS)
def test_each_bound_is_kept_and_named(change, sentence):
    with pytest.raises(ReportRefused, match=sentence):
        report_from(message(**change))


def test_a_report_at_all_its_bounds_is_accepted():
    report = report_from(
        message(
            node_name="n" * 253,
            findings=[finding(message="m" * 512, evidence={str(n): "v" * 256 for n in range(32)})]
            * 512,
            clients=[pb.Client(host="h" * 253)] * 256,
            gpus=[pb.Gpu()] * 64,
            transitions=[pb.Transition()] * 64,
        )
    )
    assert len(report.findings) == 512


@pytest.mark.parametrize(
    "where",
    [
        lambda bad: {"findings": [finding(since=bad)]},
        lambda bad: {"clients": [pb.Client(started_at=bad)]},
    ],
    ids=["finding", "client"],
)
@pytest.mark.parametrize(
    "bad",
    [
        Timestamp(seconds=10**12),
        Timestamp(seconds=-(10**12)),
        Timestamp(seconds=2**63 - 1),
        Timestamp(nanos=-5),
        Timestamp(nanos=2**31 - 1),
        Timestamp(seconds=-62135596800),
    ],
    ids=["far future", "far past", "largest", "negative nanos", "many nanos", "year 1"],
)
def test_a_moment_that_is_none_is_refused(where, bad):
    with pytest.raises(ReportRefused, match="timestamp is out of range"):
        report_from(message(**where(bad)))


# --- the answer ------------------------------------------------------------------------------


def engine(**rest) -> Any:
    values: dict[str, Any] = {
        "namespace": "ns",
        "name": "e",
        "uid": "u",
        "pods": (pod("p1"), pod("p2", started_at=None)),
        "service_host": "e.ns.svc",
        "port": 5555,
        "metrics_port": 9090,
        "l1_size_bytes": 2**40,
        "l1_init_size_bytes": 1,
        "l1_use_hugepages": True,
        "memory_request_bytes": 2,
        "memory_limit_bytes": 3,
        "ipc_mode": "hostPath",
        "hash_algorithm": "blake3",
        "chunk_size": 256,
        "l2_address": ("redis", 6379),
        "runtime_class_name": "nvidia",
        "privileged": True,
        "gpu_vendor": "nvidia",
        "gateway_port": 9091,
        "l1_in_shared_memory": True,
    }
    return EngineOnNode(**(values | rest))


def answered(assignment, **rest) -> Any:
    values: dict[str, Any] = {"next_report_after": 10.5, "acknowledged": 3} | rest
    answer = wire.response(assignment=assignment, **values)
    return pb.ReportResponse.FromString(answer.SerializeToString())


def test_an_assignment_arrives_with_all_its_fields():
    answer = answered(Assignment((engine(),), 8, 100, "rev"))
    assert answer.next_report_after.ToMilliseconds() == 10500
    assert answer.acknowledged_transition == 3
    told = answer.assignment
    assert told.revision == "rev"
    assert told.thresholds.expected_gpus == 8
    assert told.thresholds.memory_reserve_bytes == 100
    [one] = told.engines
    plain = engine()
    others = {"pods", "ipc_mode", "l2_address"}
    for name in (field.name for field in dataclasses.fields(plain) if field.name not in others):
        assert getattr(one, name) == getattr(plain, name), name
    assert one.ipc_mode == pb.IPC_MODE_HOST_PATH
    assert (one.l2_address.host, one.l2_address.port) == ("redis", 6379)
    assert [(p.name, p.uid, p.ip) for p in one.pods] == [
        ("p1", "uid-p1", "10.1.0.1"),
        ("p2", "uid-p2", "10.1.0.1"),
    ]
    assert one.pods[0].started_at.ToDatetime(tzinfo=UTC) == NOW
    assert not one.pods[1].HasField("started_at")


def test_every_field_of_the_protocol_is_told():
    [one] = answered(Assignment((engine(),))).assignment.engines
    told = {field.name for field, _ in one.ListFields()}
    assert {field.name for field in pb.Engine.DESCRIPTOR.fields} - told == set()


@pytest.mark.parametrize("mode", ["hostIPC", "hostPath", "isolated"])
def test_each_ipc_mode_can_be_told(mode):
    [one] = answered(Assignment((engine(ipc_mode=mode),))).assignment.engines
    assert one.ipc_mode != pb.IPC_MODE_UNSPECIFIED


def test_what_is_not_there_is_left_out():
    answer = answered(Assignment((engine(l2_address=None),), None))
    assert not answer.assignment.engines[0].HasField("l2_address")
    assert not answer.assignment.thresholds.HasField("expected_gpus")
    assert not answered(None).HasField("assignment")


@pytest.mark.parametrize(("ids", "last"), [((), 0), ((3,), 3), ((5, 9, 7), 9)])
def test_all_transitions_of_a_report_are_acknowledged(ids, last):
    request = message(transitions=[pb.Transition(id=one) for one in ids])
    assert wire.last_transition(request) == last


def test_a_moment_survives_the_way_in_utc():
    moment = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
    assert report_from(message(findings=[finding(since=stamp(moment))])).findings[0].since == moment


def report_of(**fields) -> Any:
    return report_from(message(**fields))


def test_control_characters_in_a_sentence_do_not_cost_the_whole_report():
    seen = report_of(
        findings=[finding(message="\x1b[31mred\nline", evidence={"a": "b\0c"})]
    ).findings[0]
    assert seen.message == " [31mred line"
    assert seen.evidence == (("a", "b c"),)


def test_findings_are_sorted_whatever_order_they_came_in():
    one, two = finding(check="a-check"), finding(check="b-check")
    assert report_of(findings=[two, one]) == report_of(findings=[one, two])


def test_a_subject_of_an_unknown_kind_is_blamed_on_nobody():
    odd = finding(outcome=pb.OUTCOME_FAIL)
    odd.subject.kind = 99
    assert report_of(findings=[odd]).concerning("any") == ()
