"""The whole status, the patch to it, and that a second look changes nothing."""

import copy
from typing import Any

import pytest

from coordinator.api.status import EngineStatus
from coordinator.health.model import NodeState
from coordinator.status.build import build, patch, phase
from tests.unit.coordinator.samples import (
    LATER,
    NOW,
    finding,
    fleet,
    health,
    observed,
    pod,
    rollout,
)

TYPES = [
    "Ready",
    "ConfigValid",
    "Available",
    "AllInstancesReady",
    "NodesHealthy",
    "GPUVisible",
    "SharedMemoryReady",
    "L1MemoryReady",
]
# What the CRD gives a new engine.
FRESH = {
    "phase": "Pending",
    "conditions": [
        {"type": "Ready", "status": "Unknown", "reason": "Pending", "lastTransitionTime": "x"}
    ],
}

CASES = {
    "healthy": observed(fleet=fleet(health("n1", NodeState.HEALTHY, finding(), since=NOW))),
    "no agents": observed(),
    "invalid": observed(problems=("spec.l1: is required.",), rollout=None, pods=(), port=None),
    "conflict": observed(conflicts=("Service x exists.",), rollout=None, pods=()),
    "refused": observed(refused="Service x: no."),
    "new": observed(rollout=None, pods=()),
    "warnings": observed(warnings=("spec.env: hm.",), fleet=fleet(health("w", NodeState.WARNING))),
    "many": observed(
        rollout=rollout(150, 149, 150),
        pods=tuple(pod(f"p{n:03}", f"n{n:03}", is_ready=n != 149) for n in range(150)),
        fleet=fleet(*(health(f"n{n:03}") for n in range(150))),
    ),
}
cases = pytest.mark.parametrize("seen", CASES.values(), ids=CASES)


def merged(current, changes) -> Any:
    """Do what the API server does with a merge patch (RFC 7386)."""
    result = copy.deepcopy(current)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def conditions(status) -> Any:
    return {condition["type"]: condition for condition in status["conditions"]}


# --- twice is once ---------------------------------------------------------------------------


@cases
@pytest.mark.parametrize("before", [{}, FRESH], ids=["nothing", "the CRD's default"])
def test_a_second_look_changes_nothing(seen, before):
    first = merged(before, patch(before, build(seen, before, now=NOW)))
    assert patch(first, build(seen, first, now=LATER)) == {}


@cases
def test_the_patch_makes_the_one_status_the_other(seen):
    for other in CASES.values():
        current = build(other, {}, now=NOW)
        wanted = build(seen, current, now=LATER)
        assert merged(current, patch(current, wanted)) == wanted


def test_keys_inside_a_map_are_removed_too():
    seen = CASES["healthy"]
    current = build(seen, {}, now=NOW)
    current["nodeSummary"]["invented"] = 1
    after = merged(current, patch(current, build(seen, current, now=LATER)))
    assert patch(after, build(seen, after, now=LATER)) == {}


@cases
def test_what_is_written_is_what_the_crd_knows(seen):
    status = build(seen, {}, now=NOW)
    EngineStatus.model_validate(status)
    assert set(status) <= set(EngineStatus.model_json_schema(by_alias=True)["properties"])


@cases
def test_nothing_that_is_given_is_changed(seen):
    current = build(CASES["healthy"], {}, now=NOW)
    before = copy.deepcopy(current)
    patch(current, build(seen, current, now=LATER))
    assert current == before


def test_a_patch_says_only_what_differs():
    current = build(observed(), {}, now=NOW)
    wanted = build(observed(rollout=rollout(2, 2, 2)), current, now=LATER)
    assert set(patch(current, wanted)) == {"conditions", "desiredInstances", "readyInstances"}


def test_what_is_no_longer_known_is_removed():
    current = build(CASES["many"], {}, now=NOW) | {"kopf": {}}
    changes = patch(current, build(observed(), current, now=LATER))
    for key in ("nodes", "nodeSummary", "omittedNodes", "omittedEndpoints", "kopf"):
        assert changes[key] is None


# --- conditions ------------------------------------------------------------------------------


def test_all_conditions_are_there_the_verdict_first():
    status = build(observed(generation=7), {}, now=NOW)
    assert [condition["type"] for condition in status["conditions"]] == TYPES
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {7}
    assert {c["lastTransitionTime"] for c in status["conditions"]} == {"2026-11-24T12:00:00Z"}
    assert status["observedGeneration"] == 7


def test_the_time_of_a_condition_moves_with_its_status_alone():
    first = build(observed(), {}, now=NOW)
    worse = observed(rollout=rollout(2, 1, 2), generation=2)
    second = build(worse, first, now=LATER)
    before, after = conditions(first), conditions(second)
    assert after["Ready"]["lastTransitionTime"] == "2026-11-24T13:00:00Z"
    assert after["AllInstancesReady"]["lastTransitionTime"] == "2026-11-24T13:00:00Z"
    # Available stays True; its message and generation follow.
    assert after["Available"]["lastTransitionTime"] == before["Available"]["lastTransitionTime"]
    assert after["Available"]["message"] == "1/2 instances ready."
    assert after["Available"]["observedGeneration"] == 2


def test_another_reason_alone_is_no_transition():
    first = build(observed(rollout=None, pods=()), {}, now=NOW)
    second = build(observed(rollout=rollout(2, 0, 2)), first, now=LATER)
    ready = conditions(second)["Ready"]
    assert ready["reason"] == "InstancesNotReady"
    assert ready["lastTransitionTime"] == "2026-11-24T12:00:00Z"


def test_a_condition_that_nobody_writes_any_more_goes():
    old = {"type": "Reconciled", "status": "True", "reason": "Old", "lastTransitionTime": "x"}
    current = {"conditions": [old]}
    assert [c["type"] for c in build(observed(), current, now=NOW)["conditions"]] == TYPES


def test_a_valid_spec_tells_its_warnings():
    verdict = conditions(build(observed(warnings=("spec.env: hm.",)), {}, now=NOW))["ConfigValid"]
    assert verdict["status"] == "True"
    assert verdict["message"] == "The spec is valid. spec.env: hm."


@pytest.mark.parametrize(
    ("seen", "available", "all_ready"),
    [
        (rollout(2, 2, 2), "True", "True"),
        (rollout(2, 1, 2), "True", "False"),
        (rollout(2, 0, 2), "False", "False"),
        (rollout(0, 0, 0), "False", "False"),
        (rollout(2, 2, 2, current=False), "True", "False"),
        (None, "False", "False"),
    ],
    ids=["all", "some", "none", "no node", "not seen yet", "no DaemonSet"],
)
def test_what_the_instances_say(seen, available, all_ready):
    found = conditions(build(observed(rollout=seen), {}, now=NOW))
    assert found["Available"]["status"] == available
    assert found["AllInstancesReady"]["status"] == all_ready


def test_a_message_without_end_is_cut():
    seen = observed(problems=tuple(f"spec.field{n}: is wrong." for n in range(1000)))
    assert len(conditions(build(seen, {}, now=NOW))["Ready"]["message"]) == 1024


# --- phase -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (observed(problems=("x",)), "Failed"),
        (observed(conflicts=("x",)), "Failed"),
        (observed(refused="x"), "Failed"),
        (observed(rollout=None), "Pending"),
        (observed(rollout=rollout(0, 0, 0)), "Pending"),
        (observed(rollout=rollout(2, 0, 2)), "Pending"),
        (observed(rollout=rollout(2, 1, 2)), "Degraded"),
        (observed(rollout=rollout(2, 2, 2)), "Running"),
        (observed(rollout=rollout(2, 3, 2)), "Running"),
        (observed(fleet=fleet(health("n", NodeState.FAILING))), "Running"),
        (observed(fleet=fleet(installed=False)), "Running"),
    ],
    ids=[
        "invalid",
        "conflict",
        "refused",
        "no DaemonSet",
        "no node",
        "none ready",
        "some ready",
        "all ready",
        "more than all",
        "node failing",
        "no agents",
    ],
)
def test_the_phase_comes_from_configuration_and_pods(seen, expected):
    assert phase(seen) == expected


# --- lists -----------------------------------------------------------------------------------


def test_endpoints_say_where_the_servers_are():
    [endpoint] = build(observed(), {}, now=NOW)["endpoints"]
    assert endpoint == {
        "nodeName": "n1",
        "hostIP": "10.0.0.1",
        "podName": "p1",
        "port": 5555,
        "metricsPort": 9090,
        "ready": True,
    }


def test_what_an_endpoint_does_not_have_is_left_out():
    seen = observed(pods=(pod(host_ip=""),), port=None, metrics_port=None)
    [endpoint] = build(seen, {}, now=NOW)["endpoints"]
    assert endpoint == {"nodeName": "n1", "podName": "p1", "ready": True}


def test_pods_that_leave_or_have_no_node_are_no_endpoints():
    seen = observed(pods=(pod("a", is_terminating=True), pod("b", node="")))
    assert build(seen, {}, now=NOW)["endpoints"] == []


def test_lists_end_at_a_hundred_and_what_is_left_out_is_counted():
    status = build(CASES["many"], {}, now=NOW)
    assert len(status["endpoints"]) == len(status["nodes"]) == 100
    assert status["omittedEndpoints"] == status["omittedNodes"] == 50
    assert status["nodeSummary"]["desired"] == 150
    assert status["endpoints"][0] == {**status["endpoints"][0], "podName": "p149", "ready": False}


def test_the_order_of_pods_and_nodes_does_not_matter():
    many = CASES["many"]
    turned = observed(
        rollout=many.rollout,
        pods=tuple(reversed(many.pods)),
        fleet=fleet(*reversed(many.fleet.nodes)),
    )
    assert build(turned, {}, now=NOW) == build(many, {}, now=NOW)
