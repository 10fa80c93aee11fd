"""The agents' port as a whole: opened with or without trust, kept current, closed first."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import grpc.aio

from coordinator.health.assignment import AssignmentBook
from coordinator.health.authentication import LoopbackAuthenticator
from coordinator.health.server import NodeHealthService, serve
from coordinator.health.store import ReportStore
from coordinator.health.trust import AgentTrust
from coordinator.kube.client import KubeClient
from coordinator.metrics import Metrics
from coordinator.settings import Settings

logger = logging.getLogger(__name__)


class AgentsPort:
    """Serves node agents where the settings say so, or nowhere."""

    def __init__(
        self,
        settings: Settings,
        *,
        client: KubeClient,
        store: ReportStore,
        assignments: AssignmentBook,
        metrics: Metrics,
    ) -> None:
        self._address = settings.agents
        self._trust: AgentTrust | None = None
        if self._address is not None and settings.agents_tls:
            self._trust = AgentTrust(client, settings, metrics=metrics)
        self._service = NodeHealthService(
            store=store,
            assignments=assignments,
            authenticator=LoopbackAuthenticator() if self._trust is None else self._trust.tokens,
            metrics=metrics,
        )
        self._server: grpc.aio.Server | None = None

    async def open(self) -> None:
        """Start serving. Raises StartupError with one sentence."""
        if self._address is None:
            return
        credentials = None
        if self._trust is not None:
            await self._trust.load()
            credentials = self._trust.credentials()
        self._server, address = await serve(self._service, self._address, credentials=credentials)
        logger.info("serving node agents", extra={"address": str(address)})

    def start(self) -> list[asyncio.Task[None]]:
        """Start what keeps the trust current; the tasks are to be cancelled at the end."""
        return [] if self._trust is None else self._trust.start()

    def trouble(self) -> list[str]:
        """Say, for readiness, what keeps agents away."""
        return [] if self._trust is None else self._trust.trouble()

    async def close(self) -> None:
        """Stop serving; the second time does nothing."""
        server, self._server = self._server, None
        if server is not None:
            # Where kopf ended by itself, it has cancelled gRPC's own task along the way.
            with contextlib.suppress(asyncio.CancelledError):
                await server.stop(grace=1.0)
