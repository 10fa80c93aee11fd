"""Each reason for which pods do not come up, by its name and by the sentence a person reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hack.controlplane import wait_until
from tests.integration.harness import Cluster, engine_manifest
from tests.integration.reasons.kubelet import LABEL, Kubelet, add_node, now

pytestmark = pytest.mark.usefixtures("coordinator")

CRASH = {"exitCode": 2, "reason": "Error", "message": "usage: …\nlmcache: error: bad flag --x\n"}
RPC = "rpc error: code = Unknown desc = "


def _engine(kubelet: Kubelet, **spec: Any) -> dict[str, Any]:
    return engine_manifest(nodeSelector=kubelet.selector, **spec)


def _recovers(cluster: Cluster, kubelet: Kubelet, namespace: str) -> None:
    """What was wrong is over as soon as the pod is ready, whatever Events still say."""
    kubelet.runs(namespace)
    cluster.wait_reason("my-cache", namespace, "AllReady")


def test_a_missing_runtime_class_is_named_and_mended(cluster: Cluster, namespace: str) -> None:
    cluster.apply(engine_manifest(runtimeClassName="gvisor"), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "RuntimeClassMissing")
    assert condition["status"] == "False"
    assert condition["message"] == (
        '4 of 4 pods cannot be created: RuntimeClass "gvisor" does not exist. Install the NVIDIA'
        " GPU operator, which creates it, or set spec.runtimeClassName to one that `kubectl get"
        ' runtimeclass` lists ("" leaves it out).'
    )
    cluster.wait_for("my-cache", namespace, phase="Failed")
    assert "RuntimeClassMissing" in cluster.kubectl("describe", "lmc", "my-cache", "-n", namespace)

    cluster.apply(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "gvisor"},
            "handler": "runsc",
        }
    )
    try:
        wait_until(
            lambda: cluster.condition("my-cache", namespace).get("reason") != "RuntimeClassMissing",
            within=10,
            what="the RuntimeClass to be seen",
        )
        cluster.kubectl("rollout", "restart", "daemonset/my-cache", "-n", namespace)
        cluster.wait_for("my-cache", namespace, phase="Running")
    finally:
        cluster.kubectl("delete", "runtimeclass", "gvisor")


def test_pod_security_is_named_with_what_it_forbids(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline")
    cluster.apply(engine_manifest(), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "ForbiddenByPodSecurity")
    assert condition["message"].startswith(
        "4 of 4 pods cannot be created: the namespace enforces Pod Security level"
        ' "baseline", which forbids '
    )
    assert "privileged" in condition["message"]
    assert f"kubectl label namespace {namespace} --overwrite" in condition["message"]
    cluster.wait_for("my-cache", namespace, phase="Failed")


def test_a_quota_is_named_and_the_pods_that_fit_run(cluster: Cluster, namespace: str) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "small"},
            "spec": {"hard": {"requests.memory": "130Gi"}},
        },
        namespace=namespace,
    )
    cluster.apply(engine_manifest(), namespace=namespace)
    cluster.wait_reason("my-cache", namespace, "QuotaExceeded")
    numbers = (
        "2 of 4 pods cannot be created: ResourceQuota small, requested: requests.memory=65Gi, used:"
        " requests.memory=130Gi, limited: requests.memory=130Gi."
    )
    wait_until(
        lambda: numbers in cluster.condition("my-cache", namespace)["message"],
        within=20,
        what="the quota's numbers",
    )
    cluster.wait_for("my-cache", namespace, phase="Degraded", readyInstances=2)


def test_a_service_account_that_is_missing_is_named(cluster: Cluster, namespace: str) -> None:
    cluster.apply(engine_manifest(serviceAccountName="nobody"), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "PodsRefused")
    assert condition["message"] == (
        '4 of 4 pods cannot be created: ServiceAccount "nobody" does not exist. Create it, or'
        " correct spec.serviceAccountName."
    )


def test_a_handler_that_is_not_configured(
    cluster: Cluster, kubelet: Kubelet, namespace: str
) -> None:
    cluster.apply(_engine(kubelet), namespace=namespace)
    pod = kubelet.waits(namespace, "ContainerCreating")
    kubelet.event(
        pod,
        "FailedCreatePodSandBox",
        f"Failed to create pod sandbox: {RPC}failed to get sandbox runtime: no runtime for"
        ' "nvidia" is configured',
    )
    condition = cluster.wait_reason("my-cache", namespace, "RuntimeHandlerMissing")
    assert condition["message"] == (
        f'On 1 of 1 nodes ({kubelet.name}): the container runtime has no handler "nvidia".'
        " Install the NVIDIA container toolkit on the node (`nvidia-ctk runtime configure`) and"
        " restart its container runtime, or set spec.runtimeClassName."
    )
    _recovers(cluster, kubelet, namespace)


@pytest.mark.parametrize(
    ("reason", "message", "sentence"),
    [
        pytest.param(
            "ErrImagePull",
            f'{RPC}failed to pull and unpack image "r.example/x:1": r.example/x:1: not found',
            ': failed to pull and unpack image "r.example/x:1": r.example/x:1: not found. There is'
            " no such image: correct its repository and tag.",
            id="not-found",
        ),
        pytest.param(
            "ImagePullBackOff",
            'Back-off pulling image "r.example/x:1": ErrImagePull: pull access denied',
            ": pull access denied. The registry wants a login: check spec.imagePullSecrets and the"
            " image's name.",
            id="no-login",
        ),
    ],
)
def test_an_image_that_cannot_be_pulled(
    cluster: Cluster, kubelet: Kubelet, namespace: str, reason: str, message: str, sentence: str
) -> None:
    cluster.apply(
        _engine(kubelet, image={"repository": "r.example/x", "tag": "1"}), namespace=namespace
    )
    kubelet.waits(namespace, reason, message)
    condition = cluster.wait_reason("my-cache", namespace, "ImageNotPullable")
    assert condition["message"] == (
        f"On 1 of 1 nodes ({kubelet.name}): image r.example/x:1 of the cache server (spec.image)"
        f" cannot be pulled{sentence}"
    )
    _recovers(cluster, kubelet, namespace)


def test_a_pod_that_does_not_fit_with_the_size_that_would(cluster: Cluster, namespace: str) -> None:
    node = f"small-{namespace[-12:].strip('-')}"
    add_node(cluster, node, memory="70Gi")
    try:
        filler = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "filler"},
            "spec": {
                "nodeName": node,
                "containers": [
                    {
                        "name": "c",
                        "image": "x",
                        "resources": {"requests": {"memory": "8Gi"}},
                    }
                ],
            },
        }
        cluster.apply(filler, namespace=namespace)
        cluster.apply(engine_manifest(nodeSelector={LABEL: node}), namespace=namespace)
        condition = cluster.wait_reason("my-cache", namespace, "Unschedulable")
        assert condition["message"] == (
            f"On 1 of 1 nodes ({node}): the pod does not fit on its node: Insufficient memory. It"
            " needs 65Gi, and the node has 62Gi free of other pods' requests. The largest"
            " spec.l1.sizeGB that would fit is 57. Free the node, or leave it out by"
            " spec.nodeSelector."
        )
        patch = {"spec": {"l1": {"sizeGB": 57}}}
        cluster.kubectl(
            "patch", "lmc", "my-cache", "-n", namespace, "--type=merge", "-p", json.dumps(patch)
        )
        Kubelet(cluster, node).runs(namespace)
        cluster.wait_reason("my-cache", namespace, "AllReady")
    finally:
        cluster.kubectl("delete", "node", node, "--wait=false")


def test_a_server_that_is_killed_for_its_memory(
    cluster: Cluster, kubelet: Kubelet, namespace: str
) -> None:
    cluster.apply(_engine(kubelet), namespace=namespace)
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": now()}}
    kubelet.waits(
        namespace, "CrashLoopBackOff", "back-off 40s restarting", restartCount=3, lastState=last
    )
    condition = cluster.wait_reason("my-cache", namespace, "OOMKilled")
    assert condition["message"] == (
        f"On 1 of 1 nodes ({kubelet.name}): the cache server was killed for using more memory than"
        " its limit of 98Gi (3 restarts). Raise spec.resourceOverrides.limits.memory, or lower"
        " spec.l1.sizeGB."
    )
    _recovers(cluster, kubelet, namespace)


def test_a_fleet_that_crashes_is_failed_and_says_its_last_line(
    cluster: Cluster, kubelet: Kubelet, namespace: str
) -> None:
    cluster.apply(_engine(kubelet), namespace=namespace)
    pod = kubelet.waits(
        namespace,
        "CrashLoopBackOff",
        "back-off 40s restarting failed container",
        restartCount=5,
        lastState={"terminated": {**CRASH, "finishedAt": now()}},
    )
    condition = cluster.wait_reason("my-cache", namespace, "CrashLooping")
    name = pod["metadata"]["name"]
    assert condition["message"] == (
        f"On 1 of 1 nodes ({kubelet.name}): the cache server exits with code 2 (5 restarts):"
        f' "lmcache: error: bad flag --x". See `kubectl logs -n {namespace} {name} -c lmcache'
        " --previous`."
    )
    cluster.wait_for("my-cache", namespace, phase="Failed")
    # Between two crashes it runs for a moment: that is no other trouble.
    kubelet.runs(
        namespace,
        ready=False,
        restartCount=6,
        lastState={"terminated": {**CRASH, "finishedAt": now()}},
    )
    wait_until(
        lambda: "(6 restarts)" in cluster.condition("my-cache", namespace)["message"],
        within=10,
        what="the sixth restart",
    )
    assert cluster.condition("my-cache", namespace)["reason"] == "CrashLooping"
    _recovers(cluster, kubelet, namespace)


def test_a_secret_that_is_missing(cluster: Cluster, kubelet: Kubelet, namespace: str) -> None:
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "key"}}}
    cluster.apply(_engine(kubelet, env=[variable]), namespace=namespace)
    kubelet.waits(namespace, "CreateContainerConfigError", 'secret "s3" not found')
    condition = cluster.wait_reason("my-cache", namespace, "SecretMissing")
    assert condition["message"] == (
        f'On 1 of 1 nodes ({kubelet.name}): the cache server cannot start: secret "s3" not found.'
        f" Create the Secret in namespace {namespace}, or correct the reference in the spec; the"
        " pod then starts by itself."
    )
    _recovers(cluster, kubelet, namespace)


def test_a_server_that_does_not_answer(cluster: Cluster, kubelet: Kubelet, namespace: str) -> None:
    cluster.apply(_engine(kubelet), namespace=namespace)
    pod = kubelet.runs(namespace, ready=False)
    kubelet.event(
        pod,
        "Unhealthy",
        "Readiness probe failed: dial tcp 10.0.0.9:5555: connect: connection refused",
        container="lmcache",
    )
    condition = cluster.wait_reason("my-cache", namespace, "ReadinessFailing")
    assert condition["message"].startswith(
        f"On 1 of 1 nodes ({kubelet.name}): the cache server runs but does not answer: dial tcp"
        " 10.0.0.9:5555: connect: connection refused. See `kubectl logs "
    )
    _recovers(cluster, kubelet, namespace)
