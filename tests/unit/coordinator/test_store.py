"""The last word of every node: heartbeats wake nobody, changes and silence wake once."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator.health import store as module
from coordinator.health.model import Client, Outcome
from coordinator.health.store import ReportStore, pace
from tests.unit.coordinator.samples import NOW, finding, report


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> Any:
        return self.seconds

    def now(self) -> Any:
        return NOW + timedelta(seconds=self.seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def woken():
    return []


@pytest.fixture
def store(clock, woken):
    return ReportStore(clock=clock, now=clock.now, on_change=woken.append)


def test_the_first_report_of_a_node_wakes(store, woken):
    assert store.put(report())
    assert woken == ["n1"]
    assert len(store) == 1
    assert store.nodes() == ["n1"]
    assert store.report("n1") == report()


SAME = {
    "nothing": {},
    "numbers in a sentence": {"findings": (finding(message="7 GPUs"),)},
    "remedy": {"findings": (finding(remedy="reboot"),)},
    "evidence": {"findings": (finding(evidence=(("a", "1"),)),)},
    "since": {"findings": (finding(since=NOW),)},
    "agent version": {"agent_version": "2"},
    "assignment": {"assignment_revision": "x"},
}
NEWS = {
    "outcome": {"findings": (finding(Outcome.FAIL),)},
    "reason": {"findings": (finding(reason="Other"),)},
    "subject": {"findings": (finding(subject="GPU-1"),)},
    "one finding more": {"findings": (finding(), finding(check="nvml"))},
    "one finding less": {"findings": ()},
    "GPUs": {"gpu_count": 7},
    "library": {"nvml_library": "/opt/fake.so"},
    "a client": {"clients": (Client("uid", "host", 1),)},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_a_heartbeat_is_kept_and_wakes_nobody(store, woken, change):
    store.put(report())
    woken.clear()
    beat = report(sequence=2, **change)
    assert store.put(beat)
    assert woken == []
    assert store.report("n1") == beat


@pytest.mark.parametrize("change", NEWS.values(), ids=NEWS)
def test_news_wakes_once(store, woken, change):
    store.put(report())
    woken.clear()
    store.put(report(sequence=2, **change))
    store.put(report(sequence=3, **change))
    assert woken == ["n1"]


@pytest.mark.parametrize("sequence", [5, 4, 1], ids=["repeated", "older", "much older"])
def test_an_older_report_is_refused(store, woken, sequence):
    store.put(report(sequence=5))
    woken.clear()
    assert not store.put(report(sequence=sequence, gpu_count=1))
    assert woken == []
    assert store.report("n1").gpu_count == 8


@pytest.mark.parametrize("change", [{"agent_instance": "new"}, {"boot_id": "new"}])
def test_a_restarted_agent_counts_from_one_again(store, change):
    store.put(report(sequence=500))
    assert store.put(report(sequence=1, **change))
    assert store.report("n1").sequence == 1


LIMIT = module.SILENT_INTERVALS * module.FASTEST_SECONDS + module.SILENCE_SLACK_SECONDS


def test_a_node_is_silent_after_three_intervals_and_some_slack(store, woken, clock):
    store.put(report())
    woken.clear()
    clock.seconds += LIMIT - 0.1
    assert store.mark_silent() == pytest.approx(0.1)
    assert store.silent_since("n1") is None
    clock.seconds += 0.1
    store.mark_silent()
    assert woken == ["n1"]
    assert store.silent_since("n1") == NOW + timedelta(seconds=100)


def test_silence_wakes_once_and_so_does_its_end(store, woken, clock):
    store.put(report())
    clock.seconds += LIMIT
    woken.clear()
    for _ in range(3):
        store.mark_silent()
        clock.seconds += LIMIT
    assert woken == ["n1"]
    woken.clear()
    store.put(report(sequence=2))
    store.put(report(sequence=3))
    assert woken == ["n1"]
    assert store.silent_since("n1") is None


def test_a_heartbeat_puts_silence_off(store, woken, clock):
    for sequence in range(1, 20):
        store.put(report(sequence=sequence))
        clock.seconds += module.FASTEST_SECONDS * 1.2
        store.mark_silent()
    assert woken == ["n1"]


def test_a_refused_report_is_no_sign_of_life(store, clock):
    store.put(report(sequence=5))
    clock.seconds += LIMIT
    store.put(report(sequence=5))
    store.mark_silent()
    assert store.silent_since("n1") is not None


def test_a_node_that_left_is_unknown_again(store, woken):
    store.put(report(sequence=9))
    store.forget("n1")
    store.forget("n1")
    assert store.report("n1") is None
    assert store.silent_since("n1") is None
    assert store.put(report(sequence=1))
    assert woken == ["n1", "n1"]


def test_of_what_never_reported_nothing_is_known(store):
    assert store.report("x") is None
    assert store.silent_since("x") is None
    assert store.nodes() == []


@pytest.mark.parametrize(
    ("nodes", "seconds"),
    [(0, 10), (1, 10), (2000, 10), (2001, 11), (4000, 20), (6000, 30), (100_000, 30)],
)
def test_the_pace_of_agents_by_the_size_of_the_cluster(nodes, seconds):
    assert pace(nodes) == seconds


def test_no_pace_lets_more_than_its_share_of_calls_through():
    assert all(nodes / pace(nodes) <= module.CALLS_PER_SECOND for nodes in range(1, 6001))


def store_of(nodes, fastest) -> Any:
    store = ReportStore(clock=lambda: 0.0, now=lambda: NOW, fastest_seconds=fastest)
    for number in range(nodes):
        store.put(report(f"n{number}"))
    return store


@pytest.mark.parametrize(
    ("nodes", "fastest", "seconds"),
    [
        (10, 10.0, 10.0),
        (10, 1.0, 1.0),
        (10, 60.0, 60.0),
        (2200, 60.0, 60.0),
        (1000, 1.0, 5.0),
    ],
)
def test_the_set_interval_is_the_fastest_one(nodes, fastest, seconds):
    assert store_of(nodes, fastest).interval == seconds
