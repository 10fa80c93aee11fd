"""Requests to an API server: what is sent, and which error each bad answer becomes."""

import asyncio
import json
import socket
from typing import Any

import pytest

from coordinator.errors import (
    ApiConflict,
    ApiError,
    ApiUnavailable,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
)
from coordinator.kube import client as module
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import CONFIG_MAPS, ENGINES, NODES, PODS, SECRETS
from tests.unit.coordinator.fakeapi import Answer, cluster, listing, status, watch

CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"namespace": "ns", "name": "a", "uid": "u1"},
    "data": {"k": "hunter2"},
}
TERMINATING = {"causes": [{"reason": "NamespaceTerminating", "message": "ns is going"}]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(404, "NotFound", "gone"), NotFound),
        (status(409, "Conflict", "modified"), ApiConflict),
        (status(409, "AlreadyExists", "exists"), ApiConflict),
        (status(410, "Expired", "too old"), Gone),
        (status(403, "Forbidden", "may not"), Forbidden),
        (status(403, "Forbidden", "no", details=TERMINATING), NamespaceTerminating),
        (status(403, "Forbidden", "no", details=None), Forbidden),
        (status(422, "Invalid", "spec.x"), Invalid),
        (status(400, "BadRequest", "spec.x"), Invalid),
        (status(429, "TooManyRequests", "slow down"), ApiUnavailable),
        (status(500, "InternalError", "etcd"), ApiUnavailable),
        (status(503, "ServiceUnavailable", "later"), ApiUnavailable),
        (status(504, "Timeout", "later"), ApiUnavailable),
        (status(401, "Unauthorized", "who"), ApiError),
        (status(418, "", "tea"), ApiError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_each_refusal_has_its_error_with_the_servers_own_sentence(api, answer, error):
    api.answers = [answer]
    async with api.client() as client:
        with pytest.raises(ApiError) as raised:
            await client.get(CONFIG_MAPS, namespace="ns", name="a")
    assert type(raised.value) is error
    assert raised.value.message == answer.body["message"]
    assert raised.value.reason == answer.body["reason"]
    assert raised.value.status == answer.status


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("", None), ("-1", None)]
)
async def test_the_pause_that_an_overloaded_server_asks_for(api, header, seconds):
    body = status(429, "TooManyRequests", "slow down").body
    api.answers = [Answer(body, status=429, headers={"Retry-After": header})]
    async with api.client() as client:
        with pytest.raises(ApiUnavailable) as raised:
            await client.get(CONFIG_MAPS, namespace="ns", name="a")
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"upstream connect error", "upstream connect error"),
        (b"x" * 5000, "x" * 200),
        (b"\xff\xfe", "��"),
        (b"", "the API server answered 503"),
        (b"[]", "the API server answered 503"),
        (b'{"kind": "Pod"}', "the API server answered 503"),
    ],
    ids=["text", "long text", "no text", "empty", "list", "other kind"],
)
async def test_an_error_that_is_no_status_document_still_says_something(api, body, sentence):
    api.answers = [Answer(body, status=503)]
    async with api.client() as client:
        with pytest.raises(ApiUnavailable) as raised:
            await client.get(CONFIG_MAPS, namespace="ns", name="a")
    assert raised.value.message == sentence


@pytest.mark.parametrize("body", [b"<html>log in first</html>", b""], ids=["page", "empty"])
async def test_an_answer_that_is_no_json_is_an_api_error(api, body):
    api.answers = [Answer(body)]
    async with api.client() as client:
        with pytest.raises(ApiError):
            await client.get_path("/apis/lmcache.lmcache.ai/v1alpha1")


async def test_nothing_of_a_request_body_reaches_an_error(api):
    api.answers = [status(422, "Invalid", "data: is wrong"), Answer(b"no", status=500)]
    secret = CONFIG_MAP | {"kind": "Secret"}
    async with api.client() as client:
        for _ in range(2):
            with pytest.raises(ApiError) as raised:
                await client.apply(secret)
            assert "hunter2" not in f"{raised.value!s}{raised.value!r}{vars(raised.value)}"


def test_a_server_that_does_not_answer_is_unavailable_after_a_while(api, in_virtual_time):
    async def work() -> Any:
        loop = asyncio.get_running_loop()
        async with api.client() as client:
            api.answers = [watch(end="never")]
            began = loop.time()
            with pytest.raises(ApiUnavailable):
                await client.get(CONFIG_MAPS, namespace="ns", name="a")
            return loop.time() - began

    assert in_virtual_time(work()) == pytest.approx(module.REQUEST_TIMEOUT_SECONDS, abs=0.1)


async def test_a_refused_connection_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = KubeClient(cluster(f"http://127.0.0.1:{port}"))
    try:
        with pytest.raises(ApiUnavailable, match="get of configmaps failed"):
            await client.get(CONFIG_MAPS, namespace="ns", name="a")
    finally:
        await client.close()


async def test_every_request_is_counted_also_one_without_an_answer(api):
    seen = []
    api.answers = [Answer({}), status(404, "NotFound", "no")]
    async with api.client(observe=lambda *what: seen.append(what)) as client:
        await client.get(CONFIG_MAPS, namespace="ns", name="a")
        with pytest.raises(NotFound):
            await client.get(SECRETS, namespace="ns", name="a")
        client._cluster = cluster("http://127.0.0.1:1")
        with pytest.raises(ApiUnavailable):
            await client.get(PODS, namespace="ns", name="a")
    assert seen == [("get", "configmaps", 200), ("get", "secrets", 404), ("get", "pods", 0)]


# --- what is sent ----------------------------------------------------------------------------


async def test_apply_is_forced_and_in_our_name(api):
    api.answers = [Answer(CONFIG_MAP)]
    async with api.client() as client:
        assert await client.apply(CONFIG_MAP) == CONFIG_MAP
    [request] = api.requests
    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/ns/configmaps/a")
    assert request.query == {"fieldManager": "lmcache-operator", "force": "true"}
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(request.body) == CONFIG_MAP


async def test_a_status_is_patched_at_its_subresource(api):
    api.answers = [Answer({})]
    async with api.client() as client:
        await client.merge_patch(
            ENGINES, {"status": {"a": None}}, namespace="ns", name="x", subresource="status"
        )
    [request] = api.requests
    assert request.path.endswith(
        "/lmcache.lmcache.ai/v1alpha1/namespaces/ns/lmcacheengines/x/status"
    )
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(request.body) == {"status": {"a": None}}


async def test_replace_sends_the_whole_object(api):
    api.answers = [Answer(CONFIG_MAP)]
    async with api.client() as client:
        await client.replace(CONFIG_MAP)
    assert api.requests[0].method == "PUT"
    assert json.loads(api.requests[0].body) == CONFIG_MAP


async def test_create_posts_to_the_namespace(api):
    api.answers = [Answer(CONFIG_MAP, status=201)]
    async with api.client() as client:
        await client.create(CONFIG_MAPS, CONFIG_MAP)
    assert (api.requests[0].method, api.requests[0].path) == (
        "POST",
        "/api/v1/namespaces/ns/configmaps",
    )


async def test_delete_means_this_object_and_no_successor_of_its_name(api):
    api.answers = [status(200)]
    async with api.client() as client:
        await client.delete(CONFIG_MAP)
    assert json.loads(api.requests[0].body)["preconditions"] == {"uid": "u1"}


async def test_deleting_what_is_gone_is_no_error(api):
    async with api.client() as client:
        await client.delete(CONFIG_MAP)
    assert [request.method for request in api.requests] == ["DELETE"]


async def test_deleting_a_successor_is_refused(api):
    api.answers = [status(409, "Conflict", "the UID in the precondition does not match")]
    async with api.client() as client:
        with pytest.raises(ApiConflict):
            await client.delete(CONFIG_MAP)


async def test_a_list_is_read_chunk_by_chunk_under_its_selectors(api):
    api.answers = [listing({"a": 1}, token="next"), listing({"b": 2})]
    async with api.client() as client:
        pages = [
            page
            async for page in client.list_chunks(
                PODS, label_selector="a=b", field_selector="spec.nodeName=n"
            )
        ]
    assert [page["items"] for page in pages] == [[{"a": 1}], [{"b": 2}]]
    first, second = (request.query for request in api.requests)
    expected = {"limit": "500", "labelSelector": "a=b", "fieldSelector": "spec.nodeName=n"}
    assert first == expected
    assert second == expected | {"continue": "next"}


async def test_who_we_are_is_asked_anew_for_each_request(api):
    tokens = iter(("Bearer one", "Bearer two"))
    api.answers = [Answer({}), Answer({})]
    async with api.serving() as url:
        known = cluster(url)
        client = KubeClient(type(known)(known.server, known.ssl_context, lambda: next(tokens)))
        try:
            for _ in range(2):
                await client.get(NODES, name="n")
        finally:
            await client.close()
    assert [r.headers["Authorization"] for r in api.requests] == ["Bearer one", "Bearer two"]


async def test_a_session_that_its_other_holder_closed_is_opened_anew(api):
    api.answers = [Answer({}), Answer({})]
    async with api.client() as client:
        await client.get(NODES, name="n")
        await client.session.close()
        await client.get(NODES, name="n")
    assert len(api.requests) == 2


# --- watch -----------------------------------------------------------------------------------


def event(number) -> Any:
    return {"type": "ADDED", "object": {"metadata": {"resourceVersion": str(number)}}}


async def watched(client, **options) -> Any:
    params = {"resourceVersion": "5"}
    silence = options.pop("silence_seconds", 60)
    stream = client.watch(PODS, params=params, silence_seconds=silence)
    return [event async for event in stream]


async def test_a_watch_yields_events_until_the_server_ends_it(api):
    api.watches = [watch(event(1), event(2))]
    async with api.client() as client:
        assert await watched(client) == [event(1), event(2)]
    assert api.requests[0].query == {
        "resourceVersion": "5",
        "watch": "true",
        "allowWatchBookmarks": "true",
    }


async def test_an_event_may_come_in_pieces_and_several_in_one(api):
    raw = b"".join(json.dumps(event(n)).encode() + b"\n" for n in range(3))
    api.watches = [watch(raw[:20], raw[20:110], raw[110:])]
    async with api.client() as client:
        assert await watched(client) == [event(0), event(1), event(2)]


async def test_an_event_larger_than_any_line_buffer_arrives(api):
    big = event(1)
    big["object"]["data"] = "x" * 2_000_000
    api.watches = [watch(big)]
    async with api.client() as client:
        assert await watched(client) == [big]


async def test_a_watch_that_breaks_off_is_unavailable(api):
    api.watches = [watch(event(1), end="broken")]
    async with api.client() as client:
        with pytest.raises(ApiUnavailable, match="watch of pods broke"):
            await watched(client)


async def test_a_watch_that_is_refused_says_why(api):
    api.watches = [status(403, "Forbidden", "pods is forbidden")]
    async with api.client() as client:
        with pytest.raises(Forbidden, match="pods is forbidden"):
            await watched(client)


def test_a_watch_without_any_sign_of_life_is_broken(api, in_virtual_time):
    async def work() -> Any:
        api.watches = [watch(event(1), end="never")]
        loop = asyncio.get_running_loop()
        async with api.client() as client:
            began = loop.time()
            with pytest.raises(ApiUnavailable):
                await watched(client, silence_seconds=150)
            return loop.time() - began

    assert in_virtual_time(work()) == pytest.approx(150, abs=1)
