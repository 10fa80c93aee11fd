"""The work queue: once for many additions, never twice at a time, slower after failures."""

import asyncio
from typing import Any

import pytest

from coordinator.reconcile.queue import (
    FIRST_RETRY_SECONDS,
    LAST_RETRY_SECONDS,
    WorkQueue,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return WorkQueue(clock=clock, jitter=lambda: 1.0)


async def ready(queue) -> Any:
    """Return the key that is handed out without waiting, None if there is none."""
    task = asyncio.ensure_future(queue.get())
    for _ in range(3):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


async def test_a_key_added_many_times_is_handed_out_once(queue):
    for _ in range(5):
        queue.add("a")
    assert len(queue) == 1
    assert await ready(queue) == "a"
    assert await ready(queue) is None


async def test_keys_come_in_the_order_of_their_first_addition(queue):
    for key in ("b", "a", "b", "c"):
        queue.add(key)
    assert [await ready(queue) for _ in range(3)] == ["b", "a", "c"]


async def test_a_key_in_work_is_given_to_no_second_worker(queue):
    queue.add("a")
    assert await ready(queue) == "a"
    queue.add("a")
    assert await ready(queue) is None
    assert len(queue) == 1


async def test_a_key_added_while_in_work_is_done_once_more_afterwards(queue):
    queue.add("a")
    await ready(queue)
    queue.add("a")
    queue.add("a")
    queue.done("a")
    assert await ready(queue) == "a"
    queue.done("a")
    assert await ready(queue) is None


async def test_a_delay_that_ends_while_in_work_waits_for_the_work(queue, clock):
    queue.add("a")
    await ready(queue)
    queue.add_after("a", 1.0)
    clock.now = 2.0
    assert await ready(queue) is None
    queue.done("a")
    assert await ready(queue) == "a"


async def test_an_addition_overtakes_a_delay_and_replaces_it(queue, clock):
    queue.add_after("a", 10.0)
    queue.add("a")
    assert await ready(queue) == "a"
    queue.done("a")
    clock.now = 11.0
    assert await ready(queue) is None


async def test_a_delay_for_a_key_that_waits_already_says_nothing_new(queue, clock):
    queue.add("a")
    queue.add_after("a", 5.0)
    await ready(queue)
    queue.done("a")
    clock.now = 6.0
    assert await ready(queue) is None


@pytest.mark.parametrize(
    ("first", "second"), [(5.0, 9.0), (9.0, 5.0)], ids=["earlier first", "earlier second"]
)
async def test_of_two_delays_the_earlier_one_counts_once(queue, clock, first, second):
    queue.add_after("a", first)
    queue.add_after("a", second)
    clock.now = 4.9
    assert await ready(queue) is None
    clock.now = 5.0
    assert await ready(queue) == "a"
    queue.done("a")
    clock.now = 10.0
    assert await ready(queue) is None


async def test_backoff_doubles_up_to_its_cap(queue, clock):
    delays = []
    for _ in range(13):
        delays.append(queue.retry("a"))
        clock.now += delays[-1]
        assert await ready(queue) == "a"
        queue.done("a")
    assert delays[:4] == [FIRST_RETRY_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert delays[-1] == LAST_RETRY_SECONDS
    assert delays == sorted(delays)


async def test_a_thousand_failures_do_not_overflow_the_backoff(queue):
    assert [queue.retry("a") for _ in range(1000)][-1] == LAST_RETRY_SECONDS


async def test_success_resets_the_backoff_of_its_key_alone(queue):
    for key in ("a", "a", "b", "b"):
        queue.retry(key)
    queue.forget("a")
    assert queue.retry("a") == FIRST_RETRY_SECONDS
    assert queue.retry("b") == FIRST_RETRY_SECONDS * 4


async def test_backoff_is_spread_by_the_jitter(clock):
    queue: WorkQueue[str] = WorkQueue(clock=clock, jitter=lambda: 0.5)
    assert queue.retry("a") == FIRST_RETRY_SECONDS * 0.5


async def test_a_retry_is_not_earlier_than_the_server_asked_for(queue, clock):
    assert queue.retry("a", at_least=30.0) == 30.0
    clock.now = 29.9
    assert await ready(queue) is None
    clock.now = 30.0
    assert await ready(queue) == "a"


async def test_a_backoff_longer_than_the_server_asked_for_stays(queue):
    for _ in range(10):
        queue.retry("a")
    assert queue.retry("a", at_least=1.0) > 1.0


async def test_age_is_that_of_the_key_that_waits_longest(queue, clock):
    assert queue.oldest_seconds == 0.0
    queue.add("a")
    clock.now = 3.0
    queue.add("b")
    clock.now = 4.0
    queue.add("a")
    assert queue.oldest_seconds == 4.0
    await ready(queue)
    assert queue.oldest_seconds == 1.0


async def test_a_key_that_is_only_delayed_has_no_age(queue, clock):
    queue.add_after("a", 60.0)
    clock.now = 50.0
    assert queue.oldest_seconds == 0.0
    assert len(queue) == 0


async def test_age_counts_from_the_addition_that_came_while_in_work(queue, clock):
    queue.add("a")
    await ready(queue)
    queue.add("a")
    clock.now = 7.0
    assert queue.oldest_seconds == 7.0
    queue.done("a")
    assert queue.oldest_seconds == 7.0


def test_a_waiting_worker_wakes_when_a_delay_ends(in_virtual_time):
    async def work() -> Any:
        queue: WorkQueue[Any] = WorkQueue()
        loop = asyncio.get_running_loop()
        began = loop.time()
        queue.add_after("late", 40.0)
        queue.add_after("early", 3.0)
        return [(await queue.get(), round(loop.time() - began, 3)) for _ in range(2)]

    assert in_virtual_time(work()) == [("early", 3.0), ("late", 40.0)]


def test_a_waiting_worker_notices_an_earlier_delay(in_virtual_time):
    async def work() -> Any:
        queue: WorkQueue[Any] = WorkQueue()
        loop = asyncio.get_running_loop()
        began = loop.time()
        queue.add_after("late", 40.0)
        worker = asyncio.create_task(queue.get())
        await asyncio.sleep(1.0)
        queue.add_after("early", 1.0)
        return await worker, round(loop.time() - began, 3)

    assert in_virtual_time(work()) == ("early", 2.0)


def test_no_addition_is_lost_among_many_workers(in_virtual_time):
    async def work() -> Any:
        queue: WorkQueue[Any] = WorkQueue()
        in_work, overlaps, done = set(), [], []

        async def worker() -> Any:
            while True:
                key = await queue.get()
                if key in in_work:
                    overlaps.append(key)
                in_work.add(key)
                await asyncio.sleep(0.01)
                in_work.discard(key)
                done.append(key)
                queue.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(4)]
        for round_ in range(20):
            for key in range(10):
                queue.add(key)
                queue.add_after(key, 0.005 * (round_ % 3))
            await asyncio.sleep(0.003)
        await asyncio.sleep(5.0)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return overlaps, set(done), len(queue)

    assert in_virtual_time(work()) == ([], set(range(10)), 0)
