"""The encrypted side of the agents' port: the certificate in use, renewed without a restart."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime

import grpc

from coordinator.errors import ApiError, ApiUnavailable, Forbidden, NotFound, StartupError
from coordinator.health.certificates import Material
from coordinator.health.trust_store import CONFIG_MAP, SECRET, TrustStore

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 60.0
FIRST_ATTEMPTS = 5


class ServerCertificate:
    """Keeps the port's certificate current. gRPC asks for it at each new connection."""

    def __init__(
        self,
        store: TrustStore,
        *,
        namespace: str,
        now: Callable[[], datetime],
        look_every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._now = now
        self._look_every = look_every_seconds
        self._material: Material | None = None
        self._configuration: grpc.ServerCertificateConfiguration | None = None
        self._is_new = False
        self._lock = threading.Lock()
        self.connections = 0

    @property
    def expires(self) -> float:
        """Return when the certificate in use ends, in seconds since the epoch; 0 before any."""
        if self._material is None:
            return 0.0
        return self._material.leaf.certificate.not_valid_after_utc.timestamp()

    async def load(self) -> None:
        """Read or make the first certificate. Raises StartupError with one sentence."""
        for attempt in range(1, FIRST_ATTEMPTS + 1):
            try:
                self._use(await self._store.ensure())
            except ApiUnavailable as error:
                if attempt == FIRST_ATTEMPTS:
                    raise StartupError(
                        f"The certificate for node agents could not be stored: {error.message}."
                    ) from error
                await asyncio.sleep(0.2 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
            except ApiError as error:
                raise StartupError(self._why(error)) from error
            else:
                return

    async def run(self) -> None:
        """Renew it in time and follow what other replicas write, until cancelled."""
        while True:
            await asyncio.sleep(self._look_every * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            try:
                self._use(await self._store.ensure())
            except ApiError as error:
                # What is in use stays in use: there are days left when renewal begins.
                logger.warning(
                    "certificates for node agents could not be checked",
                    extra={"cause": error.message},
                )

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials whose certificate changes with this object. `load` comes first."""
        first = self._configuration
        assert first is not None  # noqa: S101 - `load` has set it
        # None ("as before") is what gRPC documents; its stubs do not know it.
        return grpc.dynamic_ssl_server_credentials(first, self._at_connection)  # type: ignore[arg-type]

    def trouble(self) -> list[str]:
        """Say, for readiness, what keeps agents from trusting this server."""
        if self._now().timestamp() >= self.expires:
            return ["the certificate for node agents has expired"]
        return []

    def _at_connection(self) -> grpc.ServerCertificateConfiguration | None:
        # Called by gRPC's own threads, once for each connection; None means "as before".
        with self._lock:
            self.connections += 1
            changed, self._is_new = self._is_new, False
            return self._configuration if changed else None

    def _use(self, material: Material) -> None:
        before, self._material = self._material, material
        if before is not None and before.leaf.certificate == material.leaf.certificate:
            return
        configuration = grpc.ssl_server_certificate_configuration(
            [(material.leaf.key_pem.encode(), material.leaf.certificate_pem.encode())]
        )
        with self._lock:
            self._configuration, self._is_new = configuration, True

    def _why(self, error: ApiError) -> str:
        if isinstance(error, NotFound):
            return (
                f"The namespace {self._namespace} does not exist, so the certificate for node"
                " agents has no place: install deploy/base, or name another with --namespace."
            )
        if isinstance(error, Forbidden):
            return (
                f"The certificate for node agents cannot be kept in Secret {SECRET} and ConfigMap"
                f" {CONFIG_MAP} of {self._namespace}: {error.message}. Apply deploy/base, whose"
                " Role allows it."
            )
        return f"The certificate for node agents could not be stored: {error.message}."
