"""Events: delivered while a caller waits, once, and only what was asked for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.fakenvml.scenario import Scenario, append_event, healthy
from tests.unit.fakenvml.child import Code, eventually

if TYPE_CHECKING:
    from tests.unit.fakenvml.child import Child
    from tests.unit.fakenvml.conftest import Node

WAIT = "nvmlEventSetWait_v2"
LONG = 60_000  # milliseconds; a test that needs them all has failed
NOW = 0


def scenario(count: int = 2) -> Scenario:
    return dataclasses.replace(healthy(count), events_file="events", call_log="calls")


def start(node: Node, *registrations: str) -> Child:
    child = node.start(scenario())
    child.ask("[e := p.nvmlEventSetCreate()]")
    for registration in registrations:
        child.ask(registration)
    return child


def datas(child: Child, count: int) -> list[object]:
    return [child.ask(f"wait(e, {NOW})['data']") for _ in range(count)]


def test_an_event_reaches_a_caller_that_is_already_waiting(node: Node) -> None:
    child = start(node, "register(e, 1)")
    child.send(f"wait(e, {LONG})")
    eventually(lambda: [WAIT, "-", "waiting"] in node.logged())
    assert not child.answered()
    append_event(node.events, gpu=1, xid=79)
    assert child.receive() == {
        "gpu": scenario().gpus[1].uuid,
        "type": 8,
        "data": 79,
        "instances": [0xFFFFFFFF, 0xFFFFFFFF],
    }
    began, ended = (
        float(line.split()[0]) for line in node.log.read_text().splitlines() if WAIT in line
    )
    assert ended - began < LONG / 1000 / 2


def test_waiting_takes_the_time_it_was_given(node: Node) -> None:
    child = start(node, "register(e, 0)")
    seconds, code = child.ask("timed(p.nvmlEventSetWait_v2, e, 150)")
    assert (seconds >= 0.15, code) == (True, 10)


def test_nothing_from_before_registration_is_delivered(node: Node) -> None:
    append_event(node.events, gpu=0, xid=48)
    child = start(node, "register(e, 0)")
    append_event(node.events, gpu=1, xid=62)
    child.ask("register(e, 1)")
    assert datas(child, 1) == [Code(10)]
    append_event(node.events, gpu=1, xid=63)
    append_event(node.events, gpu=0, xid=64)
    assert datas(child, 3) == [63, 64, Code(10)]


def test_each_set_delivers_an_event_once(node: Node) -> None:
    child = start(node, "register(e, 0)", "[f := p.nvmlEventSetCreate()]", "register(f, 0)")
    append_event(node.events, gpu=0, xid=13)
    append_event(node.events, gpu=0, xid=31)
    assert datas(child, 3) == [13, 31, Code(10)]
    assert child.ask("[wait(f, 0)['data'], wait(f, 0)['data']]") == [13, 31]
    assert child.ask("wait(f, 0)") == Code(10)


def test_only_what_was_registered_is_delivered(node: Node) -> None:
    child = start(node, "register(e, 0, p.nvmlEventTypeXidCriticalError)")
    append_event(node.events, gpu=1, xid=79)
    append_event(node.events, gpu=0, xid=1, event_type=0x2)
    append_event(node.events, gpu=0, xid=94)
    assert datas(child, 2) == [94, Code(10)]
    child.ask("register(e, 0, p.nvmlEventTypeDoubleBitEccError)")
    append_event(node.events, gpu=0, xid=2, event_type=0x2)
    assert child.ask("wait(e, 0)['type']") == 2


def test_an_unsupported_type_registers_none(node: Node) -> None:
    child = start(node)
    mask = "p.nvmlEventTypeXidCriticalError | p.nvmlEventTypeGpuRecoveryAction"
    assert child.ask(f"register(e, 0, {mask})") == Code(3)
    append_event(node.events, gpu=0, xid=79)
    assert datas(child, 1) == [Code(10)]


def test_a_lost_gpu_still_tells_of_its_end(node: Node) -> None:
    child = start(node, "register(e, 0)")
    node.put(scenario().with_lost_gpu(0))
    append_event(node.events, gpu=0, xid=79)
    assert child.ask("p.nvmlEventSetWait_v2(e, 0).eventData") == 79
    assert child.ask("register(e, 0)") == Code(15)


def test_a_waiting_caller_hears_of_a_lost_driver(node: Node) -> None:
    child = start(node, "register(e, 0)")
    child.send(f"wait(e, {LONG})")
    eventually(lambda: [WAIT, "-", "waiting"] in node.logged())
    node.put(scenario().with_return(WAIT, 15))
    assert child.receive() == Code(15)


@pytest.mark.parametrize(
    ("act", "code"),
    [("p.nvmlEventSetFree(e)", 2), ("p.nvmlShutdown()", 1)],
    ids=["free", "shutdown"],
)
def test_a_waiting_caller_hears_that_its_set_is_gone(node: Node, act: str, code: int) -> None:
    child = start(node, "register(e, 0)")
    child.send(f"[t := ThreadPoolExecutor(1), w := t.submit(code, wait, e, {LONG})] and None")
    child.receive()
    eventually(lambda: [WAIT, "-", "waiting"] in node.logged())
    child.ask(act)
    assert child.ask("w.result()") == code


def test_a_freed_set_is_not_mistaken_for_the_next_one(node: Node) -> None:
    child = start(node)
    child.ask("[p.nvmlEventSetFree(e), f := p.nvmlEventSetCreate()]")
    assert child.ask("register(e, 0)") == Code(2)
    assert child.ask("wait(e, 0)") == Code(2)
    assert child.ask("p.nvmlEventSetFree(e)") == Code(2)
    assert child.ask("register(f, 0)") is None


def test_a_line_is_delivered_when_it_is_whole(node: Node) -> None:
    child = start(node, "register(e, 0)")
    with node.events.open("a") as stream:
        stream.write("gpu=0 xi")
        stream.flush()
        assert datas(child, 1) == [Code(10)]
        stream.write("d=43 gi=1 ci=2\n")
    assert child.ask("wait(e, 0)['instances']") == [1, 2]


def test_a_new_file_is_read_from_its_beginning(node: Node) -> None:
    append_event(node.events, gpu=0, xid=1)
    child = start(node, "register(e, 0)")
    fresh = node.directory / "fresh"
    append_event(fresh, gpu=0, xid=45)
    fresh.replace(node.events)
    assert datas(child, 2) == [45, Code(10)]


def test_a_mistake_in_the_event_file_is_told_once(node: Node) -> None:
    child = start(node, "register(e, 0)")
    with node.events.open("a") as stream:
        stream.write("\ngpu=0 xid=seventy\ngpu=0\ngpu=0 xid=8\n")
    assert datas(child, 3) == [Code(999), Code(999), 8]
    assert len(child.complaints) == 2


def test_the_environment_names_another_event_file(node: Node) -> None:
    other = node.directory / "other"
    node.put(scenario())
    child = node.spawn(FAKE_NVML_EVENTS=str(other))
    child.ask("[p.nvmlInit(), e := p.nvmlEventSetCreate(), register(e, 0)]")
    append_event(node.events, gpu=0, xid=1)
    append_event(other, gpu=0, xid=2)
    assert datas(child, 2) == [2, Code(10)]
