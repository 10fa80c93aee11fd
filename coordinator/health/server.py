"""The gRPC service that agents call: authenticate, bound, convert, store, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb

from coordinator.errors import StartupError
from coordinator.health import wire
from coordinator.health.assignment import AssignmentBook
from coordinator.health.authentication import Authenticator, Refused
from coordinator.health.model import NodeReport
from coordinator.health.rate import Buckets
from coordinator.health.store import ReportStore
from coordinator.metrics import Metrics
from coordinator.settings import Address

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = grpc.aio.ServicerContext[pb.ReportRequest, pb.ReportResponse]

logger = logging.getLogger(__name__)

# Twice what an agent allows itself: an old and a new one may overlap, and an honest one that is in
# a hurry is never refused.
CALLS_PER_SECOND = 2.0
CALLS_BURST = 10.0
REFUSALS_LOGGED_PER_SECOND = 1.0
# Longer than any message of ours takes, shorter than the deadline of an agent's call.
READ_SECONDS = 4.0
MAX_MESSAGE_BYTES = 512 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Connections are closed now and then so that agents spread over replicas again; gRPC adds
    # +-10 % by itself.
    ("grpc.max_connection_age_ms", 30 * 60 * 1000),
    ("grpc.max_connection_age_grace_ms", 10 * 1000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30 * 1000),
    # A connection whose peer has gone without a word, or never said one, is noticed and closed.
    ("grpc.keepalive_time_ms", 60 * 1000),
    ("grpc.keepalive_timeout_ms", 10 * 1000),
    ("grpc.max_connection_idle_ms", 10 * 60 * 1000),
    # An agent has one call open at a time.
    ("grpc.max_concurrent_streams", 4),
    ("grpc.max_metadata_size", 12 * 1024),
    # Two coordinators that share a port would each see half of the agents.
    ("grpc.so_reuseport", 0),
)


class NodeHealthService:
    """Takes reports and hands out assignments.

    `Report` is unary for the caller. Here it is served as a stream of one message, which is the
    same on the wire: so a caller is known before its message is read, and has a time to send it.
    """

    def __init__(
        self,
        *,
        store: ReportStore,
        assignments: AssignmentBook,
        authenticator: Authenticator,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._authenticator = authenticator
        self._metrics = metrics
        self._read_seconds = read_seconds
        self._calls = Buckets(rate=CALLS_PER_SECOND, burst=CALLS_BURST, clock=clock)
        self._lines = Buckets(rate=REFUSALS_LOGGED_PER_SECOND, burst=5.0, clock=clock)
        self._unlogged = 0

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a server is to be given."""
        service = pb.DESCRIPTOR.services_by_name["NodeHealthService"]
        report = grpc.stream_unary_rpc_method_handler(
            self._report,
            request_deserializer=pb.ReportRequest.FromString,
            response_serializer=pb.ReportResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(service.full_name, {"Report": report})

    async def _report(
        self, messages: AsyncIterator[pb.ReportRequest], context: Context
    ) -> pb.ReportResponse:
        claimed = ""
        try:
            node = await self._caller(context)
            request = await self._message(messages)
            claimed = request.node_name
            report = _report_of(request, node)
        except Refused as refused:
            self._metrics.reports.labels(refused.reason).inc()
            self._log(refused, claimed, context.peer())
            await context.abort(refused.code, str(refused))
        accepted = self._store.put(report)
        self._metrics.reports.labels("accepted" if accepted else "out_of_order").inc()
        assignment = self._assignments.get(report.node)
        return wire.response(
            next_report_after=self._store.interval,
            acknowledged=wire.last_transition(request),
            assignment=(None if assignment.revision == report.assignment_revision else assignment),
        )

    async def _caller(self, context: Context) -> str | None:
        """Return the node that this call may be about, None for any. Raises Refused."""
        node = await self._authenticator.node_of(context)
        if node is not None and not self._calls.take(node):
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too_many_calls",
                "this node's agent calls too often",
            )
        return node

    async def _message(self, messages: AsyncIterator[pb.ReportRequest]) -> pb.ReportRequest:
        try:
            async with asyncio.timeout(self._read_seconds):
                async for message in messages:
                    return message
        except TimeoutError as error:
            raise Refused(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "unread",
                f"no report came within {self._read_seconds:g} s",
            ) from error
        # gRPC itself has answered RESOURCE_EXHAUSTED, or the caller broke off.
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "unread", "the report could not be read")

    def _log(self, refused: Refused, claimed: str, peer: str) -> None:
        """Say why, at a bounded rate; what a stranger wrote appears cut and printable."""
        if not self._lines.take(""):
            self._unlogged += 1
            return
        logger.warning(
            "report refused",
            extra={
                "reason": refused.reason,
                "cause": str(refused),
                "claims": "".join(c if c.isprintable() else "?" for c in claimed[:100]),
                "peer": peer,
                "not_logged": self._unlogged,
            },
        )
        self._unlogged = 0


def _report_of(request: pb.ReportRequest, node: str | None) -> NodeReport:
    if node is not None and node != request.node_name:
        raise Refused(
            grpc.StatusCode.PERMISSION_DENIED,
            "wrong_node",
            "an agent can speak for its own node only",
        )
    try:
        return wire.report_from(request)
    except wire.ReportRefused as error:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "out_of_bounds", str(error)) from error


async def serve(
    service: NodeHealthService,
    address: Address,
    *,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, Address]:
    """Start the server; returns it and the address that it really listens on.

    Raises StartupError when the address cannot be used, and without credentials for any address but
    loopback: tokens and reports would travel in the clear.
    """
    if credentials is None and address.host not in ("127.0.0.1", "::1", "localhost"):
        raise StartupError(
            f"--agents-address {address} is not on loopback: with --agents-tls=off agents are only"
            " heard there. Give 127.0.0.1:PORT, or --no-agents."
        )
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=1000)
    server.add_generic_rpc_handlers((service.handlers(),))
    try:
        port = (
            server.add_insecure_port(str(address))
            if credentials is None
            else server.add_secure_port(str(address), credentials)
        )
    except RuntimeError as error:
        raise StartupError(
            f"Cannot listen on {address} for node agents: the port is in use. Choose another with"
            " --agents-address, or --no-agents."
        ) from error
    await server.start()
    return server, Address(address.host, port)
