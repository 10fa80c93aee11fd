"""What kopf does for us: it logs in, watches the engines, and ends the process when it cannot.

Only `on.event`: kopf's change-detecting handlers would put a finalizer and annotations on the
user's object and keep state in its status.
"""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from coordinator.api.v1alpha1 import GROUP, PLURAL, VERSION
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import key_of
from coordinator.reconcile.engines import EngineCache


def operator_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: our own Events, short back-offs, no peering."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # The one resource that is watched is known; without scanning no right on CRDs and namespaces
    # is needed.
    settings.scanning.disabled = True
    settings.watching.server_timeout = 600
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.queueing.error_delays = (1, 2, 4, 8, 15, 30)
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = (0.5, 1, 2, 4, 8)
    settings.process.ultimate_exiting_timeout = 20
    # Only change-detecting handlers need to wait for their own patches.
    settings.persistence.consistency_timeout = 0
    return settings


def registry(client: KubeClient, engines: EngineCache) -> kopf.OperatorRegistry:
    """Return the two handlers: the login that shares our session, and the engines' events."""
    result = kopf.OperatorRegistry()

    @kopf.on.login(registry=result)
    def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=client.server, aiohttp_session=client.session)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=result)
    async def engine_event(event: Any, **_: Any) -> None:
        manifest = dict(event["object"])
        if event["type"] == "DELETED":
            engines.drop(key_of(manifest), version=manifest["metadata"]["resourceVersion"])
        else:
            manifest["metadata"] = dict(manifest["metadata"])
            engines.put(manifest)

    return result


async def watch_engines(client: KubeClient, engines: EngineCache, *, ready: asyncio.Event) -> None:
    """Run kopf until a signal or cancellation; raises what its tasks die of.

    No stop flag is given: kopf waits five seconds at its end for its own task that looks at it.
    """
    await kopf.operator(
        registry=registry(client, engines),
        settings=operator_settings(),
        clusterwide=True,
        standalone=True,
        ready_flag=ready,
    )
