"""Nodes that are played by the tests themselves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.integration.harness import Cluster
from tests.integration.reasons.kubelet import Kubelet, add_node


@pytest.fixture
def kubelet(cluster: Cluster) -> Iterator[Kubelet]:
    """A node of the test's own: a node that sends no heartbeats is taken for lost after 50 s."""
    name = f"by-hand-{uuid.uuid4().hex[:8]}"
    add_node(cluster, name)
    yield Kubelet(cluster, name)
    cluster.kubectl("delete", "node", name, "--wait=false")
