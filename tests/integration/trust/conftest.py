"""A coordinator with TLS, agents' pods on kwok nodes, and their real projected tokens."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.controlplane import wait_until
from tests.fakenvml.build import CompilerMissing, build
from tests.integration.harness import NAMESPACE, Cluster, Coordinator, running_coordinator
from tests.integration.trust.parties import AgentPod


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build(tmp_path_factory.mktemp("fakenvml"))
    except CompilerMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def trusted(
    cluster: Cluster, coordinator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Coordinator]:
    """A coordinator as it is installed: TLS, and tokens of agents."""
    log = tmp_path_factory.mktemp("coordinator") / "log"
    with running_coordinator(
        coordinator_kubeconfig, log, "--report-interval=1", agents_tls="auto"
    ) as process:
        yield process


@pytest.fixture(scope="module")
def authority(
    cluster: Cluster, trusted: Coordinator, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the kubelet would mount into an agent."""
    path = tmp_path_factory.mktemp("authority") / "ca.crt"
    bundle = cluster.get("configmap", "lmcache-coordinator-ca", "-n", NAMESPACE)["data"]["ca.crt"]
    path.write_text(bundle)
    return path


@pytest.fixture
def agent_pod(cluster: Cluster) -> Iterator[Callable[..., AgentPod]]:
    """Makes pods as the agents' DaemonSet would; they end with the test."""
    made: list[AgentPod] = []

    def make(node: str, account: str = "lmcache-node-agent") -> AgentPod:
        name = f"lmcache-node-agent-{secrets.token_hex(3)}"
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/component": "node-agent"},
            },
            "spec": {
                "nodeName": node,
                "serviceAccountName": account,
                "automountServiceAccountToken": False,
                "containers": [{"name": "agent", "image": "agent"}],
            },
        }
        cluster.apply(manifest, namespace=NAMESPACE)
        uid = cluster.get("pod", name, "-n", NAMESPACE)["metadata"]["uid"]
        made.append(AgentPod(cluster, name, uid, node, account))
        return made[-1]

    yield make
    for pod in made:
        pod.delete()


@pytest.fixture(scope="session")
def nodes(cluster: Cluster) -> tuple[str, ...]:
    def found() -> tuple[str, ...]:
        return tuple(node["metadata"]["name"] for node in cluster.get("nodes")["items"])

    return wait_until(found, within=30, what="nodes")
