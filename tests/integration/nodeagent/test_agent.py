"""The agent as a process: what it reports, when, and that nothing stops it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb
from lmcache_nodehealth.v1 import nodehealth_pb2_grpc

from hack.demo.host_root import GIB, HostProcess, HostRoot, Memory
from nodeagent.cli import main
from tests.fakenvml.scenario import WEDGED, append_event, healthy
from tests.integration.nodeagent.agent import Coordinator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.integration.nodeagent.agent import Agent, Node

    Start = Callable[..., Awaitable[Agent]]

POD = "6f1f4c0e-7d0e-4f3e-9a55-0c0ffee0c0de"
STARTED = Timestamp(seconds=1_700_000_100)
ENGINE = "0b5a9a52-aaaa-4bbb-8ccc-1234567890ab"
QUICK = ("--round-interval=0.3", "--pulse-interval=0.1", "--recovery-rounds=2")


def assignment(l1_gib: int = 60) -> pb.Assignment:
    engine = pb.Engine(
        namespace="default",
        name="my-cache",
        uid=ENGINE,
        pods=[pb.EnginePod(uid=POD, name="my-cache-x2x", started_at=STARTED)],
        service_host="my-cache.default.svc.cluster.local",
        port=5555,
        l1_size_bytes=l1_gib * GIB,
        ipc_mode=pb.IPC_MODE_HOST_IPC,
    )
    return pb.Assignment(
        revision=f"with-{l1_gib}", engines=[engine], thresholds=pb.Thresholds(expected_gpus=2)
    )


def node_with_engine(**changes: object) -> HostRoot:
    return HostRoot(processes=(HostProcess(4711, POD),), pci_gpus=2, **changes)  # type: ignore[arg-type]


async def test_a_healthy_node_reports_nothing_but_good(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    server.assignment = assignment()
    node.put(host=node_with_engine(), driver=healthy(2))
    await start(*QUICK, port=port)

    await server.finding("l1-memory", reason="L1MemoryFits", within=5)
    report = server.reports[-1]
    assert {finding.outcome for finding in report.findings} == {pb.OUTCOME_PASS}
    assert [finding.check for finding in report.findings] == [
        "gpu-count",
        *["gpu-health"] * 2,
        *["gpu-lost"] * 2,
        *["gpu-xid"] * 2,
        "l1-memory",
        "nvml",
        "shared-memory",
    ]
    assert report.node_name == "node-a"
    assert report.boot_id == HostRoot().boot_id
    assert report.nvml.library_path.endswith("/libnvidia-ml.so.1")
    assert [gpu.model for gpu in report.gpus] == ["NVIDIA H200"] * 2


async def test_a_lost_gpu_is_reported_within_two_seconds_and_its_return_after_it_held(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    node.put(host=node_with_engine(), driver=healthy(2))
    # Rounds of a minute: only the pulse can notice in time.
    await start("--round-interval=60", port=port)
    await server.finding("gpu-lost", reason="GpuAnswers", within=5)

    driver = healthy(2)
    node.put(driver=driver.with_lost_gpu(1))
    lost = await server.finding("gpu-lost", reason="GpuLost", within=2)
    assert lost.outcome == pb.OUTCOME_FAIL
    assert lost.subject.id == driver.gpus[1].uuid
    assert "is lost: NVML answers GPU_IS_LOST (15)" in lost.message
    assert "reboot" in lost.remedy


async def test_a_mended_gpu_is_good_again_after_it_has_held(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    node.put(host=node_with_engine(), driver=healthy(2))
    await start(*QUICK, port=port)
    await server.finding("gpu-lost", reason="GpuAnswers", within=5)
    node.put(driver=healthy(2).with_lost_gpu(0))
    await server.finding("gpu-lost", reason="GpuLost", within=5)

    node.put(driver=healthy(2))
    await server.report_with(
        lambda report: (
            {each.outcome for each in report.findings if each.check == "gpu-lost"}
            == {pb.OUTCOME_PASS}
        ),
        within=5,
        after=len(server.reports),
    )


async def test_a_wedged_driver_is_reported_while_everything_else_goes_on(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    server.assignment = assignment()
    node.put(host=node_with_engine(), driver=healthy(2))
    agent = await start(*QUICK, "--nvml-deadline=1", port=port)
    await server.finding("l1-memory", reason="L1MemoryFits", within=5)

    began = time.monotonic()
    node.put(driver=healthy(2).with_delay("nvmlDeviceGetMemoryInfo", WEDGED, gpu=1))
    host = node_with_engine(memory=Memory(available=20 * GIB, free=20 * GIB, inactive_file=0))
    node.put(host=host)
    await server.finding("l1-memory", reason="L1MemoryShort", within=1)
    timeout = await server.finding("nvml", reason="DriverTimeout", within=4)
    assert time.monotonic() - began < 4
    assert "within 1 s, in nvmlDeviceGetMemoryInfo of GPU 1" in timeout.message
    assert await agent.get("/healthz") == (200, "ok\n")
    status, metrics = await agent.get("/metrics")
    assert status == 200
    assert 'lmcache_node_check_status{check="nvml",node="node-a",status="fail",subject=""} 1.0' in (
        metrics
    )

    node.put(driver=healthy(2))
    await server.finding("nvml", reason="NvmlAnswers", within=10, after=len(server.reports))


async def test_an_xid_is_reported_at_once_outlives_the_agent_and_can_be_cleared(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    events = node.scenario.with_name("events")
    events.touch()
    # This driver says nothing about recovery, so only a boot or a person ends the finding.
    gpus = tuple(dataclasses.replace(gpu, recovery_action=None) for gpu in healthy(2).gpus)
    driver = dataclasses.replace(healthy(2), gpus=gpus, events_file=events)
    state = f"--state-directory={node.root.parent / 'run'}"
    node.put(host=node_with_engine(), driver=driver)
    agent = await start("--round-interval=60", state, port=port)
    await server.finding("gpu-xid", reason="NoXid", within=5)

    append_event(events, gpu=1, xid=119)
    began = time.monotonic()
    found = await server.finding("gpu-xid", reason="XidReset", within=2)
    assert time.monotonic() - began < 1
    assert "announced XID 119 (GSP timeout)" in found.message
    assert found.subject.id == gpus[1].uuid
    assert await agent.stop() == 0

    seen = len(server.reports)
    await start("--round-interval=0.3", "--recovery-rounds=1", state, port=port)
    await server.finding("gpu-xid", reason="XidReset", within=5, after=seen)
    seen = len(server.reports)
    assert main(["clear", f"--gpu={gpus[1].uuid}", state]) == 0
    await server.report_with(
        lambda report: "XidReset" not in {each.reason for each in report.findings},
        within=5,
        after=seen,
    )


async def test_garbage_on_the_host_does_not_stop_the_agent(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    server.assignment = assignment()
    node.put(host=node_with_engine(), driver=healthy(2))
    (node.root / "proc/meminfo").write_bytes(b"\xff\xfe MemTotal: lots\n\0\0")
    (node.root / "proc/4711/mountinfo").write_bytes(b"900 \xff - \n" * 50)
    garbage = node.root / "proc/5000"
    garbage.mkdir()
    (garbage / "cgroup").write_text(f"0::/kubepods/pod{POD}/x")
    (garbage / "cmdline").write_bytes(b"--kv-transfer-config\0{\xff\0" + b"\xff" * 5000)
    (node.root / "proc/6000").mkdir()
    agent = await start(*QUICK, port=port)

    memory = await server.finding("l1-memory", reason="HostUnreadable", within=5)
    assert memory.outcome == pb.OUTCOME_UNKNOWN
    assert memory.message.isprintable()
    assert (await agent.get("/readyz"))[0] == 200

    node.put(host=node_with_engine())
    await server.finding("l1-memory", reason="L1MemoryFits", within=5)


async def test_without_a_coordinator_the_agent_goes_on_and_reports_on_its_return(
    node: Node, start: Start
) -> None:
    servicer, first = Coordinator(), grpc.aio.server()
    port = first.add_insecure_port("127.0.0.1:0")
    nodehealth_pb2_grpc.add_NodeHealthServiceServicer_to_server(servicer, first)
    await first.start()
    servicer.pace = 1.0
    node.put(host=node_with_engine(), driver=healthy(2))
    agent = await start(*QUICK, port=port)
    await servicer.finding("gpu-lost", reason="GpuAnswers", within=5)
    await first.stop(grace=None)

    node.put(driver=healthy(2).with_lost_gpu(1))
    lost = 'check="gpu-lost",node="node-a",reason="GpuLost"'
    async with asyncio.timeout(10):
        while lost not in (metrics := (await agent.get("/metrics"))[1]) or (
            'report_failures_total{node="node-a"} 0.0' in metrics
        ):
            pass

    back, second = Coordinator(), grpc.aio.server()
    nodehealth_pb2_grpc.add_NodeHealthServiceServicer_to_server(back, second)
    assert second.add_insecure_port(f"127.0.0.1:{port}") == port
    await second.start()
    await back.finding("gpu-lost", reason="GpuLost", within=15)
    await second.stop(grace=None)


async def test_the_token_is_read_anew_for_each_report(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    server.pace = 1.0
    token = node.root.parent / "token"
    token.write_text("first\n")
    node.put(host=node_with_engine(), driver=healthy(2))
    await start(*QUICK, f"--token-file={token}", port=port)
    await server.report_with(lambda _: True, within=5)
    assert server.metadata[0]["authorization"] == "Bearer first"

    token.write_text("second\n")
    await server.report_with(lambda _: True, within=5, after=len(server.reports))
    assert server.metadata[-1]["authorization"] == "Bearer second"


async def test_a_terminated_agent_ends_well_and_takes_its_child_along(
    node: Node, coordinator: tuple[Coordinator, int], start: Start
) -> None:
    server, port = coordinator
    node.put(host=node_with_engine(), driver=healthy(2))
    agent = await start(*QUICK, port=port)
    await server.report_with(lambda _: True, within=5)
    assert await agent.stop() == 0
    assert not [line for line in agent.log if "Traceback" in line or "ERROR" in line]
