"""What an agent is told about its node, and when it is told anew."""

import dataclasses
from typing import Any

import pytest

from coordinator.api.engine import Engine
from coordinator.api.validation import parse
from coordinator.health.assignment import (
    GIB,
    Assignment,
    AssignmentBook,
    engine_on_node,
    with_revision,
)
from tests.unit.coordinator.samples import UID, pod


def on_node(spec=None, pods=()) -> Any:
    engine = Engine("ns", "e", UID, 1, parse({"l1": {"sizeGB": 2}} | (spec or {})))
    return engine_on_node(
        engine,
        pods,
        cluster_domain="cluster.local",
        memory_request_bytes=3 * GIB,
        memory_limit_bytes=4 * GIB,
    )


def test_an_agent_is_told_what_clients_must_use():
    told = on_node()
    assert told.service_host == "e.ns.svc.cluster.local"
    assert (told.port, told.metrics_port) == (5555, 9090)
    assert told.l1_size_bytes == 2 * GIB
    assert told.uid == UID
    assert told.l2_address is None


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        ({"l1": {"sizeGB": 0.1}}, "l1_size_bytes", 107374182),
        ({"server": {"port": 7000}}, "port", 7000),
        ({"prometheus": {"enabled": False}}, "metrics_port", 0),
        ({"hostIPC": False}, "ipc_mode", "hostPath"),
        ({"isolatedIPC": True}, "ipc_mode", "isolated"),
        ({"runtimeClassName": ""}, "runtime_class_name", ""),
        ({"privileged": False}, "privileged", False),
        ({"l2Backend": {"resp": {"host": "redis", "port": 6380}}}, "l2_address", ("redis", 6380)),
    ],
)
def test_settings_of_the_spec_reach_the_agent(spec, field, value):
    assert getattr(on_node(spec), field) == value


def test_pods_come_in_a_stable_order():
    pods = [pod("b"), pod("a")]
    assert on_node(pods=pods) == on_node(pods=reversed(pods))


def test_the_same_content_has_the_same_revision():
    first, second = (with_revision(Assignment((on_node(pods=[pod()]),), 8)) for _ in range(2))
    assert first == second
    assert first.revision
    assert with_revision(first) == first


@pytest.mark.parametrize(
    "change",
    [
        {"engines": ()},
        {"engines": (on_node({"server": {"port": 7000}}),)},
        {"engines": (on_node(pods=[pod("other")]),)},
        {"expected_gpus": 4},
        {"expected_gpus": None},
        {"memory_reserve_bytes": 1},
    ],
    ids=["no engine", "port", "pod", "GPUs", "GPUs unknown", "reserve"],
)
def test_other_content_has_another_revision(change):
    before = Assignment((on_node(pods=[pod()]),), expected_gpus=8)
    after = dataclasses.replace(before, **change)
    assert with_revision(before).revision != with_revision(after).revision


@pytest.mark.parametrize("change", [{"is_ready": False}, {"is_terminating": True}])
def test_what_the_agent_is_not_told_does_not_change_the_revision(change):
    before, after = (Assignment((on_node(pods=[one]),)) for one in (pod(), pod(**change)))
    assert with_revision(before).revision == with_revision(after).revision


def test_an_assignment_is_computed_once_until_it_is_outdated():
    asked = []

    def compute(node) -> Any:
        asked.append(node)
        return Assignment((), expected_gpus=len(asked))

    book = AssignmentBook(compute=compute)
    first = book.get("a")
    assert book.get("a") is first
    book.get("b")
    assert asked == ["a", "b"]
    book.outdate("a")
    book.outdate("unknown")
    assert book.get("a").expected_gpus == 3
    assert book.get("b").expected_gpus == 2
    book.outdate_all()
    book.get("b")
    assert asked == ["a", "b", "a", "b"]
