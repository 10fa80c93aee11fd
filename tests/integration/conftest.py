"""A control plane with kwok nodes for the whole session, and a coordinator for each module."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.controlplane import ControlPlane, ControlPlaneOptions, FakeNodes
from tests.integration.harness import (
    NAMESPACE,
    REPOSITORY,
    SERVICE_ACCOUNT,
    Cluster,
    Coordinator,
    install,
    kubeconfig_with_token,
    running_coordinator,
)

NODES = 4


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with ControlPlane.start(ControlPlaneOptions(kwok=True, audit=True)) as control_plane:
        # Room for the engines of all tests at once: what one leaves behind takes a while to go.
        control_plane.add_nodes(FakeNodes(count=NODES, cpu="512", memory="8Ti"))
        result = Cluster(control_plane)
        result.kubectl("apply", "-f", str(REPOSITORY / "hack/demo/cluster.yaml"))
        install(result)
        yield result


@pytest.fixture(scope="session")
def coordinator_kubeconfig(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with a real token of the shipped ServiceAccount."""
    token = cluster.kubectl("create", "token", SERVICE_ACCOUNT, "-n", NAMESPACE, "--duration=4h")
    path = tmp_path_factory.mktemp("kubeconfig") / "coordinator"
    return kubeconfig_with_token(cluster, token.strip(), path)


@pytest.fixture(scope="module")
def coordinator(
    cluster: Cluster, coordinator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Coordinator]:
    """One coordinator for all tests of a module."""
    log = tmp_path_factory.mktemp("coordinator") / "log"
    with running_coordinator(coordinator_kubeconfig, log) as process:
        yield process


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, deleted without waiting afterwards."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    # Two tests must never share one: the first one's namespace is still going when the next begins.
    name = f"t-{words[:40].strip('-')}-{secrets.token_hex(3)}"
    cluster.namespace(name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
