"""The gRPC service, over a real connection on loopback."""

import socket
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb
from lmcache_nodehealth.v1 import nodehealth_pb2_grpc as pb_grpc

from coordinator.errors import StartupError
from coordinator.health.assignment import Assignment, AssignmentBook
from coordinator.health.authentication import LoopbackAuthenticator, Refused
from coordinator.health.server import (
    MAX_MESSAGE_BYTES,
    NodeHealthService,
    serve,
)
from coordinator.health.store import ReportStore
from coordinator.metrics import Metrics
from coordinator.settings import Address
from tests.unit.coordinator.samples import NOW

LOOPBACK = Address("127.0.0.1", 0)


class Believer:
    """Lets everybody speak for one node."""

    def __init__(self, node="n1") -> None:
        self.node = node

    async def node_of(self, context) -> Any:
        return self.node


class Bench:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.store = ReportStore(clock=lambda: 0.0, now=lambda: NOW)
        self.gpus = 8
        self.book = AssignmentBook(compute=lambda _node: Assignment((), expected_gpus=self.gpus))
        self.service = NodeHealthService(
            store=self.store,
            assignments=self.book,
            authenticator=Believer(),
            metrics=self.metrics,
        )
        self.stub: Any = None

    async def report(self, sequence=1, node="n1", **rest) -> Any:
        request = pb.ReportRequest(node_name=node, agent_instance="i", sequence=sequence, **rest)
        return await self.stub.Report(request, timeout=5)

    def counted(self) -> Any:
        samples = next(
            family.samples
            for family in self.metrics.registry.collect()
            if family.name == "lmcache_operator_agent_reports"
        )
        return {s.labels["result"]: s.value for s in samples if s.name.endswith("_total")}


@pytest.fixture
async def bench():
    result = Bench()
    server, address = await serve(result.service, LOOPBACK)
    async with grpc.aio.insecure_channel(str(address)) as channel:
        result.stub = pb_grpc.NodeHealthServiceStub(channel)
        yield result
    await server.stop(grace=None)


async def test_a_report_is_kept_counted_and_answered(bench):
    answer = await bench.report(transitions=[pb.Transition(id=4)])
    assert answer.next_report_after.seconds == 10
    assert answer.acknowledged_transition == 4
    assert answer.assignment.thresholds.expected_gpus == 8
    assert bench.store.report("n1").sequence == 1
    assert bench.counted() == {"accepted": 1}


async def test_an_assignment_is_sent_only_to_who_does_not_have_it(bench):
    revision = (await bench.report()).assignment.revision
    assert not (await bench.report(2, assignment_revision=revision)).HasField("assignment")
    bench.gpus = 4
    bench.book.outdate("n1")
    answer = await bench.report(3, assignment_revision=revision)
    assert answer.assignment.thresholds.expected_gpus == 4
    assert answer.assignment.revision != revision


async def test_a_report_that_was_overtaken_is_answered_and_counted_apart(bench):
    await bench.report(2)
    answer = await bench.report(1)
    assert answer.HasField("assignment")
    assert bench.store.report("n1").sequence == 2
    assert bench.counted() == {"accepted": 1, "out_of_order": 1}


async def test_a_report_out_of_bounds_is_refused_by_its_bound(bench):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await bench.report(findings=[pb.Finding(check="c" * 64, reason="R")])
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "finding.check has 64 characters" in str(raised.value.details())
    assert bench.counted() == {"out_of_bounds": 1}
    assert len(bench.store) == 0


@pytest.mark.parametrize("allowed", ["another", ""], ids=["another node", "no node"])
async def test_an_agent_speaks_for_its_own_node_only(bench, allowed):
    bench.service._authenticator = Believer(allowed)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await bench.report()
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert bench.counted() == {"wrong_node": 1}
    assert len(bench.store) == 0


async def test_a_message_beyond_all_bounds_is_not_even_read(bench):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await bench.report(boot_id="x" * (MAX_MESSAGE_BYTES + 1))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert bench.counted() == {"unread": 1}


async def test_refusals_do_not_end_the_service(bench):
    with pytest.raises(grpc.aio.AioRpcError):
        await bench.report(node="")
    assert (await bench.report()).HasField("assignment")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org", "::"])
async def test_only_loopback_is_listened_on(host):
    with pytest.raises(StartupError, match="is not on loopback") as raised:
        await serve(Bench().service, Address(host, 0))
    assert str(raised.value).endswith(".")


async def test_a_port_in_use_is_told_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(StartupError, match=f"{address}.*in use.*--agents-address"):
            await serve(Bench().service, address)


async def test_callers_from_elsewhere_are_not_believed():
    async def answer(peer) -> Any:
        try:
            return await LoopbackAuthenticator().node_of(SimpleNamespace(peer=lambda: peer))
        except Refused as refused:
            return refused.code

    peers = ("ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "ipv4:10.0.0.1:5", "unix:/x", "")
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert [await answer(peer) for peer in peers] == [None, None, denied, denied, denied]
