"""Drift against what a real API server made of our manifests (live/, kube-apiserver 1.36)."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.reconcile import drift

LIVE = Path(__file__).parent / "live"
CLEAN = sorted(
    path.stem
    for path in LIVE.glob("*.json")
    if path.stem not in ("daemonset-tampered", "daemonset-adopted", "service-tampered")
)


def case(name) -> Any:
    content = json.loads((LIVE / f"{name}.json").read_text())
    return content["live"], content["desired"]


def pod(manifest) -> Any:
    return manifest["spec"]["template"]["spec"]


def server(manifest) -> Any:
    return pod(manifest)["containers"][0]


@pytest.fixture
def live():
    return case("daemonset-rich")[0]


@pytest.fixture
def desired():
    return case("daemonset-rich")[1]


# --- the whole, as applied -------------------------------------------------------------------


@pytest.mark.parametrize("name", CLEAN)
def test_what_the_server_made_of_our_manifest_is_right(name):
    live, desired = case(name)
    assert drift.is_covered(live, desired)
    assert not drift.has_stale_fields(live, desired)
    assert drift.foreign_fields(live, desired) == ()


# --- is_covered ------------------------------------------------------------------------------


def test_a_value_of_somebody_else_is_seen(live, desired):
    server(live)["image"] = "other:latest"
    assert not drift.is_covered(live, desired)


def test_a_field_that_was_removed_is_seen(live, desired):
    del pod(live)["runtimeClassName"]
    assert not drift.is_covered(live, desired)


def test_labels_of_others_are_not_ours_to_judge(live, desired):
    live["metadata"]["labels"]["argocd"] = "x"
    live["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = "now"
    assert drift.is_covered(live, desired)
    assert drift.foreign_fields(live, desired) == ()


@pytest.mark.parametrize(
    ("section", "name", "value", "covered"),
    [
        ("requests", "cpu", "500m", True),
        ("requests", "cpu", "0.5", True),
        ("requests", "cpu", "501m", False),
        ("requests", "memory", "3221225472", True),
        ("limits", "memory", "4Gi", True),
        ("limits", "memory", "4G", False),
        ("limits", "memory", "not a quantity", False),
    ],
)
def test_quantities_are_equal_by_their_number(live, desired, section, name, value, covered):
    server(live)["resources"][section][name] = value
    assert drift.is_covered(live, desired) is covered


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"annotations": {"a": "0.5"}}, {"annotations": {"a": "500m"}}),
        ({"env": [{"name": "A", "value": "1Ki"}]}, {"env": [{"name": "A", "value": "1024"}]}),
        ({"limits": "1Ki"}, {"limits": "1024"}),
    ],
    ids=["annotation", "environment", "a field called limits"],
)
def test_text_that_looks_like_a_quantity_is_text_elsewhere(live, wanted):
    assert not drift.is_covered(live, wanted)


@pytest.mark.parametrize(
    ("live", "wanted", "covered"),
    [
        ({"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}}, True),
        ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}, True),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}, True),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": ""}]}, False),
        ({}, {"a": {}}, True),
        ({}, {"a": []}, True),
        ({"a": None}, {"a": ""}, True),
        ({"a": {}}, {}, True),
        ({}, {"a": {"b": None}}, True),
        ({}, {"a": {"b": 1}}, False),
        ({}, {"a": 0}, False),
        ({}, {"a": False}, False),
        ({"a": ["x", "y"]}, {"a": ["x", "y"]}, True),
        ({"a": ["y", "x"]}, {"a": ["x", "y"]}, False),
        ({"a": ["x", "y"]}, {"a": ["x"]}, False),
        ({"a": ["x"]}, {"a": ["x", "y"]}, False),
        ({"a": ["x"]}, {"a": ("x",)}, True),
        ({}, {"a": ["x"]}, False),
        ({"a": "x"}, {"a": {"b": 1}}, False),
    ],
    ids=[
        "quantity as number",
        "size limit",
        "empty value dropped",
        "empty value filled",
        "empty map",
        "empty list",
        "null and empty",
        "surplus key",
        "map of nothing",
        "map of something",
        "zero is a value",
        "false is a value",
        "same list",
        "other order",
        "longer",
        "shorter",
        "tuple",
        "list missing",
        "other shape",
    ],
)
def test_what_counts_as_equal(live, wanted, covered):
    assert drift.is_covered(live, wanted) is covered


@pytest.mark.parametrize("position", [0, 1])
def test_owners_that_others_added_are_no_drift(live, desired, position):
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other"}
    live["metadata"]["ownerReferences"].insert(position, other)
    assert drift.is_covered(live, desired)


@pytest.mark.parametrize("owners", [None, [], [{"uid": "other", "kind": "X", "name": "x"}]])
def test_a_child_that_lost_its_owner_is_drift(live, desired, owners):
    live["metadata"]["ownerReferences"] = owners
    assert not drift.is_covered(live, desired)


# --- has_stale_fields ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "remove",
    [
        lambda m: pod(m).pop("nodeSelector"),
        lambda m: m["spec"]["template"]["metadata"].pop("annotations"),
        lambda m: m["metadata"]["labels"].pop("app.kubernetes.io/component"),
        lambda m: server(m)["env"].pop(2),
        lambda m: server(m)["ports"].pop(1),
        lambda m: pod(m)["volumes"].pop(0),
        lambda m: server(m)["volumeMounts"].pop(0),
        lambda m: pod(m).pop("initContainers"),
        lambda m: m["metadata"].pop("ownerReferences"),
        lambda m: server(m)["resources"].pop("limits"),
    ],
    ids=[
        "node selector",
        "pod annotation",
        "label",
        "environment",
        "port",
        "volume",
        "mount",
        "init container",
        "owner",
        "limits",
    ],
)
def test_what_we_own_and_no_longer_render_is_stale(live, desired, remove):
    remove(desired)
    assert drift.has_stale_fields(live, desired)


def test_what_somebody_else_set_is_not_stale(live, desired):
    live["metadata"]["labels"]["argocd"] = "x"
    pod(live)["priorityClassName"] = "high"
    assert not drift.has_stale_fields(live, desired)


def test_an_object_that_another_manager_made_is_to_be_applied_once():
    assert drift.has_stale_fields(*case("daemonset-adopted"))
    assert not drift.has_stale_fields(*case("daemonset-after-adoption"))


@pytest.mark.parametrize("change", [{"operation": "Update"}, {"subresource": "status"}])
def test_only_our_apply_of_the_object_itself_counts_as_ours(live, desired, change):
    live["metadata"]["managedFields"][0].update(change)
    assert drift.has_stale_fields(live, desired)


@pytest.mark.parametrize(
    ("owned", "wanted", "stale"),
    [
        ({"f:a": {".": {}, "f:b": {}}}, {"a": {"b": 1}}, False),
        ({"f:a": {".": {}, "f:b": {}}}, {"a": {}}, True),
        ({"f:finalizers": {'v:"x/y"': {}}}, {"finalizers": ["x/y"]}, False),
        ({"f:finalizers": {'v:"x/y"': {}}}, {"finalizers": ["z"]}, True),
        (
            {"f:p": {'k:{"containerPort":1,"protocol":"TCP"}': {".": {}, "f:name": {}}}},
            {"p": [{"containerPort": 1, "name": "a"}]},
            False,
        ),
        (
            {"f:p": {'k:{"containerPort":1,"protocol":"UDP"}': {".": {}}}},
            {"p": [{"containerPort": 1}]},
            True,
        ),
        ({"f:a:b": {}}, {"a:b": 1}, False),
        ({"f:data": {"f:tls.crt": {}}}, {"data": {"tls.crt": ""}}, False),
    ],
    ids=[
        "field",
        "field gone",
        "set value",
        "set value gone",
        "key with a default",
        "key",
        "colon in a name",
        "dot in a name",
    ],
)
def test_how_owned_fields_are_read(owned, wanted, stale):
    entry = {"manager": "lmcache-operator", "operation": "Apply", "fieldsV1": owned}
    assert drift.has_stale_fields({"metadata": {"managedFields": [entry]}}, wanted) is stale


# --- foreign_fields --------------------------------------------------------------------------


def test_what_survives_a_forced_apply_is_named():
    live, desired = case("daemonset-tampered")
    assert drift.foreign_fields(live, desired) == (
        "spec.template.spec.containers[lmcache].env[LMCACHE_EXTRA]",
        "spec.template.spec.containers[lmcache].volumeMounts[/dev/shm]",
        "spec.template.spec.containers[sidecar]",
        "spec.template.spec.hostNetwork",
        "spec.template.spec.volumes[dshm]",
    )


def test_a_selector_that_reaches_fewer_pods_is_named():
    assert drift.foreign_fields(*case("service-tampered")) == ("spec.selector.canary",)


@pytest.mark.parametrize(
    ("add", "path"),
    [
        (
            lambda m: pod(m)["volumes"].append({"name": "shm", "emptyDir": {"medium": "Memory"}}),
            "volumes[shm]",
        ),
        (
            lambda m: server(m)["volumeMounts"].append({"name": "s", "mountPath": "/dev/shm"}),
            "containers[lmcache].volumeMounts[/dev/shm]",
        ),
        (
            lambda m: server(m)["volumeMounts"][0].update(subPath="x"),
            "containers[lmcache].volumeMounts[/scratch].subPath",
        ),
        (
            lambda m: pod(m)["initContainers"].append({"name": "x", "image": "x"}),
            "initContainers[x]",
        ),
        (
            lambda m: server(m).update(envFrom=[{"secretRef": {"name": "x"}}]),
            "containers[lmcache].envFrom",
        ),
        (
            lambda m: server(m).update(livenessProbe={"tcpSocket": {"port": 1}}),
            "containers[lmcache].livenessProbe",
        ),
        (
            lambda m: server(m)["resources"]["limits"].update(cpu="1"),
            "containers[lmcache].resources.limits.cpu",
        ),
        (lambda m: pod(m)["nodeSelector"].update(zone="a"), "nodeSelector.zone"),
        (lambda m: pod(m).update(securityContext={"runAsUser": 0}), "securityContext"),
        (lambda m: pod(m).update(hostPID=True), "hostPID"),
        (lambda m: pod(m).update(shareProcessNamespace=True), "shareProcessNamespace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_others_add_to_the_pod_is_foreign(live, desired, add, path):
    add(live)
    [found] = drift.foreign_fields(live, desired)
    assert found.startswith(f"spec.template.spec.{path}")


def test_a_second_volume_source_is_foreign(live, desired):
    pod(live)["volumes"][0]["hostPath"] = {"path": "/"}
    assert drift.foreign_fields(live, desired) == ("spec.template.spec.volumes[scratch].hostPath",)


def test_a_host_port_in_a_pod_without_the_host_network_is_foreign(live, desired):
    server(live)["ports"][0]["hostPort"] = server(live)["ports"][0]["containerPort"]
    assert drift.foreign_fields(live, desired) != ()


@pytest.mark.parametrize(
    "add",
    [
        lambda m: m["spec"]["template"]["metadata"].update(annotations={"a": "b", "team": "a"}),
        lambda m: m["spec"].update(minReadySeconds=5),
        lambda m: m["metadata"].update(finalizers=["x/y"]),
    ],
    ids=["pod annotation", "spec of the DaemonSet", "finalizer"],
)
def test_parts_that_are_not_ours_alone_may_be_added_to(live, desired, add):
    add(live)
    assert drift.foreign_fields(live, desired) == ()


# --- reclaimed -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["daemonset-tampered", "service-tampered"])
def test_reclaiming_leaves_nothing_foreign_and_touches_our_parts_only(name):
    live, desired = case(name)
    before = copy.deepcopy((live, desired))
    result = drift.reclaimed(live, desired)
    assert drift.foreign_fields(result, desired) == ()
    assert drift.is_covered(result, desired)
    assert (live, desired) == before
    assert result["metadata"] == live["metadata"]
    for area in ("status", "kind", "apiVersion"):
        assert result.get(area) == live.get(area)


def test_reclaiming_a_daemonset_keeps_a_restart_that_was_asked_for():
    live, desired = case("daemonset-tampered")
    template = drift.reclaimed(live, desired)["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert template["spec"] == pod(desired)


def test_reclaiming_a_service_keeps_its_address():
    live, desired = case("service-tampered")
    result = drift.reclaimed(live, desired)
    assert result["spec"]["clusterIP"] == live["spec"]["clusterIP"]
    assert result["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]


def test_a_kind_without_parts_of_our_own_is_left_as_it_is():
    live, desired = case("configmap")
    live["data"]["extra"] = "x"
    assert drift.foreign_fields(live, desired) == ()
    assert drift.reclaimed(live, desired) == live
