"""The status of an LMCacheEngine: what the operator tells about it, bounded.

Lists that may grow with the fleet are atomic and end at 100 entries: a change of one entry of a
1,000-entry list-map costs the API server 205 ms, of a 100-entry atomic list 9 ms. What is left out
is counted beside the list and stands in the operator's metrics.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from coordinator.api.base import ATOMIC, Bool, Int, Model, list_map
from coordinator.api.conditions import Condition

NODES_LIMIT = 100
ENDPOINTS_LIMIT = 100
MESSAGE_LIMIT = 512

Phase = Literal["Pending", "Running", "Degraded", "Failed"]
NodeState = Literal["Healthy", "Warning", "Failing", "Unknown"]
Count = Annotated[Int, Field(ge=0, le=2147483647)]
NodeName = Annotated[str, Field(max_length=253)]


class EndpointStatus(Model):
    """The cache server of one node."""

    node_name: NodeName
    """Name of the node."""

    host_ip: Annotated[str, Field(max_length=45)] | None = None
    """IP address of the node."""

    pod_name: Annotated[str, Field(max_length=253)] | None = None
    """Name of the pod."""

    port: Annotated[Int, Field(ge=1, le=65535)] | None = None
    """Worker RPC port."""

    metrics_port: Annotated[Int, Field(ge=1, le=65535)] | None = None
    """Port of `/metrics`; absent while Prometheus metrics are off."""

    ready: Bool = False
    """Whether the pod is ready."""


class NodeStatus(Model):
    """What the node agent says about one node of the engine."""

    name: NodeName
    """Name of the node."""

    state: NodeState
    """Verdict over all checks of the node."""

    reason: Annotated[str, Field(max_length=128)] | None = None
    """The worst finding, as one CamelCase word; the documentation has a remedy for each."""

    message: Annotated[str, Field(max_length=MESSAGE_LIMIT)] | None = None
    """The worst finding, with the facts and what to do."""

    gpus: Annotated[str, Field(max_length=32)] | None = None
    """GPUs that work, of those expected, for example 7/8."""

    since: Annotated[
        str | None, Field(max_length=64, json_schema_extra={"format": "date-time"})
    ] = None
    """When the node came into this state."""


class NodeSummary(Model):
    """All nodes of the engine, counted; `nodes` may be shorter."""

    desired: Count = 0
    """Nodes that should run a cache server."""

    reporting: Count = 0
    """Nodes whose agent reported recently."""

    healthy: Count = 0
    """Nodes without a finding."""

    warning: Count = 0
    """Nodes with warnings only."""

    failing: Count = 0
    """Nodes where the cache cannot work."""

    unknown: Count = 0
    """Nodes of which nothing certain is known."""


class EngineStatus(Model):
    """What the operator observed."""

    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=32, json_schema_extra=list_map("type")
    )
    """The engine's state, aspect by aspect; Ready is the verdict."""

    phase: Phase | None = None
    """The state in one word, for humans. Pending: no cache server is ready yet. Running: all are.
    Degraded: some are. Failed: the spec is refused or no cache server can run."""

    observed_generation: Annotated[Int, Field(ge=0)] | None = None
    """Generation of the spec that this status is about."""

    desired_instances: Count | None = None
    """Nodes that should run a cache server."""

    ready_instances: Count | None = None
    """Nodes whose cache server is ready."""

    endpoints: tuple[EndpointStatus, ...] = Field(
        default=(), max_length=ENDPOINTS_LIMIT, json_schema_extra=ATOMIC
    )
    """The cache servers, those that are not ready first, at most 100."""

    omitted_endpoints: Count | None = None
    """Cache servers that `endpoints` has no room for."""

    node_summary: NodeSummary | None = None
    """All nodes of the engine, counted by state."""

    nodes: tuple[NodeStatus, ...] = Field(
        default=(), max_length=NODES_LIMIT, json_schema_extra=ATOMIC
    )
    """The nodes, failing ones first, at most 100."""

    omitted_nodes: Count | None = None
    """Nodes that `nodes` has no room for."""
