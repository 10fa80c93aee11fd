"""Everything that makes the agents' port trusted: certificate, tokens, and the agents' own pods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import grpc

from coordinator.health.authentication import TokenAuthenticator
from coordinator.health.tls import ServerCertificate
from coordinator.health.trust_store import TrustStore, server_names
from coordinator.kube.client import KubeClient
from coordinator.kube.informer import Informer
from coordinator.kube.resources import PODS, ObjectKey
from coordinator.metrics import Metrics
from coordinator.settings import Settings

AGENT_SELECTOR = "app.kubernetes.io/component=node-agent"


class AgentTrust:
    """Owns the certificate in use and who is believed."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        *,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.tokens = TokenAuthenticator(client, namespace=settings.namespace)
        self._certificate = ServerCertificate(
            TrustStore(
                client,
                namespace=settings.namespace,
                names=server_names(settings.namespace, settings.cluster_domain),
                now=now,
            ),
            namespace=settings.namespace,
            now=now,
        )
        # A token is good for as long as its pod is there, and no verdict outlives it.
        self._pods: Informer[str] = Informer(
            client,
            PODS,
            label_selector=AGENT_SELECTOR,
            field_selector=f"metadata.namespace={settings.namespace}",
            project=lambda manifest: str(manifest["metadata"]["uid"]),
            on_change=self._pod_changed,
        )
        metrics.gauge(
            "agent_certificate_expiry_timestamp_seconds",
            "When the certificate of the agents' port ends.",
            lambda: self._certificate.expires,
        )
        metrics.counter(
            "agent_connections",
            "Connections to the agents' port, trusted or not.",
            lambda: self._certificate.connections,
        )

    async def load(self) -> None:
        """Read or make the certificate. Raises StartupError with one sentence."""
        await self._certificate.load()

    def start(self) -> list[asyncio.Task[None]]:
        """Start what keeps it current; the tasks are to be cancelled at the end."""
        return [
            asyncio.create_task(self._certificate.run(), name="certificate"),
            asyncio.create_task(self._pods.run(), name="informer-agent-pods"),
        ]

    def credentials(self) -> grpc.ServerCredentials:
        """Return the credentials of the agents' port."""
        return self._certificate.credentials()

    def trouble(self) -> list[str]:
        """Say, for readiness, what keeps agents away."""
        return self._certificate.trouble()

    def _pod_changed(self, _key: ObjectKey, old: str | None, new: str | None) -> None:
        if old is not None and old != new:
            self.tokens.forget_pod(old)
