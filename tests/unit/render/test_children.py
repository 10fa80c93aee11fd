"""The set of objects of an engine, and what all of them share."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from coordinator.render import render
from coordinator.render.facts import Facts
from coordinator.render.secret import credential_copy

EVERYTHING: dict[str, Any] = {
    "hostIPC": False,
    "nodeSelector": {"gpu": "yes"},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [{"operator": "Exists"}],
    "env": [{"name": "A", "value": "b"}],
    "volumes": [{"name": "scratch", "emptyDir": {}}],
    "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    "initContainers": [{"name": "first", "image": "busybox", "env": [{"name": "A"}]}],
    "resourceOverrides": {"limits": {"memory": "1Gi"}},
    "podLabels": {"team": "a"},
    "podAnnotations": {"team": "a"},
    "extraArgs": ["--enable-gc-monitor"],
    "prometheus": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}},
    "l2Backend": {"raw": {"type": "fs", "config": {"base_path": "/l2", "eviction": {"a": []}}}},
}
FACTS = Facts(service_monitor_supported=True, resp_auth_revision="r1")


def kinds(manifests: tuple[dict[str, Any], ...]) -> list[tuple[str, str]]:
    return [(item["kind"], item["metadata"]["name"]) for item in manifests]


def test_a_minimal_engine_has_four_children(make_engine):
    assert kinds(render(make_engine(), Facts(service_monitor_supported=True))) == [
        ("Service", "my-cache"),
        ("Service", "my-cache-metrics"),
        ("ConfigMap", "my-cache-connection"),
        ("DaemonSet", "my-cache"),
    ]


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("metrics", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_service_monitor_is_there_if_wanted_possible_and_useful(
    make_engine, wanted, metrics, supported
):
    engine = make_engine(prometheus={"enabled": metrics, "serviceMonitor": {"enabled": wanted}})
    found = kinds(render(engine, Facts(service_monitor_supported=supported)))
    assert (("ServiceMonitor", "my-cache") in found) is (wanted and metrics and supported)


def test_every_child_belongs_to_its_engine(make_engine):
    engine = make_engine(namespace="serving", **EVERYTHING)
    children = [*render(engine, FACTS), credential_copy(engine, password=b"p")]
    for child in children:
        metadata = child["metadata"]
        assert metadata["namespace"] == "serving"
        assert metadata["ownerReferences"] == [engine.owner_reference()]
        assert "blockOwnerDeletion" not in metadata["ownerReferences"][0]
        assert (
            metadata["labels"].items()
            >= {
                "app.kubernetes.io/name": "lmcache",
                "app.kubernetes.io/instance": "my-cache",
                "app.kubernetes.io/managed-by": "lmcache-operator",
                "app.kubernetes.io/component": "cache-engine",
            }.items()
        )


def test_services_and_daemon_set_select_the_same_pods(make_engine):
    lookup, metrics, _, daemon_set = render(make_engine(), Facts())
    selector = daemon_set["spec"]["selector"]["matchLabels"]
    assert lookup["spec"]["selector"] == metrics["spec"]["selector"] == selector
    assert daemon_set["spec"]["template"]["metadata"]["labels"].items() >= selector.items()


def test_vllm_reaches_the_server_of_its_own_node_only(make_engine):
    lookup = render(make_engine(server={"port": 6555}), Facts())[0]
    assert lookup["spec"]["internalTrafficPolicy"] == "Local"
    assert [port["port"] for port in lookup["spec"]["ports"]] == [6555]


def test_the_credential_copy_holds_nothing_but_the_credential(make_engine):
    copied = credential_copy(make_engine(), password=b"p\xff", username=b"u")
    assert copied["metadata"]["name"] == "my-cache-resp-auth"
    assert {key: base64.b64decode(value) for key, value in copied["data"].items()} == {
        "password": b"p\xff",
        "username": b"u",
    }
    assert credential_copy(make_engine(), password=b"p")["data"].keys() == {"password"}


def test_equal_input_gives_equal_output_and_input_stays(make_engine):
    engine = make_engine(**EVERYTHING)
    before = copy.deepcopy(engine.spec)
    assert render(engine, FACTS) == render(engine, FACTS)
    assert engine.spec == before


def test_nothing_is_shared_between_two_renders_or_with_the_engine(make_engine):
    engine = make_engine(**EVERYTHING)
    first, second = render(engine, FACTS), render(engine, FACTS)
    parts = set(mutable_parts(first))
    assert parts.isdisjoint(mutable_parts(second))
    assert parts.isdisjoint(mutable_parts(dict(engine.spec)))
    expected = copy.deepcopy(second)
    for manifest in first:
        spoil(manifest)
    assert second == expected == render(engine, FACTS)


def test_what_is_empty_is_left_out_unless_the_user_wrote_it(make_engine):
    for manifest in render(make_engine(), Facts()):
        assert not list(empties(manifest))
    kept = [
        path for manifest in render(make_engine(**EVERYTHING), FACTS) for path in empties(manifest)
    ]
    assert kept == [
        ".spec.template.spec.affinity.nodeAffinity",
        ".spec.template.spec.volumes.emptyDir",
    ]


def test_nulls_of_the_user_are_left_out(make_engine):
    engine = make_engine(tolerations=[{"operator": "Exists", "key": None}])
    pod = render(engine, Facts())[3]["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"operator": "Exists"}]


def mutable_parts(value: Any) -> list[int]:
    """Return the identities of all dictionaries and lists inside."""
    if isinstance(value, dict):
        return [id(value), *(part for item in value.values() for part in mutable_parts(item))]
    if isinstance(value, list | tuple):
        own = [id(value)] if isinstance(value, list) else []
        return own + [part for item in value for part in mutable_parts(item)]
    return []


def empties(value: Any, path: str = "") -> list[str]:
    if value in ({}, [], None, ""):
        return [path]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in empties(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for item in value for found in empties(item, path)]
    return []


def spoil(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value["spoilt"] = True
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")
