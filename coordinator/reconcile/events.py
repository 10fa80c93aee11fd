"""Events on the engine: posted on transitions only, repeated ones counted up."""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from coordinator.api.conditions import timestamp
from coordinator.api.v1alpha1 import API_VERSION, KIND
from coordinator.errors import ApiError, NamespaceTerminating, NotFound
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import EVENTS, Manifest

logger = logging.getLogger(__name__)

EventType = Literal["Normal", "Warning"]

# kubectl and the API server keep an Event for an hour; ten minutes of repeats are one series.
SERIES_SECONDS = 600.0
MAX_SERIES = 4096
MAX_MESSAGE = 1024


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    updated: float


class EventRecorder:
    """Posts core/v1 Events. A failure to post is logged and never stops the work."""

    def __init__(
        self,
        client: KubeClient,
        *,
        instance: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._instance = instance
        self._clock = clock
        self._now = now
        self._series: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()

    async def record(
        self, engine: Mapping[str, Any], type_: EventType, *, reason: str, message: str
    ) -> None:
        """Post an Event about an engine, or count up the one that says the same already."""
        message = message[:MAX_MESSAGE]
        key = (engine["metadata"]["uid"], reason, message)
        try:
            if not await self._repeat(engine, key):
                await self._post(engine, type_, key)
        except NamespaceTerminating:
            return
        except ApiError as error:
            logger.warning(
                "event not recorded",
                extra={
                    "engine": f"{engine['metadata']['namespace']}/{engine['metadata']['name']}",
                    "reason": reason,
                    "error": error.message,
                },
            )

    async def _repeat(self, engine: Mapping[str, Any], key: tuple[str, str, str]) -> bool:
        series = self._series.get(key)
        if series is None or self._clock() - series.updated > SERIES_SECONDS:
            return False
        try:
            await self._client.merge_patch(
                EVENTS,
                {"count": series.count + 1, "lastTimestamp": timestamp(self._now())},
                namespace=engine["metadata"]["namespace"],
                name=series.name,
            )
        except NotFound:
            return False
        series.count += 1
        series.updated = self._clock()
        return True

    async def _post(
        self, engine: Mapping[str, Any], type_: EventType, key: tuple[str, str, str]
    ) -> None:
        metadata = engine["metadata"]
        name = f"{metadata['name']}.{uuid.uuid4().hex[:16]}"
        when = timestamp(self._now())
        event: Manifest = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": type_,
            "reason": key[1],
            "message": key[2],
            "source": {"component": "lmcache-operator"},
            "reportingComponent": "lmcache-operator",
            "reportingInstance": self._instance,
            "firstTimestamp": when,
            "lastTimestamp": when,
            "count": 1,
        }
        await self._client.create(EVENTS, event)
        self._series[key] = _Series(name, 1, self._clock())
        self._series.move_to_end(key)
        if len(self._series) > MAX_SERIES:
            self._series.popitem(last=False)
