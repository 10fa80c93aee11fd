"""What Ready is: one row for each policy, and their order."""

import dataclasses
from typing import Any

import pytest

from coordinator.health.model import NodeState
from coordinator.status import policies, reasons
from coordinator.status.observed import Fleet, Trouble
from tests.unit.coordinator.samples import fleet, health, observed, pod, rollout

FAILING = health("n1", NodeState.FAILING, reason="GpuLost", message="GPU 3 is lost.")

# In the order of the chain: each row alone, and with everything wrong that comes after it.
ROWS: dict[str, tuple[dict[str, Any], reasons.Reason]] = {
    "invalid spec": ({"problems": ("a: is bad.", "b: too.")}, reasons.VALIDATION_FAILED),
    "name taken": ({"conflicts": ("Service x exists.",)}, reasons.CONFLICT),
    "refused": ({"refused": "Service x: quota."}, reasons.OBJECT_REFUSED),
    "credential": (
        {"credential": Trouble(reasons.CREDENTIAL_MISSING, "Secret x does not exist.")},
        reasons.CREDENTIAL_MISSING,
    ),
    "no DaemonSet": ({"rollout": None}, reasons.DAEMON_SET_MISSING),
    "not seen yet": ({"rollout": rollout(current=False)}, reasons.ROLLING_OUT),
    "no nodes": ({"rollout": rollout(0, 0, 0)}, reasons.NO_MATCHING_NODES),
    "pods failing": (
        {"rollout": rollout(3, 0, 3), "missing_runtime_class": "nvidia"},
        reasons.RUNTIME_CLASS_MISSING,
    ),
    "rolling out": ({"rollout": rollout(3, 1, 2)}, reasons.ROLLING_OUT),
    "not ready": ({"rollout": rollout(3, 2, 3)}, reasons.INSTANCES_NOT_READY),
    "node failing": ({"fleet": fleet(FAILING)}, reasons.NODE_FAILING),
}


@pytest.mark.parametrize(("wrong", "reason"), ROWS.values(), ids=ROWS)
def test_each_policy_holds_ready_back_with_its_reason(wrong, reason):
    verdict = policies.ready(observed(**wrong))
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert verdict.message


@pytest.mark.parametrize("first", range(len(ROWS)), ids=ROWS)
def test_the_first_policy_that_has_something_to_say_decides(first):
    rows = list(ROWS.values())[first:]
    everything: dict[str, Any] = {}
    for wrong, _ in reversed(rows):
        everything |= wrong
    assert policies.ready(observed(**everything)).reason == rows[0][1]


def test_every_policy_of_the_chain_has_a_row():
    silent = [
        policy.__name__
        for policy in policies.READY
        if not any(policy(observed(**wrong)) for wrong, _ in ROWS.values())
    ]
    assert silent == []


def test_when_nothing_is_wrong_the_engine_is_ready():
    verdict = policies.ready(observed(rollout=rollout(3, 3, 3)))
    assert (verdict.status, verdict.reason) == ("True", reasons.ALL_READY)
    assert verdict.message == "3/3 instances ready."


@pytest.mark.parametrize(
    "nodes",
    [
        fleet(installed=False),
        fleet(),
        fleet(health("n1", NodeState.WARNING)),
        fleet(health("n1", NodeState.UNKNOWN)),
        fleet(health("n1", NodeState.UNKNOWN, reporting=False, reason="AgentSilent")),
    ],
    ids=["no agents", "no nodes", "warning", "unknown", "silent"],
)
def test_what_is_no_failure_does_not_hold_ready_back(nodes):
    assert policies.ready(observed(fleet=nodes)).status == "True"


def test_more_pods_than_wanted_are_no_hindrance():
    assert policies.ready(observed(rollout=rollout(2, 3, 3))).status == "True"


def test_problems_and_conflicts_are_told_in_full():
    assert policies.ready(observed(problems=("a.", "b."))).message == "a. b."
    assert policies.ready(observed(conflicts=("c.", "d."))).message == "c. d."


def test_a_failing_node_is_named_with_its_finding():
    nodes = fleet(FAILING, health("n2"))
    message = policies.ready(observed(fleet=nodes)).message
    assert message == "1 of 2 nodes cannot serve the cache: n1: GPU 3 is lost."


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ([], "2/9 instances ready."),
        (["b", "a"], "2/9 instances ready; not on a, b."),
        (["d", "c", "b", "a"], "2/9 instances ready; not on a, b, c and 1 more."),
    ],
    ids=["nobody knows", "two", "many"],
)
def test_where_an_instance_is_missing_is_said(missing, words):
    pods = (pod("p0", "ready"), *(pod(f"p-{n}", n, is_ready=False) for n in missing))
    assert policies.ready(observed(rollout=rollout(9, 2, 9), pods=pods)).message == words


def test_every_reason_is_told_apart_and_explained():
    names = [reason.name for reason in reasons.CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(reason.meaning.endswith(".") for reason in reasons.CATALOGUE)
    assert all(reason.name.isalnum() for reason in reasons.CATALOGUE)


def test_policies_do_not_change_what_they_look_at():
    seen = observed(fleet=Fleet())
    before = dataclasses.replace(seen)
    policies.ready(seen)
    assert seen == before
