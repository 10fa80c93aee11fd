"""ServiceMonitors, which a cluster may not know: watched while their CRD is there, and only then.

A watch of a kind that does not exist would answer 404 for ever. So the CRD itself is watched, by
name, and the objects are while it is established.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from coordinator.kube.client import KubeClient
from coordinator.kube.informer import Informer
from coordinator.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    SERVICE_MONITORS,
    Manifest,
    ObjectKey,
)

logger = logging.getLogger(__name__)

CRD_NAME = "servicemonitors.monitoring.coreos.com"

OnChange = Callable[[ObjectKey, Manifest | None, Manifest | None], None]


class ServiceMonitorWatch:
    """Knows whether the cluster has the kind, and its objects while it does.

    `crd` is an informer to be run with the others; `run` follows it. `on_support` is called when
    the kind has come or gone.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        label_selector: str,
        index: Callable[[Manifest], ObjectKey | None],
        on_change: OnChange,
        on_support: Callable[[], None],
    ) -> None:
        self._client = client
        self._label_selector = label_selector
        self._index = index
        self._on_change = on_change
        self._on_support = on_support
        self._moved = asyncio.Event()
        self.crd: Informer[bool] = Informer(
            client,
            CUSTOM_RESOURCE_DEFINITIONS,
            field_selector=f"metadata.name={CRD_NAME}",
            project=is_served,
            on_change=lambda _key, _old, _new: self._crd_changed(),
        )
        self.objects = self._new_informer()

    @property
    def supported(self) -> bool:
        """Tell whether ServiceMonitors can be made."""
        return bool(self.crd.get(ObjectKey("", CRD_NAME)))

    async def run(self) -> None:
        """Run the informer of the objects whenever the CRD is there, until cancelled."""
        task: asyncio.Task[None] | None = None
        try:
            while True:
                if self.supported and task is None:
                    task = asyncio.create_task(self.objects.run(), name="informer-servicemonitors")
                elif not self.supported and task is not None:
                    await _ended(task)
                    task = None
                    # The objects went with their CRD.
                    self.objects = self._new_informer()
                self._moved.clear()
                await self._moved.wait()
        finally:
            if task is not None:
                await _ended(task)

    def _crd_changed(self) -> None:
        logger.info("ServiceMonitors looked for", extra={"supported": self.supported})
        self._moved.set()
        self._on_support()

    def _new_informer(self) -> Informer[Manifest]:
        return Informer(
            self._client,
            SERVICE_MONITORS,
            label_selector=self._label_selector,
            project=lambda manifest: manifest,
            index=self._index,
            on_change=self._on_change,
        )


def is_served(crd: dict[str, Any]) -> bool:
    """Tell whether a CRD is established and has the version that we write."""
    version = SERVICE_MONITORS.api_version.rpartition("/")[2]
    established = any(
        condition["type"] == "Established" and condition["status"] == "True"
        for condition in (crd.get("status") or {}).get("conditions") or ()
    )
    return established and any(
        entry["name"] == version and entry.get("served") for entry in crd["spec"]["versions"]
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
