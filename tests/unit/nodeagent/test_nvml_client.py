"""The NVML client: deadlines, back-off, and never a second stuck child."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from nodeagent.nvml.client import NvmlClient
from nodeagent.nvml.model import Event, Failure, FailureKind, Reading
from nodeagent.nvml.process import ChildDied, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DRIVER = {"library_path": "/lib/x", "driver_version": "1", "nvml_version": "1", "cuda_version": 1}


def gpu(**changes: Any) -> dict[str, Any]:
    return {"index": 0, "uuid": "GPU-a", "failures": {}, **changes}


def answer(*gpus: dict[str, Any], library: str = "/lib/x") -> dict[str, Any]:
    return {"ok": {"driver": {**DRIVER, "library_path": library}, "gpus": list(gpus)}}


class FakeChild:
    """A child that answers as it is told."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.stopped = False

    def request(self, operation: str, *, deadline: float) -> dict[str, Any]:
        self.script.requests.append(operation)
        reply = self.script.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def last_call(self) -> tuple[str, int | None]:
        return "nvmlDeviceGetName", 2

    def stop(self) -> bool:
        self.stopped = True
        return self.script.dies

    def is_reaped(self) -> bool:
        return self.script.dies


class Script:
    """What the children of a test do."""

    def __init__(self, *replies: dict[str, Any] | Exception, dies: bool = True) -> None:
        self.replies = list(replies)
        self.dies = dies
        self.now = 0.0
        self.requests: list[str] = []
        self.children: list[FakeChild] = []
        self.announce: Callable[[Mapping[str, Any]], None] = lambda _: None

    def client(self, **more: Any) -> NvmlClient:
        return NvmlClient(deadline=5.0, spawn=self.spawn, clock=lambda: self.now, **more)

    def spawn(self, announce: Callable[[Mapping[str, Any]], None]) -> FakeChild:
        self.announce = announce
        self.children.append(FakeChild(self))
        return self.children[-1]


def test_one_child_answers_all_requests() -> None:
    script = Script(answer(gpu()), answer(gpu()), {"ok": {"codes": [0]}})
    client = script.client()
    assert isinstance(client.read(), Reading)
    assert isinstance(client.read(), Reading)
    assert client.pulse() == (0,)
    assert len(script.children) == 1


@pytest.mark.parametrize("code", [4, 9, 12, 18, 27, 999])
def test_a_failed_driver_gets_a_new_process(code: int) -> None:
    script = Script({"call": "nvmlInit", "code": code}, answer())
    client = script.client()
    assert client.read() == Failure(FailureKind.CODE, call="nvmlInit", code=code)
    script.now = 60.0
    assert isinstance(client.read(), Reading)
    assert script.children[0].stopped
    assert len(script.children) == 2


def test_a_failure_is_repeated_until_its_time_without_a_new_child() -> None:
    script = Script({"call": "nvmlInit", "code": 9}, answer())
    client = script.client()
    first = client.read()
    script.now = 0.5
    assert client.read() is first
    assert len(script.children) == 1


def test_children_that_fail_come_less_and_less_often() -> None:
    script = Script(*[NoAnswer()] * 9)
    client = script.client()
    starts = []
    while script.replies:
        before = client.starts
        client.read()
        if client.starts > before:
            starts.append(script.now)
        script.now += 0.5
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_wedged_call_is_named_and_counted() -> None:
    script = Script(NoAnswer())
    client = script.client()
    failure = client.read()
    assert failure == Failure(FailureKind.TIMEOUT, call="nvmlDeviceGetName", gpu=2, seconds=5.0)
    assert client.timeouts == 1


def test_a_child_that_cannot_be_reaped_is_never_followed_by_another() -> None:
    script = Script(NoAnswer(), answer(), dies=False)
    client = script.client()
    failure = client.read()
    assert isinstance(failure, Failure)
    assert failure.unreaped
    for _ in range(100):
        script.now += 60.0
        assert client.read() == failure
    assert len(script.children) == 1

    script.dies = True
    assert isinstance(client.read(), Reading)
    assert len(script.children) == 2


def test_a_crash_is_not_an_answer() -> None:
    failure = Script(ChildDied("signal 11")).client().read()
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.detail) == (FailureKind.DIED, "signal 11")


@pytest.mark.parametrize(
    "strange",
    [{"ok": {}}, {"ok": {"driver": DRIVER, "gpus": [{}]}}, {"ok": {"driver": DRIVER, "gpus": 7}}],
    ids=["empty", "no index", "no list"],
)
def test_an_answer_that_makes_no_sense_is_not_an_answer(strange: dict[str, Any]) -> None:
    failure = Script(strange).client().read()
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.DIED


@pytest.mark.parametrize(
    ("reply", "fresh"),
    [
        pytest.param(answer(gpu()), False, id="all is well"),
        pytest.param(answer(gpu(failures={"handle": 15})), False, id="lost"),
        pytest.param(answer(gpu(failures={"handle": 999})), True, id="devices taken away"),
        pytest.param(answer(gpu(failures={"memory": 16})), True, id="reset required"),
        pytest.param(answer(gpu(recovery_action=1)), True, id="recovery by reset"),
        pytest.param(answer(gpu(recovery_action=2)), False, id="recovery by reboot"),
        pytest.param(answer(gpu(), library="/lib/x (deleted)"), True, id="driver upgraded"),
    ],
)
def test_when_the_driver_is_let_go_between_readings(reply: dict[str, Any], fresh: bool) -> None:
    script = Script(reply, answer(gpu()))
    client = script.client()
    assert isinstance(client.read(), Reading)
    assert script.children[0].stopped is fresh
    assert client.pulse is not None


def test_a_pulse_never_starts_a_child() -> None:
    script = Script(answer())
    assert script.client().pulse() is None
    assert script.children == []


def test_events_are_passed_on_and_nonsense_is_not() -> None:
    events: list[Event] = []
    script = Script(answer())
    script.client(on_event=events.append).read()
    script.announce({"uuid": "GPU-a", "kind": "xid", "data": 79})
    script.announce({"uuid": "GPU-a"})
    script.announce({"uuid": "GPU-a", "kind": "xid", "data": "x"})
    assert events == [Event("GPU-a", "xid", 79)]
