"""/status is kept for a while, /metrics is passed through; both are bounded."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from nodeagent.gateway import pages
from nodeagent.gateway.shared import Shared
from nodeagent.gateway.upstream import Upstream
from tests.standin.cache_server import METRICS, METRICS_TYPE, running


def test_status_is_the_servers_own(gateway):
    answer = gateway.ask("/status?verbose=1")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {"is_healthy": True, "registered_gpu_ids": [0, 1]}
    assert answer.headers["age"] == "0"


def test_a_hundred_requests_for_the_status_are_one_call(gateway, server):
    begun = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: gateway.ask("/status").status, range(100)))
    assert time.monotonic() - begun < 5
    assert set(answers) == {200}
    assert server.requests == ["GET /status"]


def test_a_status_that_is_too_large_is_refused(gateway, server):
    server.behaviour.status = (200, {"x": "y" * (5 << 20)})
    answer = gateway.ask("/status")
    assert (answer.status, answer.text) == (
        503,
        "the cache server's answer is larger than 4096 KiB\n",
    )


async def test_a_shared_value_is_fetched_again_when_it_is_old():
    now = 100.0
    calls = 0

    async def fetch():
        nonlocal calls, now
        calls += 1
        await asyncio.sleep(0)
        now += 2.0
        return calls

    shared = Shared(fetch, keep_seconds=5.0, clock=lambda: now)
    assert await asyncio.gather(*(shared.get() for _ in range(10))) == [1] * 10
    now += 4.9
    assert await shared.get() == 1
    assert shared.age_seconds == pytest.approx(4.9)
    now += 0.1
    assert await shared.get() == 2


async def test_one_who_leaves_does_not_take_the_call_from_the_others():
    release = asyncio.Event()

    async def fetch():
        await release.wait()
        return "value"

    shared = Shared(fetch, keep_seconds=5.0, clock=lambda: 0.0)
    first, second = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert await second == "value"
    assert first.cancelled()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "in chunks"])
def test_metrics_pass_through_unchanged(gateway, server, is_chunked):
    server.behaviour.is_chunked = is_chunked
    server.behaviour.metrics_lines = 3000
    answer = gateway.metrics()
    assert answer.status == 200
    assert answer.headers["content-type"] == METRICS_TYPE
    assert answer.body == METRICS * 3000


def test_ten_megabytes_of_metrics_are_not_kept(gateway, server, record_property):
    gateway.metrics()
    before = gateway.memory_kib()
    server.behaviour.metrics_lines = (10 << 20) // len(METRICS) + 1
    for _ in range(3):
        assert len(gateway.metrics().body) > 10 << 20
    peak = gateway.memory_kib("VmHWM")
    print(f"memory: {before} KiB, peak {peak} KiB with 10 MiB of metrics")
    record_property("peak_kib", peak)
    assert peak < 26 * 1024
    assert peak - before < 2 * 1024


def test_scrapes_at_the_same_time_all_get_their_answer(gateway, server):
    server.behaviour.metrics_lines = 5000
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: gateway.metrics(), range(36)))
    assert {answer.status for answer in answers} == {200}
    assert {len(answer.body) for answer in answers} == {len(METRICS) * 5000}


def test_a_server_that_is_slow_gets_few_scrapes_at_a_time(gateway, server):
    release = server.behaviour.delay = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(gateway.metrics) for _ in range(8)]
        refused, waiting = wait(asked, timeout=4)
        assert (len(refused), len(waiting)) == (4, 4)
        assert server.requests == ["GET /metrics"] * 4
        assert {(one.result().status, one.result().text) for one in refused} == {
            (503, "4 scrapes are under way already\n")
        }
        release.set()
        assert {one.result().status for one in waiting} == {200}


async def test_metrics_of_a_hung_server_end_in_a_sentence(monkeypatch):
    monkeypatch.setattr(pages, "METRICS_SECONDS", 0.3)
    with running() as server:
        server.process.send_signal(signal.SIGSTOP)
        page = pages.Pages(Upstream(server.port), clock=time.monotonic).metrics()["/metrics"]
        async with page() as reply:
            assert reply.status == 503
            assert [piece async for piece in reply.body] == [
                b"the cache server does not answer within 0.3 s: it hangs\n"
            ]


def test_an_error_of_the_server_is_no_metrics(gateway, server):
    server.behaviour.metrics_status = 500
    answer = gateway.metrics()
    assert (answer.status, answer.text) == (
        503,
        "the cache server answers /metrics with 500\n",
    )


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "in chunks"])
def test_half_an_answer_never_looks_like_a_whole_one(gateway, server, is_chunked):
    server.behaviour.is_chunked = is_chunked
    server.behaviour.breaks_off = True
    with gateway.connect(metrics=True) as asking:
        asking.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            asking.makefile("rb").read()
