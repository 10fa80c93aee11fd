"""The nodes of an engine: reports, silence, and the time that new nodes have."""

from typing import Any

import pytest

from coordinator.health.fleet import NODE_GRACE_SECONDS, FleetBook
from coordinator.health.model import NodeState, Outcome, SubjectKind
from coordinator.health.store import ReportStore
from tests.unit.coordinator.samples import NOW, UID, finding, report


class Bench:
    """A store and a book over one clock."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.deployed = True
        self.woken: list[str] = []
        self.store = ReportStore(clock=self.clock, now=lambda: NOW, on_change=self.woken.append)
        self.book = FleetBook(
            self.store,
            agents_deployed=lambda: self.deployed,
            expected_gpus=lambda _node: 8,
            clock=self.clock,
            wake_node=self.woken.append,
        )

    def clock(self) -> Any:
        return self.seconds

    def node(self, name="n1") -> Any:
        [node] = self.book.fleet(UID, [name]).nodes
        return node


@pytest.fixture
def bench():
    return Bench()


def test_without_agents_there_is_nothing_to_say_about_nodes(bench):
    bench.deployed = False
    fleet = bench.book.fleet(UID, ["n1"])
    assert not fleet.agents_installed
    assert fleet.nodes == ()


def test_an_agent_that_calls_is_installed_however_it_came_there(bench):
    bench.deployed = False
    bench.store.put(report("n1"))
    assert bench.book.fleet(UID, ["n1"]).agents_installed


def test_nodes_come_once_each_and_by_name(bench):
    fleet = bench.book.fleet(UID, iter(["b", "a", "b"]))
    assert [node.name for node in fleet.nodes] == ["a", "b"]


def test_a_new_node_has_its_time_and_is_then_silent(bench):
    assert (bench.node().state, bench.node().reason) == (NodeState.UNKNOWN, "AgentStarting")
    bench.seconds = NODE_GRACE_SECONDS - 0.1
    bench.book.sweep()
    assert bench.node().reason == "AgentStarting"
    assert bench.woken == []
    bench.seconds = NODE_GRACE_SECONDS
    bench.book.sweep()
    assert bench.woken == ["n1"]
    assert bench.node().reason == "AgentSilent"
    assert not bench.node().reporting


def test_the_end_of_the_grace_wakes_once(bench):
    bench.node()
    for _ in range(5):
        bench.seconds += NODE_GRACE_SECONDS
        bench.book.sweep()
        bench.node()
    assert bench.woken == ["n1"]


def test_the_grace_counts_from_when_the_node_was_first_asked_for(bench):
    bench.seconds = 1000.0
    assert bench.node().reason == "AgentStarting"
    bench.seconds += NODE_GRACE_SECONDS / 2
    assert bench.node("other").reason == "AgentStarting"
    bench.seconds += NODE_GRACE_SECONDS / 2
    assert bench.node().reason == "AgentSilent"
    assert bench.node("other").reason == "AgentStarting"


def test_the_grace_of_a_new_process_holds_where_it_is_the_longer_one():
    bench = Bench()
    book = FleetBook(
        bench.store,
        agents_deployed=lambda: True,
        clock=bench.clock,
        wake_node=bench.woken.append,
        node_grace_seconds=10.0,
        start_grace_seconds=60.0,
    )
    book.fleet(UID, ["early"])
    bench.seconds = 59.0
    [node] = book.fleet(UID, ["early"]).nodes
    assert node.reason == "AgentStarting"
    bench.seconds = 100.0
    book.fleet(UID, ["late"])
    bench.seconds = 111.0
    [node] = book.fleet(UID, ["late"]).nodes
    assert node.reason == "AgentSilent"


def test_a_report_within_the_grace_ends_it_for_good(bench):
    bench.node()
    bench.store.put(report("n1"))
    assert bench.node().state is NodeState.HEALTHY
    bench.woken.clear()
    bench.seconds = 30.0
    bench.store.put(report("n1", 2))
    bench.seconds = NODE_GRACE_SECONDS
    bench.store.put(report("n1", 3))
    bench.book.sweep()
    assert bench.woken == []


def test_a_node_that_fell_silent_says_since_when(bench):
    bench.store.put(report("n1"))
    bench.seconds = 1000.0
    bench.woken.clear()
    bench.book.sweep()
    node = bench.node()
    assert bench.woken == ["n1"]
    assert (node.state, node.reason, node.reporting) == (NodeState.UNKNOWN, "AgentSilent", False)
    assert node.since == NOW
    assert "2026-11-24T12:00:00Z" in node.message
    assert "spec.nodeName=n1" in node.message


def test_silence_does_not_change_its_words_with_time(bench):
    bench.store.put(report("n1"))
    bench.seconds = 1000.0
    bench.book.sweep()
    before = bench.node()
    bench.seconds = 9000.0
    bench.book.sweep()
    assert bench.node() == before


def test_the_next_look_is_due_when_the_next_node_could_change(bench):
    assert bench.book.sweep() <= 10.0
    bench.node()
    bench.seconds = NODE_GRACE_SECONDS - 3.0
    assert bench.book.sweep() == pytest.approx(3.0)
    bench.seconds = NODE_GRACE_SECONDS - 0.01
    assert bench.book.sweep() == 0.1


def test_a_node_that_left_and_came_back_is_new(bench):
    bench.node()
    bench.seconds = NODE_GRACE_SECONDS
    bench.book.sweep()
    bench.book.forget("n1")
    assert bench.node().reason == "AgentStarting"


# --- what a report means ---------------------------------------------------------------------


def judged(bench, *findings, **rest) -> Any:
    bench.store.put(report("n1", findings=findings, **rest))
    return bench.node()


def test_the_worst_finding_speaks_for_the_node(bench):
    node = judged(
        bench,
        finding(Outcome.WARN, reason="Tight"),
        finding(Outcome.FAIL, reason="Lost", message="GPU 3 is lost", remedy="Reboot the node"),
        finding(Outcome.FAIL, reason="Full"),
        finding(Outcome.UNKNOWN),
        finding(Outcome.NOT_APPLICABLE),
        finding(),
    )
    assert (node.state, node.reason) == (NodeState.FAILING, "Lost")
    assert node.message == "GPU 3 is lost. Reboot the node. (and 1 more: Full)"


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((Outcome.PASS,), NodeState.HEALTHY),
        ((Outcome.PASS, Outcome.NOT_APPLICABLE), NodeState.HEALTHY),
        ((Outcome.PASS, Outcome.UNKNOWN), NodeState.UNKNOWN),
        ((Outcome.UNKNOWN, Outcome.WARN), NodeState.WARNING),
        ((Outcome.WARN, Outcome.FAIL), NodeState.FAILING),
    ],
)
def test_unknown_is_neither_a_failure_nor_a_pass(bench, outcomes, state):
    assert judged(bench, *map(finding, outcomes)).state is state


@pytest.mark.parametrize(
    ("kind", "subject", "state"),
    [
        (SubjectKind.NODE, "", NodeState.FAILING),
        (SubjectKind.GPU, "GPU-1", NodeState.FAILING),
        (SubjectKind.ENGINE, UID, NodeState.FAILING),
        (SubjectKind.ENGINE, "another", NodeState.HEALTHY),
        (SubjectKind.CLIENT, "pod", NodeState.HEALTHY),
    ],
)
def test_only_what_concerns_the_engine_counts(bench, kind, subject, state):
    assert judged(bench, finding(Outcome.FAIL, kind=kind, subject=subject)).state is state


def test_a_gpu_that_fails_twice_is_one_gpu_less(bench):
    lost = [
        finding(Outcome.FAIL, kind=SubjectKind.GPU, subject="GPU-1", check=check)
        for check in ("gpu-lost", "gpu-xid")
    ]
    assert judged(bench, *lost).gpus == "7/8"


def test_a_gpu_that_nvml_no_longer_shows_is_missing_from_the_count(bench):
    missing = finding(Outcome.FAIL, check="gpu-count", evidence=(("expected", "8"), ("seen", "7")))
    assert judged(bench, missing, gpu_count=7).gpus == "7/8"
