"""What stands in an engine's way may go away without an event: the engine is looked at again."""

import asyncio
import json
from typing import Any

import pytest

from coordinator import app
from coordinator.kube.resources import ObjectKey
from coordinator.metrics import Metrics
from coordinator.settings import Settings
from tests.unit.coordinator.fakeapi import Answer, status

KEY = ObjectKey("ns", "e")
ENGINE: dict[str, Any] = {
    "apiVersion": "lmcache.lmcache.ai/v1alpha1",
    "kind": "LMCacheEngine",
    "metadata": {
        "namespace": "ns",
        "name": "e",
        "uid": "u",
        "generation": 1,
        "resourceVersion": "1",
    },
    "spec": {"l1": {"sizeGB": 2}},
}


def refused(request) -> Any:
    if request.method == "PATCH" and "/lmcacheengines/" not in request.path:
        return status(403, "Forbidden", "exceeded quota: services=5")
    return None


def taken(request) -> Any:
    if request.method == "GET" and request.path.endswith("/services/e"):
        return Answer({"metadata": {"namespace": "ns", "name": "e", "uid": "x"}})
    return None


def accepting(request) -> Any:
    """Answer writes as a server does that has no objection."""
    if request.method in ("PATCH", "POST"):
        document = json.loads(request.body)
        if "/lmcacheengines/" in request.path:
            metadata = ENGINE["metadata"] | {"resourceVersion": "2"}
            return Answer(ENGINE | {"metadata": metadata, "status": document["status"]})
        document["metadata"] |= {"resourceVersion": "5", "generation": 1, "uid": "child"}
        return Answer(document)
    return None


async def pass_over(api, obstacle) -> Any:
    """Look at a new engine once; return its status and whether it is looked at again."""
    api.respond = lambda request: obstacle(request) or accepting(request)
    async with api.client() as client:
        parts = app._Coordinator(Settings(), client=client, metrics=Metrics(), stop=asyncio.Event())
        parts._engines.put(ENGINE)
        key = await parts._queue.get()
        await parts._reconciler.reconcile(key)
        while parts._queue._waiting or parts._queue._again:
            # What the pass itself has set off.
            parts._queue.done(key)
            key = await parts._queue.get()
            await parts._reconciler.reconcile(key)
        parts._queue.done(key)
        patches = [
            json.loads(request.body)["status"]
            for request in api.requests
            if request.path.endswith("/lmcacheengines/e/status")
        ]
        try:
            async with asyncio.timeout(1800):
                return patches[-1], await parts._queue.get()
        except TimeoutError:
            return patches[-1], None


@pytest.mark.parametrize(("obstacle", "reason"), [(refused, "ObjectRefused"), (taken, "Conflict")])
def test_an_obstacle_is_told_in_the_status(api, in_virtual_time, obstacle, reason):
    seen, _ = in_virtual_time(pass_over(api, obstacle))
    assert seen["phase"] == "Failed"
    assert seen["conditions"][0]["reason"] == reason


@pytest.mark.parametrize("obstacle", [refused, taken])
def test_an_engine_with_an_obstacle_is_looked_at_again(api, in_virtual_time, obstacle):
    _, again = in_virtual_time(pass_over(api, obstacle))
    assert again == KEY
