"""The reporter: what it sends when, and what it takes over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from nodeagent.assignment import Assignment
from nodeagent.errors import ReportRefused
from nodeagent.node_report import Answer, Identity, NodeReport
from nodeagent.report import Reporter
from nodeagent.state import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = 5.0
IDENTITY = Identity("node-a", "boot", "instance", "0.1.0")


class FakeChannel:
    """Takes reports and answers as told."""

    def __init__(self) -> None:
        self.reports: list[NodeReport] = []
        self.answer: Answer | Exception = Answer(next_report_after=300.0)
        self.closed = False
        self._sent = threading.Semaphore(0)

    def send(self, report: NodeReport) -> Answer:
        self.reports.append(report)
        self._sent.release()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True

    def wait(self) -> None:
        assert self._sent.acquire(timeout=SOON)


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def state() -> NodeState:
    return NodeState(probes=[])


@pytest.fixture
def reporter(channel: FakeChannel, state: NodeState) -> Iterator[Callable[..., Reporter]]:
    made: list[Reporter] = []

    def make(on_assignment: Callable[[Assignment], None] = lambda _: None) -> Reporter:
        made.append(Reporter(channel, state=state, identity=IDENTITY, on_assignment=on_assignment))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_the_first_report_goes_out_at_once_and_changes_follow_it(
    channel: FakeChannel, reporter: Callable[..., Reporter]
) -> None:
    one = reporter()
    one.start()
    channel.wait()
    one.wake()
    channel.wait()
    assert [report.sequence for report in channel.reports] == [1, 2]
    assert channel.reports[0].identity == IDENTITY


def test_an_assignment_is_taken_over_and_told_once(
    channel: FakeChannel, state: NodeState, reporter: Callable[..., Reporter]
) -> None:
    told: list[Assignment] = []
    one = reporter(told.append)
    wanted = Assignment("7")
    channel.answer = Answer(next_report_after=300.0, assignment=wanted)
    one.report()
    one.report()
    assert told == [wanted]
    assert state.assignment == wanted


def test_the_last_assignment_is_kept_when_the_coordinator_is_gone(
    channel: FakeChannel, state: NodeState, reporter: Callable[..., Reporter]
) -> None:
    one = reporter()
    channel.answer = Answer(next_report_after=300.0, assignment=Assignment("7"))
    one.report()
    channel.answer = ReportRefused("UNAVAILABLE: gone")
    one.report()
    assert state.assignment.revision == "7"
    assert (one.statistics.sent, one.statistics.failed) == (1, 1)


def test_one_line_says_that_the_coordinator_is_gone_and_one_that_it_is_back(
    channel: FakeChannel,
    reporter: Callable[..., Reporter],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    one = reporter()
    channel.answer = ReportRefused("UNAVAILABLE: gone")
    for _ in range(5):
        one.report()
    channel.answer = Answer(next_report_after=300.0)
    one.report()
    one.report()
    assert [record.message for record in caplog.records] == [
        "the coordinator cannot be reached",
        "the coordinator answers",
    ]


def test_a_bug_in_reporting_does_not_end_it(
    channel: FakeChannel, reporter: Callable[..., Reporter]
) -> None:
    channel.answer = RuntimeError("boom")
    one = reporter()
    one.start()
    channel.wait()
    channel.answer = Answer(next_report_after=300.0)
    channel.wait()
    assert len(channel.reports) == 2
