"""Where the certificates are kept: one Secret, and one ConfigMap for what agents trust.

Several replicas may do this at the same time. The Secret decides: who loses the race to create or
to change it reads what the winner wrote. The ConfigMap always follows from the Secret.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from coordinator.errors import ApiConflict, ApiError, NotFound
from coordinator.health.certificates import (
    STORED,
    MakeKey,
    Material,
    MaterialUnusable,
    from_stored,
    new_key,
    renewed,
    to_stored,
)
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import CONFIG_MAPS, DEPLOYMENTS, SECRETS, Manifest, Resource

logger = logging.getLogger(__name__)

SECRET = "lmcache-coordinator-tls"  # noqa: S105 - its name
CONFIG_MAP = "lmcache-coordinator-ca"
DEPLOYMENT = "lmcache-coordinator"
SERVICE = "lmcache-coordinator"
_ATTEMPTS = 5
_LABELS = {
    "app.kubernetes.io/name": "lmcache-coordinator",
    "app.kubernetes.io/part-of": "lmcache-operator",
    "app.kubernetes.io/component": "operator-coordinator",
}


def server_names(namespace: str, cluster_domain: str) -> tuple[str, ...]:
    """Return the names that agents can reach the coordinator by."""
    service = f"{SERVICE}.{namespace}.svc"
    return (
        SERVICE,
        f"{SERVICE}.{namespace}",
        service,
        f"{service}.{cluster_domain}",
        # For a look from inside the pod (kubectl port-forward, tests).
        "localhost",
        "127.0.0.1",
    )


class TrustStore:
    """Reads and renews the material. The clock and the keys are injected."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        names: tuple[str, ...],
        now: Callable[[], datetime],
        make_key: MakeKey = new_key,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._names = names
        self._now = now
        self._make_key = make_key

    async def ensure(self) -> Material:
        """Make Secret and ConfigMap what they should be now; returns the material.

        Raises the ApiErrors; ApiConflict only when others keep changing the Secret.
        """
        for _ in range(_ATTEMPTS):
            try:
                material = await self._ensure_secret()
                await self._ensure_config_map(material.bundle)
            except (ApiConflict, NotFound) as error:
                # Another replica was faster, or somebody deleted it under our hands: look again.
                # A missing namespace answers NotFound for ever, so the last one is told.
                last: ApiError = error
            else:
                return material
        raise last

    async def _ensure_secret(self) -> Material:
        live = await self._find(SECRETS, SECRET)
        known = self._material_of(live)
        material = renewed(known, self._names, now=self._now(), make_key=self._make_key)
        if material is known:
            return material
        stored = to_stored(material)
        data = {name: _encoded(stored[name]) for name in stored}
        if live is None:
            manifest = await self._manifest(SECRETS, SECRET)
            await self._client.create(
                SECRETS, {**manifest, "type": "kubernetes.io/tls", "data": data}
            )
        else:
            # The version makes it a conflict when another replica renewed it in the meantime.
            await self._patch(SECRETS, live, {"data": {name: data.get(name) for name in STORED}})
        logger.info(
            "certificate for node agents renewed",
            extra={
                "secret": f"{self._namespace}/{SECRET}",
                "expires": f"{material.leaf.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
                "authority": material.authority.certificate.subject.rfc4514_string(),
            },
        )
        return material

    async def _ensure_config_map(self, bundle: str) -> None:
        live = await self._find(CONFIG_MAPS, CONFIG_MAP)
        data = {"ca.crt": bundle}
        if live is None:
            manifest = await self._manifest(CONFIG_MAPS, CONFIG_MAP)
            await self._client.create(CONFIG_MAPS, {**manifest, "data": data})
        elif (live.get("data") or {}).get("ca.crt") != bundle:
            await self._patch(CONFIG_MAPS, live, {"data": data})

    async def _find(self, resource: Resource, name: str) -> Manifest | None:
        try:
            return await self._client.get(resource, namespace=self._namespace, name=name)
        except NotFound:
            return None

    async def _patch(self, resource: Resource, live: Manifest, change: Mapping[str, Any]) -> None:
        metadata = {"resourceVersion": live["metadata"]["resourceVersion"]}
        await self._client.merge_patch(
            resource,
            {"metadata": metadata, **change},
            namespace=self._namespace,
            name=live["metadata"]["name"],
        )

    async def _manifest(self, resource: Resource, name: str) -> Manifest:
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": self._namespace,
            "labels": dict(_LABELS),
        }
        owner = await self._owner()
        if owner is not None:
            metadata["ownerReferences"] = [owner]
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}

    async def _owner(self) -> dict[str, Any] | None:
        """Return a reference to our Deployment: uninstalling the operator removes the rest."""
        try:
            deployment = await self._client.get(
                DEPLOYMENTS, namespace=self._namespace, name=DEPLOYMENT
            )
        except ApiError as error:
            # Run from outside the cluster, or installed under another name.
            logger.info("no Deployment to own the certificates", extra={"cause": error.message})
            return None
        return {
            "apiVersion": DEPLOYMENTS.api_version,
            "kind": DEPLOYMENTS.kind,
            "name": DEPLOYMENT,
            "uid": deployment["metadata"]["uid"],
        }

    def _material_of(self, live: Manifest | None) -> Material | None:
        if live is None:
            return None
        try:
            data = live.get("data") or {}
            return from_stored({name: _decoded(data[name]) for name in STORED if name in data})
        except (MaterialUnusable, binascii.Error, UnicodeDecodeError) as error:
            cause = str(error) if isinstance(error, MaterialUnusable) else "it is not PEM"
            logger.warning(
                "stored certificates cannot be used and are made anew",
                extra={"secret": f"{self._namespace}/{SECRET}", "cause": cause},
            )
            return None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()
