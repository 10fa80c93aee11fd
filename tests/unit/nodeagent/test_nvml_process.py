"""The NVML child as a real process, with programs that stand in for the driver's trouble."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nodeagent.nvml import frames
from nodeagent.nvml.process import ChildDied, ChildProcess, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HEAD = """
import json, os, socket, sys, time
channel, progress = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
def read():
    return json.loads(channel.makefile().readline())
def send(**frame):
    channel.sendall(json.dumps(frame).encode() + b"\\n")
"""
ECHO = HEAD + "for _ in range(9):\n    r = read(); send(id=r['id'], ok=r['operation'])"
STUCK = HEAD + "read(); os.pwrite(progress, b'nvmlDeviceGetName\\n3\\n', 0); time.sleep(60)"
CRASH = HEAD + "read(); os.kill(os.getpid(), 11)"
GARBAGE = HEAD + "read(); channel.sendall(b'[1]\\n'); time.sleep(60)"
EVENT = HEAD + "r = read(); send(event={'kind': 'xid'}); send(id=0, ok=1); send(id=r['id'], ok=2)"


@pytest.fixture
def start() -> Iterator[Callable[..., ChildProcess]]:
    children: list[ChildProcess] = []

    def start_child(
        program: str, on_event: Callable[[Mapping[str, Any]], None] = print
    ) -> ChildProcess:
        command = (sys.executable, "-S", "-c", program)
        children.append(ChildProcess(on_event=on_event, command=command))
        return children[-1]

    yield start_child
    for child in children:
        assert child.stop()


def test_answers_come_back(start: Callable[..., ChildProcess]) -> None:
    child = start(ECHO)
    assert child.request("read", deadline=10)["ok"] == "read"
    assert child.request("pulse", deadline=10)["ok"] == "pulse"


def test_no_answer_names_the_call(start: Callable[..., ChildProcess]) -> None:
    child = start(STUCK)
    with pytest.raises(NoAnswer):
        child.request("read", deadline=0.5)
    assert child.last_call() == ("nvmlDeviceGetName", 3)


@pytest.mark.parametrize(
    ("program", "words"), [(CRASH, "signal 11"), (GARBAGE, "closed its connection"), ("", "exit")]
)
def test_a_child_that_ends_is_an_answer_of_its_own(
    start: Callable[..., ChildProcess], program: str, words: str
) -> None:
    with pytest.raises(ChildDied, match=words):
        start(program).request("read", deadline=10)


def test_events_and_late_answers_do_not_mix_with_answers(
    start: Callable[..., ChildProcess],
) -> None:
    events: list[Mapping[str, Any]] = []
    assert start(EVENT, events.append).request("read", deadline=10)["ok"] == 2
    assert events == [{"kind": "xid"}]


def test_nothing_is_left_open(start: Callable[..., ChildProcess]) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        child = ChildProcess(on_event=print, command=(sys.executable, "-S", "-c", "pass"))
        assert child.stop()
    assert os.listdir("/proc/self/fd") == before


def test_frames_come_in_any_pieces() -> None:
    line = frames.encode({"id": 1}) + frames.encode({"id": 2})
    buffer = frames.FrameBuffer()
    found = [frame["id"] for byte in line for frame in buffer.feed(bytes([byte]))]
    assert found == [1, 2]


def test_a_frame_without_end_is_refused() -> None:
    buffer = frames.FrameBuffer()
    with pytest.raises(ValueError, match="longer than any"):
        list(buffer.feed(b"x" * (frames.LONGEST_LINE + 1)))


def test_a_long_call_name_does_not_reach_beyond_the_progress_area() -> None:
    descriptor = os.memfd_create("test")
    try:
        frames.note_progress(descriptor, "nvml" + "x" * 500, 3)
        assert frames.last_progress(descriptor)[0].startswith("nvmlx")
        frames.note_progress(descriptor, "nvmlInit", None)
        assert frames.last_progress(descriptor) == ("nvmlInit", None)
    finally:
        os.close(descriptor)
