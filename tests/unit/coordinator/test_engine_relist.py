"""The list that finds missed deletions takes a while, and the watch goes on meanwhile."""

import asyncio
from typing import Any

from coordinator import app
from coordinator.kube.resources import ObjectKey
from coordinator.metrics import Metrics
from coordinator.settings import Settings
from tests.unit.coordinator.fakeapi import listing


def engine(name, version) -> Any:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version)}}


async def names_after_a_list(api, *, listed, meanwhile) -> Any:
    """Return the engines that are known after a list during which something happened."""
    async with api.client() as client:
        parts = app._Coordinator(Settings(), client=client, metrics=Metrics(), stop=asyncio.Event())
        parts._engines.put(engine("a", 1))
        parts._engines.put(engine("b", 2))

        def answer(_request) -> Any:
            meanwhile(parts._engines)
            return listing(*listed, version="10")

        api.respond = answer
        task = asyncio.create_task(parts._relist_engines())
        # Once: the first list comes at the latest after 1.2 times this, the second after 1.6.
        await asyncio.sleep(app.ENGINES_RELIST_SECONDS * 1.3)
        assert len(api.requests) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return sorted(key.name for key in parts._engines.all())


def test_an_engine_whose_deletion_was_missed_goes(api, in_virtual_time):
    work = names_after_a_list(api, listed=[engine("a", 1)], meanwhile=lambda _engines: None)
    assert in_virtual_time(work) == ["a"]


def test_an_engine_made_while_the_list_was_under_way_stays(api, in_virtual_time):
    work = names_after_a_list(
        api,
        listed=[engine("a", 1), engine("b", 2)],
        meanwhile=lambda engines: engines.put(engine("new", 20)),
    )
    assert in_virtual_time(work) == ["a", "b", "new"]


def test_an_engine_deleted_while_the_list_was_under_way_stays_away(api, in_virtual_time):
    work = names_after_a_list(
        api,
        listed=[engine("a", 1), engine("b", 2)],
        meanwhile=lambda engines: engines.drop(ObjectKey("ns", "b")),
    )
    assert in_virtual_time(work) == ["a"]
