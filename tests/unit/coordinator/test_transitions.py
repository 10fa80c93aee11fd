"""Which changes of a status become Events."""

from typing import Any

import pytest

from coordinator.reconcile.transitions import MAX_NODE_EVENTS, transitions


def ready(status, reason="Why") -> Any:
    return {
        "conditions": [
            {"type": "Other", "status": "False"},
            {"type": "Ready", "status": status, "reason": reason, "message": f"{reason}."},
        ]
    }


def nodes(*entries) -> Any:
    return ready("True") | {
        "nodes": [
            {"name": name, "state": state, "reason": reason, "message": f"{reason}."}
            for name, state, reason in entries
        ]
    }


def events(before, after) -> Any:
    return [(event.type, event.reason, event.message) for event in transitions(before, after)]


READY = {
    "becomes ready": (ready("Unknown", "Pending"), ready("True"), ("Normal", "Ready")),
    "ready from nothing": ({}, ready("True"), ("Normal", "Ready")),
    "stays ready": (ready("True"), ready("True", "Other"), None),
    "is lost": (ready("True"), ready("False", "NodeFailing"), ("Warning", "NodeFailing")),
    "is lost in a passing state": (
        ready("True"),
        ready("False", "InstancesNotReady"),
        ("Warning", "InstancesNotReady"),
    ),
    "refused at once": ({}, ready("False", "Conflict"), ("Warning", "Conflict")),
    "another reason": (
        ready("False", "InstancesNotReady"),
        ready("False", "NodeFailing"),
        ("Warning", "NodeFailing"),
    ),
    "the same reason": (ready("False", "Conflict"), ready("False", "Conflict"), None),
    "on its way": ({}, ready("False", "DaemonSetMissing"), None),
    "further on its way": (
        ready("False", "DaemonSetMissing"),
        ready("False", "InstancesNotReady"),
        None,
    ),
}


@pytest.mark.parametrize(("before", "after", "event"), READY.values(), ids=READY)
def test_ready_tells_what_a_person_should_know(before, after, event):
    found = events(before, after)
    assert [(type_, reason) for type_, reason, _ in found] == ([event] if event else [])


NODES = {
    "fails": (nodes(("n", "Healthy", "Ok")), nodes(("n", "Failing", "Lost")), ["Lost"]),
    "fails from the start": (ready("True"), nodes(("n", "Failing", "Lost")), ["Lost"]),
    "fails otherwise": (
        nodes(("n", "Failing", "Lost")),
        nodes(("n", "Failing", "Shm")),
        ["Shm"],
    ),
    "still fails": (nodes(("n", "Failing", "Lost")), nodes(("n", "Failing", "Lost")), []),
    "recovers": (
        nodes(("n", "Failing", "Lost")),
        nodes(("n", "Healthy", "Ok")),
        ["NodeRecovered"],
    ),
    "warning ends": (
        nodes(("n", "Warning", "Tight")),
        nodes(("n", "Healthy", "Ok")),
        ["NodeRecovered"],
    ),
    "warns": (nodes(("n", "Healthy", "Ok")), nodes(("n", "Warning", "Tight")), []),
    "falls silent": (nodes(("n", "Healthy", "Ok")), nodes(("n", "Unknown", "AgentSilent")), []),
    "speaks again": (nodes(("n", "Unknown", "AgentSilent")), nodes(("n", "Healthy", "Ok")), []),
    "leaves": (nodes(("n", "Failing", "Lost")), nodes(), []),
    "is new": (ready("True"), nodes(("n", "Healthy", "Ok")), []),
}


@pytest.mark.parametrize(("before", "after", "expected"), NODES.values(), ids=NODES)
def test_nodes_tell_when_they_fail_and_recover(before, after, expected):
    assert [reason for _, reason, _ in events(before, after)] == expected


def test_a_failing_node_is_named_with_its_message():
    assert events(nodes(), nodes(("n1", "Failing", "Lost"))) == [
        ("Warning", "Lost", "Node n1: Lost.")
    ]


def test_many_failures_at_once_are_a_handful_and_a_count():
    failing = nodes(*((f"n{n}", "Failing", "Lost") for n in range(100)))
    found = events(nodes(), failing)
    assert len(found) == MAX_NODE_EVENTS + 1
    assert found[-1] == (
        "Warning",
        "NodesFailing",
        f"{100 - MAX_NODE_EVENTS} more nodes fail; see status.nodes.",
    )


def test_many_recoveries_at_once_are_a_handful():
    names = [f"n{n}" for n in range(100)]
    before = nodes(*((name, "Failing", "Lost") for name in names))
    after = nodes(*((name, "Healthy", "Ok") for name in names))
    assert len(events(before, after)) == MAX_NODE_EVENTS


@pytest.mark.parametrize("reason", ["RollingOut"])
def test_a_rollout_is_no_warning(reason):
    assert events(ready("True"), ready("False", reason)) == []


def test_a_status_of_an_older_operator_is_understood():
    assert events({"nodes": None, "conditions": None}, ready("True")) != []
