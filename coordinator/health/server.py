"""The gRPC service that agents call: authenticate, bound, convert, store, answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb
from lmcache_nodehealth.v1 import nodehealth_pb2_grpc as pb_grpc

from coordinator.errors import StartupError
from coordinator.health import wire
from coordinator.health.assignment import AssignmentBook
from coordinator.health.store import ReportStore
from coordinator.metrics import Metrics
from coordinator.settings import Address

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = grpc.aio.ServicerContext[pb.ReportRequest, pb.ReportResponse]

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 512 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Connections are closed now and then so that agents spread over replicas again; gRPC adds
    # +-10 % by itself.
    ("grpc.max_connection_age_ms", 30 * 60 * 1000),
    ("grpc.max_connection_age_grace_ms", 10 * 1000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30 * 1000),
    # Two coordinators that share a port would each see half of the agents.
    ("grpc.so_reuseport", 0),
)


class Authenticator(Protocol):
    """Who may speak for which node."""

    async def node_of(self, context: Context, claimed: str) -> str | None:
        """Return the node that the caller may speak for, None when it may for none."""


class LoopbackAuthenticator:
    """Believes what it is told. Only for a server that listens on loopback, as it is checked."""

    async def node_of(self, context: Context, claimed: str) -> str | None:
        """Return the claimed node."""
        return claimed if context.peer().startswith(("ipv4:127.", "ipv6:%5B::1%5D")) else None


class NodeHealthService(pb_grpc.NodeHealthServiceServicer):
    """Takes reports and hands out assignments."""

    def __init__(
        self,
        *,
        store: ReportStore,
        assignments: AssignmentBook,
        authenticator: Authenticator,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._authenticator = authenticator
        self._metrics = metrics

    async def Report(  # noqa: N802 - the protocol's name
        self, request: pb.ReportRequest, context: Context
    ) -> pb.ReportResponse:
        """Take in one node's report."""
        try:
            report = wire.report_from(request)
        except wire.ReportRefused as error:
            self._metrics.reports.labels("out_of_bounds").inc()
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        node = await self._authenticator.node_of(context, report.node)
        if node != report.node:
            self._metrics.reports.labels("wrong_node").inc()
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, "an agent can speak for its own node only"
            )
        accepted = self._store.put(report)
        self._metrics.reports.labels("accepted" if accepted else "out_of_order").inc()
        assignment = self._assignments.get(report.node)
        return wire.response(
            next_report_after=self._store.interval,
            acknowledged=wire.last_transition(request),
            assignment=(None if assignment.revision == report.assignment_revision else assignment),
        )


async def serve(service: NodeHealthService, address: Address) -> tuple[grpc.aio.Server, Address]:
    """Start the server; returns it and the address that it really listens on.

    Raises StartupError when the address cannot be used, and for any address but loopback: reports
    are not encrypted yet.
    """
    if address.host not in ("127.0.0.1", "::1", "localhost"):
        raise StartupError(
            f"--agents-address {address} is not on loopback: without TLS agents are only heard"
            " there. Give 127.0.0.1:PORT, or --no-agents."
        )
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=1000)
    pb_grpc.add_NodeHealthServiceServicer_to_server(service, server)
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise StartupError(
            f"Cannot listen on {address} for node agents: the port is in use. Choose another with"
            " --agents-address, or --no-agents."
        ) from error
    await server.start()
    return server, Address(address.host, port)
