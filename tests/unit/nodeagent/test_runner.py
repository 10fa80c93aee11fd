"""Rounds, deadlines, and that no probe holds up another."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from nodeagent.assignment import Assignment, Engine
from nodeagent.catalogue import GPU_COUNT, NVML, SHARED_MEMORY, gpu, host
from nodeagent.findings import NODE, Finding, Outcome, engine
from nodeagent.probes import Probe
from nodeagent.runner import Runner
from nodeagent.state import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = 5.0


def probe(name: str, observe: Callable[[Assignment], Any], *, deadline: float = SOON) -> Probe:
    def judge(facts: Any, assignment: Assignment) -> tuple[Finding, ...]:
        return (NVML.finding(gpu.NVML_ANSWERS, NODE, f"{name} saw {facts}"),)

    return Probe(name, (NVML,), deadline, observe, judge)


@pytest.fixture
def run() -> Iterator[Callable[..., tuple[NodeState, Runner]]]:
    runners: list[Runner] = []

    def start(*probes: Probe, interval: float = 60.0) -> tuple[NodeState, Runner]:
        state = NodeState(probes=[each.name for each in probes])
        runners.append(Runner(probes, state=state, interval=interval))
        runners[-1].start()
        return state, runners[-1]

    yield start
    for runner in runners:
        runner.stop()


def test_the_first_round_begins_at_once(run: Callable[..., tuple[NodeState, Runner]]) -> None:
    state, _ = run(probe("a", lambda _: 1), probe("b", lambda _: 2))
    assert state.wait_for_first_round(SOON)
    assert {each.message for each in state.snapshot().findings} == {"a saw 1", "b saw 2"}


def test_rounds_go_on(run: Callable[..., tuple[NodeState, Runner]]) -> None:
    enough = threading.Event()
    looks: list[int] = []

    def observe(_: Assignment) -> None:
        looks.append(1)
        if len(looks) == 3:
            enough.set()

    run(probe("a", observe), interval=0.01)
    assert enough.wait(SOON)


def test_a_late_probe_is_unknown_and_holds_up_nobody(
    run: Callable[..., tuple[NodeState, Runner]],
) -> None:
    release = threading.Event()
    slow = Probe(
        "slow",
        (GPU_COUNT,),
        0.05,
        lambda _: release.wait(SOON),
        lambda *_: (GPU_COUNT.finding(gpu.GPU_COUNT_MATCHES, NODE, "counted"),),
    )
    late, returned = threading.Event(), threading.Event()
    state, runner = run(slow, probe("quick", lambda _: 1))

    def note_change() -> None:
        reasons = {each.reason for each in state.snapshot().findings}
        (late if "ProbeTimeout" in reasons else returned).set()

    state.on_change(note_change)
    assert late.wait(SOON)
    by_check = {each.check: each for each in state.snapshot().findings}
    assert by_check["gpu-count"].outcome is Outcome.UNKNOWN
    assert "within 0.05 s" in by_check["gpu-count"].message
    assert by_check["nvml"].outcome is Outcome.PASS
    assert runner.stalled_seconds() == 0

    returned.clear()
    release.set()
    assert returned.wait(SOON)
    assert {each.reason for each in state.snapshot().findings} == {
        "GpuCountMatches",
        "NvmlAnswers",
    }


def test_a_probe_that_raises_is_unknown_about_the_subjects_it_had(
    run: Callable[..., tuple[NodeState, Runner]], caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[Any] = ["facts", RuntimeError("boom"), RuntimeError("boom")]

    def observe(_: Assignment) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    failing = Probe(
        "shm",
        (SHARED_MEMORY,),
        SOON,
        observe,
        lambda *_: (SHARED_MEMORY.finding(host.SHARED, engine("e"), "shared"),),
    )
    state, runner = run(failing)
    assert state.wait_for_first_round(SOON)
    changed = threading.Event()
    state.on_change(changed.set)
    runner.look_now("shm")
    assert changed.wait(SOON)
    (finding,) = state.snapshot().findings
    assert (finding.reason, finding.subject) == ("ProbeFailed", engine("e"))
    assert "boom" in caplog.text


def test_a_new_assignment_is_judged_at_once(
    run: Callable[..., tuple[NodeState, Runner]],
) -> None:
    seen: list[Assignment] = []
    again = threading.Event()

    def observe(assignment: Assignment) -> None:
        seen.append(assignment)
        if assignment.revision:
            again.set()

    state, runner = run(probe("a", observe))
    assert state.wait_for_first_round(SOON)
    wanted = Assignment("7", (Engine("e"),))
    assert state.assign(wanted)
    assert not state.assign(wanted)
    runner.look_now()
    assert again.wait(SOON)
    assert seen[-1] == wanted


def test_requests_while_a_look_is_under_way_become_one(
    run: Callable[..., tuple[NodeState, Runner]],
) -> None:
    begun, release, second = threading.Event(), threading.Event(), threading.Event()
    looks: list[int] = []

    def observe(_: Assignment) -> None:
        looks.append(1)
        begun.set()
        release.wait(SOON)
        if len(looks) == 2:
            second.set()

    _, runner = run(probe("a", observe))
    assert begun.wait(SOON)
    for _ in range(50):
        runner.look_now("a")
    release.set()
    assert second.wait(SOON)
    assert len(looks) == 2
