"""The informer: one truth out of lists, watches, gaps, and answers to our own writes."""

import asyncio
import itertools
from typing import Any

import pytest

from coordinator.errors import ApiUnavailable
from coordinator.kube import informer as module
from coordinator.kube.informer import Informer
from coordinator.kube.resources import PODS, ObjectKey
from tests.unit.coordinator.fakeapi import listing, status, watch


def pod(name, version, **extra) -> Any:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version)}, **extra}


def event(kind, item) -> Any:
    return {"type": kind, "object": item}


def bookmark(version) -> Any:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Seen:
    """What an informer told, as short words."""

    def __init__(self) -> None:
        self.changes: list[str] = []

    def __call__(self, key, old, new) -> Any:
        sign = "+" if old is None else "-" if new is None else "~"
        self.changes.append(f"{sign}{key.name}")


@pytest.fixture
def seen():
    return Seen()


def informer_of(client, seen, **options) -> Any:
    options.setdefault("project", lambda manifest: {k: manifest.get(k) for k in ("metadata", "x")})
    return Informer(client, PODS, on_change=seen, clock=asyncio.get_running_loop().time, **options)


@pytest.fixture
def follow(api, seen, in_virtual_time):
    """Run an informer until the server has said all that was prepared; return it."""

    def run(**options) -> Any:
        async def work() -> Any:
            async with api.client() as client:
                informer = informer_of(client, seen, **options)
                task = asyncio.create_task(informer.run())
                idle = asyncio.create_task(api.idle.wait())
                await asyncio.wait({task, idle}, return_when=asyncio.FIRST_COMPLETED)
                for one in (task, idle):
                    one.cancel()
                results = await asyncio.gather(task, idle, return_exceptions=True)
                if not isinstance(results[0], asyncio.CancelledError):
                    raise results[0]
                return informer

        return in_virtual_time(work())

    return run


def names(informer) -> Any:
    return sorted(item["metadata"]["name"] for item in informer.values())


def test_it_knows_what_was_listed_and_what_changed_since(api, seen, follow):
    api.answers = [listing(pod("a", 1), pod("b", 2), version="10")]
    api.watches = [
        watch(
            event("ADDED", pod("c", 11)),
            event("MODIFIED", pod("a", 12, x=1)),
            event("DELETED", pod("b", 13)),
        )
    ]
    informer = follow()
    assert names(informer) == ["a", "c"]
    assert seen.changes == ["+a", "+b", "+c", "~a", "-b"]
    assert informer.has_synced
    assert len(informer) == 2
    assert informer.get(ObjectKey("ns", "a"))["x"] == 1


def test_the_watch_begins_where_the_list_ended_and_goes_on_where_it_was(api, follow):
    api.answers = [listing(version="10")]
    api.watches = [
        watch(event("ADDED", pod("a", 11))),
        watch(bookmark(500)),
        watch(event("DELETED", pod("a", 501))),
    ]
    follow()
    versions = [request.query["resourceVersion"] for request in api.watched]
    assert versions == ["10", "11", "500", "501"]
    assert len(api.lists) == 1


def test_a_bookmark_changes_nothing_but_the_place(api, seen, follow):
    api.answers = [listing(pod("a", 1))]
    api.watches = [watch(bookmark(200))]
    assert names(follow()) == ["a"]
    assert seen.changes == ["+a"]


def test_an_event_that_changes_nothing_of_interest_tells_nobody(api, seen, follow):
    api.answers = [listing(pod("a", 1, x=1))]
    api.watches = [watch(event("MODIFIED", pod("a", 2, x=1)))]
    follow(project=lambda manifest: manifest.get("x"))
    assert seen.changes == ["+a"]


@pytest.mark.parametrize(
    "ended",
    [
        watch(event("ERROR", {"kind": "Status", "code": 410, "message": "too old"})),
        status(410, "Expired", "too old"),
    ],
    ids=["in the stream", "as an answer"],
)
def test_after_a_gap_it_lists_anew_and_tells_what_was_deleted_meanwhile(api, seen, follow, ended):
    api.answers = [
        listing(pod("a", 1), pod("b", 2), version="10"),
        listing(pod("b", 2), pod("c", 60, x=1), version="90"),
    ]
    api.watches = [ended]
    informer = follow()
    assert names(informer) == ["b", "c"]
    assert seen.changes == ["+a", "+b", "+c", "-a"]
    assert [request.query["resourceVersion"] for request in api.watched] == ["10", "90"]


def test_an_unchanged_relist_tells_nobody(api, seen, follow):
    api.answers = [listing(pod("a", 1)), listing(pod("a", 1))]
    api.watches = [status(410, "Expired", "too old")]
    follow()
    assert seen.changes == ["+a"]


def test_a_list_in_chunks_is_one_list(api, seen, follow):
    api.answers = [
        listing(pod("a", 1), pod("old", 1)),
        listing(pod("a", 1), version="20", token="t"),
        listing(pod("b", 2), version="20"),
    ]
    api.watches = [status(410, "Expired", "too old")]
    informer = follow()
    assert names(informer) == ["a", "b"]
    assert seen.changes == ["+a", "+old", "+b", "-old"]


@pytest.mark.parametrize("items", [None, []], ids=["null", "empty"])
def test_an_empty_cluster_is_a_complete_list(api, follow, items):
    answer = listing()
    answer.body["items"] = items
    api.answers = [answer]
    informer = follow()
    assert informer.has_synced
    assert names(informer) == []


def test_items_of_a_list_get_their_kind_back(api, follow):
    api.answers = [listing(pod("a", 1))]
    informer = follow(project=lambda manifest: (manifest["apiVersion"], manifest["kind"]))
    assert informer.get(ObjectKey("ns", "a")) == ("v1", "Pod")


def test_selectors_hold_for_list_and_watch(api, follow):
    api.answers = [listing()]
    follow(label_selector="a=b", field_selector="spec.nodeName=n")
    for request in api.requests:
        assert request.query["labelSelector"] == "a=b"
        assert request.query["fieldSelector"] == "spec.nodeName=n"


# --- errors ----------------------------------------------------------------------------------


def test_it_lists_again_until_the_server_answers(api, follow, caplog):
    api.answers = [
        status(503, "", "starting"),
        status(403, "Forbidden", "no role"),
        listing(pod("a", 1)),
    ]
    assert names(follow()) == ["a"]
    assert [record.error for record in caplog.records] == ["starting", "no role"]


def test_backoff_grows_to_its_cap_and_ends_with_success(api, follow, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
    api.answers = [status(503, "", "later")] * 9 + [listing()]
    api.watches = [watch(event("ADDED", pod("a", 101))), status(503, "", "later")]
    follow()
    waits = pauses(api.lists)
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == module.LAST_BACKOFF_SECONDS
    assert pauses(api.watched)[-1] == module.FIRST_BACKOFF_SECONDS


def pauses(requests) -> Any:
    times = [request.at for request in requests]
    return [round(after - before, 3) for before, after in itertools.pairwise(times)]


def test_a_broken_stream_does_not_cost_a_list(api, seen, follow):
    api.answers = [listing(pod("a", 1), version="10")]
    api.watches = [
        watch(event("ADDED", pod("b", 11)), end="broken"),
        watch(event("DELETED", pod("a", 12))),
    ]
    assert names(follow()) == ["b"]
    assert len(api.lists) == 1


def test_a_broken_stream_goes_on_where_it_was(api, follow):
    api.answers = [listing(version="10")]
    api.watches = [watch(event("ADDED", pod("a", 11)), bookmark(500), end="broken")]
    follow()
    assert api.watched[1].query["resourceVersion"] == "500"


def test_a_server_that_forgets_at_once_is_not_listed_without_a_pause(api, follow):
    api.answers = [listing()] * 6
    api.watches = [status(410, "Expired", "too old")] * 5
    follow()
    assert sum(pauses(api.lists)) > 0


def test_a_server_that_ends_each_watch_at_once_is_not_called_without_a_pause(api, follow):
    api.answers = [listing()]
    api.watches = [watch()] * 5
    follow()
    assert sum(pauses(api.watched)) > 0


def test_an_error_in_the_stream_that_is_not_gone_is_waited_out(api, follow, caplog):
    api.answers = [listing(version="10")]
    error = {"kind": "Status", "code": 500, "message": "etcd leader changed"}
    api.watches = [watch(event("ERROR", error)), watch(event("ADDED", pod("a", 11)))]
    assert names(follow()) == ["a"]
    assert caplog.records[0].error == "etcd leader changed"
    assert len(api.lists) == 1


def test_a_mistake_of_our_own_is_not_swallowed(api, follow):
    api.answers = [listing(pod("a", 1))]
    with pytest.raises(ZeroDivisionError):
        follow(project=lambda _manifest: 1 / 0)


# --- periodic list ---------------------------------------------------------------------------


def test_a_list_once_in_a_while_finds_what_the_watch_missed(api, seen, follow, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
    api.answers = [listing(pod("a", 1), version="10"), listing(pod("b", 9), version="20")]
    # The server says every minute that it is there, and ends a stream after five.
    five_minutes = [60.0, bookmark(11)] * 5
    api.watches = [watch(*five_minutes) for _ in range(2)]
    follow()
    assert seen.changes == ["+a", "+b", "-a"]
    assert pauses(api.lists) == [module.RESYNC_SECONDS]
    assert api.watched[-1].query["resourceVersion"] == "20"


# --- note ------------------------------------------------------------------------------------


async def informed(api, seen, *pods, **options) -> Any:
    """Return an informer that has listed once and is not running."""
    api.answers = [listing(*pods, version="10")]
    async with api.client() as client:
        informer = informer_of(client, seen, **options)
        await informer._relist()
    seen.changes.clear()
    return informer


async def test_the_answer_to_a_write_is_known_before_its_event(api, seen):
    informer = await informed(api, seen, pod("a", 1))
    informer.note(pod("a", 20, x=1))
    assert informer.get(ObjectKey("ns", "a"))["x"] == 1
    assert seen.changes == ["~a"]


@pytest.mark.parametrize("version", [15, 20], ids=["an older event", "its own event"])
async def test_events_that_a_note_is_ahead_of_are_nothing_new(api, seen, version):
    informer = await informed(api, seen, pod("a", 1))
    informer.note(pod("a", 20, x=1))
    seen.changes.clear()
    informer._put(pod("a", version, x=0))
    assert informer.get(ObjectKey("ns", "a"))["x"] == 1
    assert seen.changes == []


async def test_a_newer_event_than_the_note_counts(api, seen):
    informer = await informed(api, seen, pod("a", 1))
    informer.note(pod("a", 20, x=1))
    informer._put(pod("a", 21, x=2))
    assert informer.get(ObjectKey("ns", "a"))["x"] == 2


def test_the_deletion_of_a_predecessor_does_not_drop_what_was_made_after_it(
    api, seen, in_virtual_time
):
    async def work() -> Any:
        api.answers = [listing(pod("a", 1), version="10")]
        api.watches = [watch(event("DELETED", pod("a", 15)))]
        async with api.client() as client:
            informer = informer_of(client, seen)
            await informer._relist()
            informer.note(pod("a", 20, x=1))
            await informer._follow("10")
            return names(informer)

    assert in_virtual_time(work()) == ["a"]


def test_an_answer_older_than_the_watch_does_not_bring_back_what_was_deleted(
    api, seen, in_virtual_time
):
    async def work() -> Any:
        api.answers = [listing(pod("a", 1), version="10")]
        api.watches = [watch(event("DELETED", pod("a", 21)))]
        async with api.client() as client:
            informer = informer_of(client, seen)
            await informer._relist()
            await informer._follow("10")
            informer.note(pod("a", 20))
            return names(informer)

    assert in_virtual_time(work()) == []


# --- groups ----------------------------------------------------------------------------------


def by_owner(item) -> Any:
    return ObjectKey("ns", item["x"]) if item["x"] else None


async def test_groups_follow_their_members(api, seen):
    informer = await informed(
        api, seen, pod("a", 1, x="e"), pod("b", 2, x="e"), pod("c", 3), index=by_owner
    )
    e, f = ObjectKey("ns", "e"), ObjectKey("ns", "f")
    assert [key.name for key in informer.group(e)] == ["a", "b"]
    informer._put(pod("a", 11, x="f"))
    informer._put(pod("c", 12, x="f"))
    assert [key.name for key in informer.group(e)] == ["b"]
    assert [key.name for key in informer.group(f)] == ["a", "c"]
    informer._put(pod("c", 13))
    informer._drop(ObjectKey("ns", "a"))
    assert informer.group(f) == {}


async def test_a_group_holds_the_newest_of_each_member(api, seen):
    informer = await informed(api, seen, pod("a", 1, x="e"), index=by_owner)
    informer._put(pod("a", 11, x="e", other=1))
    [member] = informer.group(ObjectKey("ns", "e")).values()
    assert member["metadata"]["resourceVersion"] == "11"


async def test_an_empty_group_leaves_nothing_behind(api, seen):
    informer = await informed(api, seen, pod("a", 1, x="e"), index=by_owner)
    informer._drop(ObjectKey("ns", "a"))
    assert informer._groups == {}


# --- readiness -------------------------------------------------------------------------------


def test_silence_counts_from_the_last_sign_of_life(api, in_virtual_time, seen):
    async def work() -> Any:
        api.answers = [listing(version="10")]
        api.watches = [watch(bookmark(11), end="never")]
        loop = asyncio.get_running_loop()
        async with api.client() as client:
            informer = informer_of(client, seen)
            assert not informer.has_synced
            await informer._relist()
            began = informer.last_heard
            with pytest.raises(ApiUnavailable):
                await informer._follow("10")
            return loop.time() - began, informer.last_heard - began

    silence, heard = in_virtual_time(work())
    assert silence == pytest.approx(module.SILENCE_SECONDS, abs=1)
    assert heard < 1
