"""Conditions about the nodes: what a failure, a warning, silence and ignorance each do."""

from typing import Any

import pytest

from coordinator.api.status import NODES_LIMIT
from coordinator.health.model import NodeState, Outcome
from coordinator.status import fleet as conditions
from coordinator.status import reasons
from tests.unit.coordinator.samples import LATER, NOW, finding, fleet, health

ASPECTS = {
    "GPUVisible": (conditions.gpu_visible, "gpu-lost"),
    "SharedMemoryReady": (conditions.shared_memory_ready, "shared-memory"),
    "L1MemoryReady": (conditions.l1_memory_ready, "l1-memory"),
}
aspects = pytest.mark.parametrize(("judge", "check"), ASPECTS.values(), ids=ASPECTS)


def node(outcome, check, name="n1", **rest) -> Any:
    state = {
        Outcome.FAIL: NodeState.FAILING,
        Outcome.WARN: NodeState.WARNING,
        Outcome.UNKNOWN: NodeState.UNKNOWN,
    }.get(outcome, NodeState.HEALTHY)
    found = finding(outcome, check=check, reason="Why", message="what was seen", remedy="mend it")
    return health(name, state, found, **rest)


@aspects
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.PASS, "True"),
        (Outcome.WARN, "True"),
        (Outcome.FAIL, "False"),
        (Outcome.UNKNOWN, "Unknown"),
    ],
)
def test_each_outcome_of_a_check_has_its_status(judge, check, outcome, status):
    assert judge(fleet(node(outcome, check))).status == status


@aspects
def test_a_failure_is_named_with_node_reason_and_remedy(judge, check):
    verdict = judge(fleet(node(Outcome.FAIL, check), node(Outcome.PASS, check, "n2")))
    assert verdict.reason.name == "Why"
    assert verdict.message == "1 of 2 reporting nodes: n1: what was seen. mend it."


@aspects
def test_a_failure_outweighs_ignorance_elsewhere(judge, check):
    verdict = judge(fleet(node(Outcome.UNKNOWN, check), node(Outcome.FAIL, check, "n2")))
    assert verdict.status == "False"


@aspects
def test_failures_of_other_checks_are_not_its_business(judge, check):
    other = finding(Outcome.FAIL, check="something-else")
    mixed = health("n1", NodeState.FAILING, other, finding(check=check))
    assert judge(fleet(mixed)).status == "True"


@aspects
def test_a_silent_node_among_others_is_not_counted(judge, check):
    silent = health("n2", NodeState.UNKNOWN, reporting=False, reason="AgentSilent")
    assert judge(fleet(node(Outcome.PASS, check), silent)).status == "True"


@aspects
@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (fleet(installed=False), reasons.AGENTS_DISABLED),
        (fleet(), reasons.NO_NODES),
        (fleet(health()), reasons.CHECKS_UNKNOWN),
        (
            fleet(health("n1", NodeState.UNKNOWN, reporting=False, reason="AgentSilent")),
            reasons.AGENT_SILENT,
        ),
    ],
    ids=["no agents", "no nodes", "never looked", "all silent"],
)
def test_where_nothing_is_known_the_condition_says_why(judge, check, nodes, reason):
    verdict = judge(nodes)
    assert (verdict.status, verdict.reason) == ("Unknown", reason)


@aspects
def test_a_check_that_applies_nowhere_has_not_passed(judge, check):
    assert judge(fleet(node(Outcome.NOT_APPLICABLE, check))).status != "True"


def test_gpus_are_written_as_such():
    verdict = conditions.gpu_visible(fleet(node(Outcome.PASS, "nvml")))
    assert verdict.message == "All GPUs are visible on 1 of 1 reporting nodes."


# --- NodesHealthy ----------------------------------------------------------------------------

WARNING = health("w", NodeState.WARNING, message="Little memory.")
FAILING = health("f", NodeState.FAILING, message="GPU lost.")
UNSURE = health("u", NodeState.UNKNOWN, message="Cannot tell.", reason="NoPermission")
SILENT = health("s", NodeState.UNKNOWN, reporting=False, reason="AgentSilent", message="Silent.")
STARTING = health("t", NodeState.UNKNOWN, reporting=False, reason="AgentStarting", message="Soon.")
HEALTHY = health("h")

NODES = {
    "no agents": (fleet(installed=False), "Unknown", reasons.AGENTS_DISABLED),
    "no nodes": (fleet(), "Unknown", reasons.NO_NODES),
    "all well": (fleet(HEALTHY), "True", reasons.NODES_HEALTHY),
    "warning": (fleet(HEALTHY, WARNING), "False", reasons.NODES_WARNING),
    "failing": (fleet(HEALTHY, WARNING, FAILING, SILENT), "False", reasons.NODE_FAILING),
    "silent": (fleet(HEALTHY, SILENT), "Unknown", reasons.AGENT_SILENT),
    "starting": (fleet(HEALTHY, STARTING), "Unknown", reasons.AGENT_STARTING),
    "starting and silent": (fleet(SILENT, STARTING), "Unknown", reasons.AGENT_SILENT),
    "cannot tell": (fleet(HEALTHY, UNSURE), "Unknown", reasons.CHECKS_UNKNOWN),
    "warning and silent": (fleet(WARNING, SILENT), "False", reasons.NODES_WARNING),
}


@pytest.mark.parametrize(("nodes", "status", "reason"), NODES.values(), ids=NODES)
def test_nodes_are_healthy_when_everything_is_known_and_well(nodes, status, reason):
    verdict = conditions.nodes_healthy(nodes)
    assert (verdict.status, verdict.reason) == (status, reason)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 of 1 nodes cannot serve the cache: n0: GPU lost."),
        (2, "2 of 2 nodes cannot serve the cache: n0: GPU lost. Also: n1."),
        (4, "4 of 4 nodes cannot serve the cache: n0: GPU lost. Also: n1, n2, n3."),
        (6, "6 of 6 nodes cannot serve the cache: n0: GPU lost. Also: n1, n2, n3 and 2 more."),
    ],
)
def test_nodes_are_named_as_far_as_there_is_room(count, words):
    nodes = [health(f"n{i}", NodeState.FAILING, message="GPU lost.") for i in range(count)]
    assert conditions.nodes_healthy(fleet(*nodes)).message == words


# --- lines -----------------------------------------------------------------------------------


def test_lines_come_worst_first_and_then_by_name():
    nodes = (HEALTHY, health("a"), SILENT, WARNING, FAILING)
    assert [line["name"] for line in conditions.node_entries(nodes)] == ["f", "w", "s", "a", "h"]


def test_lines_end_at_their_bound_and_failures_are_not_cut():
    nodes = (*(health(f"a{n:03}") for n in range(NODES_LIMIT + 20)), FAILING)
    lines = conditions.node_entries(nodes)
    assert len(lines) == NODES_LIMIT
    assert lines[0]["name"] == "f"


def test_a_line_says_what_is_known():
    [line] = conditions.node_entries((health("n", since=NOW, gpus="7/8"),))
    assert line == {
        "name": "n",
        "state": "Healthy",
        "reason": "ChecksPassed",
        "message": "fine",
        "gpus": "7/8",
        "since": "2026-11-24T12:00:00Z",
    }
    [line] = conditions.node_entries((health("n", gpus=None),))
    assert "gpus" not in line
    assert "since" not in line


def test_a_long_message_is_cut_to_its_bound():
    [line] = conditions.node_entries((health(message="m" * 2000),))
    assert len(line["message"]) == 512


def test_all_nodes_are_counted_beside_the_list():
    nodes = (HEALTHY, FAILING, WARNING, SILENT, STARTING)
    assert conditions.node_summary(nodes) == {
        "desired": 5,
        "reporting": 3,
        "healthy": 1,
        "warning": 1,
        "failing": 1,
        "unknown": 2,
    }


def test_order_needs_no_clock():
    early, late = health("a", since=LATER), health("b", since=NOW)
    assert conditions.sorted_nodes((late, early)) == (early, late)
