"""The pod of a cache server."""

from __future__ import annotations

import pytest

from coordinator.render.daemonset import daemon_set
from coordinator.render.env import env
from coordinator.render.facts import Facts
from coordinator.render.labels import selector_labels
from coordinator.render.pod import RESP_AUTH_REVISION, pod_spec, pod_template
from coordinator.render.probes import startup_probe
from coordinator.render.resources import resources

SHM_VOLUME = {"name": "lmcache-dev-shm", "hostPath": {"path": "/dev/shm", "type": "Directory"}}
OWN_SHM = {"name": "own", "hostPath": {"path": "/dev/shm"}}


@pytest.mark.parametrize(
    ("size", "request_gi", "limit_gi"),
    [(0.05, 6, 9), (0.5, 6, 9), (10, 15, 23), (60, 65, 98), (80, 85, 128), (200, 205, 308)],
)
def test_memory_follows_the_size_of_l1(make_engine, size, request_gi, limit_gi):
    assert resources(make_engine(size=size).spec) == {
        "requests": {"cpu": "4", "memory": f"{request_gi}Gi"},
        "limits": {"memory": f"{limit_gi}Gi"},
    }


def test_no_gpu_is_ever_asked_for(make_engine):
    assert "nvidia.com/gpu" not in str(resources(make_engine().spec))


@pytest.mark.parametrize(
    "overrides", [{}, {"limits": {"memory": "1Gi"}}, {"requests": {"cpu": 8}}], ids=str
)
def test_resources_of_the_user_replace_the_computed_ones_wholly(make_engine, overrides):
    assert resources(make_engine(resourceOverrides=overrides).spec) == overrides


@pytest.mark.parametrize(
    ("size", "failures"),
    [(0.05, 30), (60, 30), (150, 30), (154, 30), (155, 31), (300, 60), (1200, 240)],
)
def test_a_large_l1_gets_a_longer_start(size, failures):
    probe = startup_probe(size)
    assert probe["failureThreshold"] == failures
    assert probe["failureThreshold"] * probe["periodSeconds"] >= max(150, size - 5)


def test_a_hung_server_is_not_killed_with_its_cache(make_engine, container):
    only = container(daemon_set(make_engine(), Facts()))
    assert "livenessProbe" not in only
    assert only["readinessProbe"]["tcpSocket"] == {"port": "server"}


@pytest.mark.parametrize(
    ("spec", "shares_ipc", "mounts", "volumes"),
    [
        pytest.param({}, True, [], [], id="as the README says"),
        pytest.param({"hostIPC": True}, True, [], [], id="hostIPC"),
        pytest.param(
            {"hostIPC": False},
            False,
            [{"name": "lmcache-dev-shm", "mountPath": "/dev/shm"}],
            [SHM_VOLUME],
            id="hostPath",
        ),
        pytest.param({"isolatedIPC": True}, False, [], [], id="isolated"),
        pytest.param({"isolatedIPC": True, "hostIPC": True}, False, [], [], id="isolated wins"),
        pytest.param({"isolatedIPC": False, "hostIPC": True}, True, [], [], id="not isolated"),
        pytest.param(
            {
                "hostIPC": False,
                "volumes": [OWN_SHM],
                "volumeMounts": [{"name": "own", "mountPath": "/dev//shm/"}],
            },
            False,
            [{"name": "own", "mountPath": "/dev//shm/"}],
            [OWN_SHM],
            id="the user's own mount",
        ),
        pytest.param(
            {
                "hostIPC": False,
                "volumes": [{**OWN_SHM, "name": "lmcache-dev-shm"}],
            },
            False,
            [{"name": "lmcache-dev-shm", "mountPath": "/dev/shm"}],
            [{**OWN_SHM, "name": "lmcache-dev-shm"}],
            id="the user's own volume under our name",
        ),
        pytest.param(
            {
                "hostIPC": False,
                "volumes": [OWN_SHM],
                "volumeMounts": [
                    {"name": "own", "mountPath": "/dev/shm"},
                    {"name": "lmcache-dev-shm", "mountPath": "/host-shm"},
                ],
            },
            False,
            [
                {"name": "own", "mountPath": "/dev/shm"},
                {"name": "lmcache-dev-shm", "mountPath": "/host-shm"},
            ],
            [SHM_VOLUME, OWN_SHM],
            id="our volume mounted elsewhere",
        ),
    ],
)
def test_shared_memory_is_the_hosts_or_not_needed(make_engine, spec, shares_ipc, mounts, volumes):
    pod = pod_spec(make_engine(**spec), Facts())
    assert pod.get("hostIPC", False) is shares_ipc
    assert pod.get("volumes", []) == volumes
    assert pod["containers"][0].get("volumeMounts", []) == mounts


@pytest.mark.parametrize(
    ("spec", "runtime_class"),
    [
        ({}, "nvidia"),
        ({"gpuVendor": "amd"}, None),
        ({"runtimeClassName": ""}, None),
        ({"runtimeClassName": "kata"}, "kata"),
        ({"gpuVendor": "amd", "runtimeClassName": "amd"}, "amd"),
    ],
    ids=str,
)
def test_the_runtime_class_follows_the_vendor_unless_given(make_engine, spec, runtime_class):
    assert pod_spec(make_engine(**spec), Facts()).get("runtimeClassName") == runtime_class


@pytest.mark.parametrize(("given", "privileged"), [(None, True), (True, True), (False, False)])
def test_privileged_is_always_written(make_engine, given, privileged):
    spec = {} if given is None else {"privileged": given}
    server = pod_spec(make_engine(**spec), Facts())["containers"][0]
    assert server["securityContext"] == {"privileged": privileged}


def test_a_minimal_engine_lands_on_every_node(make_engine):
    pod = pod_spec(make_engine(), Facts())
    assert not {"nodeSelector", "affinity", "tolerations"} & pod.keys()
    assert "nodeSelector" not in pod_spec(make_engine(nodeSelector={}), Facts())


def test_the_token_is_left_to_a_service_account_that_was_chosen(make_engine):
    assert pod_spec(make_engine(), Facts())["automountServiceAccountToken"] is False
    assert "automountServiceAccountToken" not in pod_spec(
        make_engine(serviceAccountName="mine"), Facts()
    )


def test_a_variable_of_the_user_takes_the_place_of_ours(make_engine):
    given = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "0"}
    found = env(make_engine(env=[given]))
    assert [item["name"] for item in found] == [
        "LMCACHE_LOG_LEVEL",
        "NVIDIA_DRIVER_CAPABILITIES",
        "NVIDIA_VISIBLE_DEVICES",
    ]
    assert found[-1] == given


@pytest.mark.parametrize(
    ("coordinator", "has_variable"),
    [({}, True), ({"advertiseIP": "10.1.1.1"}, False)],
    ids=["pod IP", "given IP"],
)
def test_the_pod_announces_its_ip_unless_one_is_given(make_engine, coordinator, has_variable):
    engine = make_engine(coordinator={"url": "http://c:9300", **coordinator})
    names = {item["name"] for item in env(engine)}
    assert ("LMCACHE_COORDINATOR_ADVERTISE_IP" in names) is has_variable


def test_no_label_of_the_user_takes_a_pod_from_its_daemon_set(make_engine):
    hostile = dict.fromkeys(selector_labels(make_engine()), "other")
    engine = make_engine(podLabels={**hostile, "team": "a"})
    labels = pod_template(engine, Facts())["metadata"]["labels"]
    assert labels.items() >= selector_labels(engine).items()
    assert labels["app.kubernetes.io/component"] == "cache-engine"
    assert labels["team"] == "a"


def test_pods_roll_when_the_credential_changes(make_engine):
    engine = make_engine(podAnnotations={RESP_AUTH_REVISION: "mine", "a": "b"})
    first, second = (
        pod_template(engine, Facts(resp_auth_revision=revision))["metadata"]["annotations"]
        for revision in ("r1", "r2")
    )
    assert first == {RESP_AUTH_REVISION: "r1", "a": "b"}
    assert first != second
    assert "annotations" not in pod_template(make_engine(), Facts())["metadata"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (None, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
        ({"type": "OnDelete"}, {"type": "OnDelete"}),
        (
            {"rollingUpdate": {"maxUnavailable": "10%"}},
            {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 0}},
        ),
    ],
    ids=str,
)
def test_the_update_strategy_is_written_out(make_engine, strategy, expected):
    spec = {"updateStrategy": strategy} if strategy else {}
    assert daemon_set(make_engine(**spec), Facts())["spec"]["updateStrategy"] == expected


def test_two_engines_with_one_port_are_kept_apart_on_the_nodes_network(make_engine):
    engine = make_engine(hostNetwork=True)
    pod = pod_spec(engine, Facts())
    assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert {port["containerPort"] for port in pod["containers"][0]["ports"]} == {5555, 8080, 9090}
