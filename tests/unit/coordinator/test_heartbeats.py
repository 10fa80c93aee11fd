"""A bar of the project: an hour of heartbeats from 100 agents writes no status at all."""

import random
from datetime import timedelta
from typing import Any

import pytest

from coordinator.health.fleet import FleetBook
from coordinator.health.model import NodeState, Outcome
from coordinator.health.store import ReportStore
from coordinator.status.build import build, patch
from tests.unit.coordinator.samples import NOW, UID, finding, observed, pod, report, rollout

AGENTS = 100
HOUR = 3600.0


def merged(target, changes) -> dict[str, Any]:
    """Apply a merge patch as the API server does (RFC 7386)."""
    result = dict(target)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


class Simulation:
    """Agents that call at the pace they are told, and an engine that looks when it is woken."""

    def __init__(self, *, looks_always=False) -> None:
        self.seconds = 0.0
        self.random = random.Random(1)  # noqa: S311 - a simulation
        self.looks_always = looks_always
        self.woken = 0
        self.writes: list[list[str]] = []
        self.status: dict[str, Any] = {}
        self.names = [f"n{number:03}" for number in range(AGENTS)]
        self.sequences = dict.fromkeys(self.names, 0)
        self.next_call = {name: self.random.uniform(0, 10) for name in self.names}
        self.outcomes: dict[str, Outcome] = {}
        self.quiet: set[str] = set()
        self.dirty = False
        self.store = ReportStore(clock=self.clock, now=self.now, on_change=self.wake)
        self.book = FleetBook(
            self.store, agents_deployed=lambda: True, clock=self.clock, wake_node=self.wake
        )
        self.pods = tuple(pod(f"p-{name}", name) for name in self.names)

    def clock(self) -> Any:
        return self.seconds

    def now(self) -> Any:
        return NOW + timedelta(seconds=int(self.seconds))

    def wake(self, _node) -> Any:
        self.woken += 1
        self.dirty = True

    def call(self, name) -> Any:
        """Report as an agent does: the same findings, their numbers a little different."""
        self.sequences[name] += 1
        free = self.random.randrange(1, 10**9)
        findings = (
            finding(check="gpu-lost", message=f"8 GPUs, asked {free} times", since=NOW),
            finding(check="l1-memory", message=f"{free} bytes of headroom", since=NOW),
            finding(
                self.outcomes.get(name, Outcome.PASS),
                check="shared-memory",
                reason="Why",
                message=f"{free} bytes free",
                evidence=(("free", str(free)),),
                since=NOW,
            ),
        )
        self.store.put(report(name, self.sequences[name], findings=findings))
        self.next_call[name] = self.seconds + self.store.interval * self.random.uniform(0.8, 1.2)

    def look(self) -> Any:
        self.dirty = False
        seen = observed(
            rollout=rollout(AGENTS, AGENTS, AGENTS),
            pods=self.pods,
            fleet=self.book.fleet(UID, self.names),
        )
        changes = patch(self.status, build(seen, self.status, now=self.now()))
        if changes:
            self.writes.append(sorted(changes))
            self.status = merged(self.status, changes)

    def run(self, seconds) -> Any:
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds += 1.0
            for name in self.names:
                if self.next_call[name] <= self.seconds and name not in self.quiet:
                    self.call(name)
            self.book.sweep()
            if self.dirty or self.looks_always:
                self.look()

    @property
    def ready(self):
        return next(c for c in self.status["conditions"] if c["type"] == "Ready")["status"]

    def node(self, name) -> Any:
        return next(entry for entry in self.status["nodes"] if entry["name"] == name)


@pytest.fixture
def simulation():
    result = Simulation()
    result.run(60)
    assert result.status["nodeSummary"]["healthy"] == AGENTS
    result.writes.clear()
    result.woken = 0
    return result


def test_one_hour_of_heartbeats_writes_no_status_and_wakes_nobody(simulation):
    before = sum(simulation.sequences.values())
    simulation.run(HOUR)
    assert sum(simulation.sequences.values()) - before > 0.9 * AGENTS * HOUR / 10
    assert simulation.writes == []
    assert simulation.woken == 0


def test_one_hour_of_heartbeats_writes_no_status_even_if_something_looks_each_second():
    simulation = Simulation(looks_always=True)
    simulation.run(60)
    simulation.writes.clear()
    simulation.run(600)
    assert simulation.writes == []


def test_a_failure_is_written_once_and_so_is_its_end(simulation):
    simulation.outcomes["n042"] = Outcome.FAIL
    simulation.run(300)
    assert len(simulation.writes) == 1
    assert simulation.ready == "False"
    assert simulation.node("n042")["state"] == "Failing"
    del simulation.outcomes["n042"]
    simulation.run(300)
    assert len(simulation.writes) == 2
    assert simulation.ready == "True"


def test_silence_is_written_once_and_does_not_touch_ready(simulation):
    simulation.quiet.add("n007")
    simulation.run(HOUR / 2)
    assert len(simulation.writes) == 1
    assert simulation.node("n007")["state"] == NodeState.UNKNOWN.value
    assert simulation.ready == "True"
    simulation.quiet.clear()
    simulation.run(60)
    assert len(simulation.writes) == 2
    assert simulation.status["nodeSummary"]["healthy"] == AGENTS
