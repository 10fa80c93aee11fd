"""The spec of an LMCacheEngine: every field, its default, its bounds and its meaning, once.

The cache server's own settings are in `server.py`, the second tier in `l2.py`.

Fields without a default whose meaning depends on others (hostIPC, isolatedIPC, privileged,
runtimeClassName, nodeSelector) are resolved in `coordinator.api.effective`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from coordinator.api.base import (
    ATOMIC,
    Affinity,
    Annotations,
    Bool,
    Container,
    EnvVar,
    Int,
    Labels,
    LocalObjectReference,
    Model,
    ObjectName,
    Port,
    ResourceRequirements,
    Seconds,
    Toleration,
    Volume,
    VolumeMount,
    list_map,
)
from coordinator.api.cel import (
    COORDINATOR_RULES,
    ROLLING_UPDATE_RULES,
    SPEC_RULES,
    UPDATE_RULES,
)
from coordinator.api.l2 import L2BackendSpec
from coordinator.api.server import EvictionSpec, ImageSpec, L1Spec, PrometheusSpec, ServerSpec


class CoordinatorSpec(Model):
    """Registration of the cache servers with an LMCache fleet coordinator (`lmcache coordinator`).

    Not to be confused with the coordinator process of this operator.
    """

    model_config = ConfigDict(json_schema_extra=COORDINATOR_RULES)

    url: (
        Annotated[str, Field(min_length=8, max_length=2048, pattern=r"^https?://[^\s]+$")] | None
    ) = None
    """Base URL of the fleet coordinator, for example http://coordinator.lmcache:9300."""

    ref: LocalObjectReference | None = None
    """Name of an LMCacheCoordinator. Refused: this operator does not run LMCacheCoordinators, so
    give their address as url."""

    advertise_ip: Annotated[str, Field(min_length=2, max_length=45)] | None = None
    """IP address under which the fleet coordinator reaches the server. The pod's own if left out,
    which is right in almost every cluster."""

    heartbeat_interval: Seconds = 5.0
    """Seconds between two heartbeats."""

    event_reporting: Bool = False
    """Report cache events to the fleet coordinator."""

    event_flush_interval: Seconds = 1.0
    """Seconds between two deliveries of cache events."""


class InjectionSpec(Model):
    """Injection into vLLM pods. Refused: mount the connection ConfigMap instead."""

    payload_image: ImageSpec | None = None
    """Image that carries LMCache code. Not used."""

    image_pull_secrets: tuple[LocalObjectReference, ...] = Field(
        default=(), max_length=32, json_schema_extra=list_map("name")
    )
    """Pull secrets of that image. Not used."""

    target_container: Annotated[str, Field(max_length=63)] | None = None
    """Container of the vLLM pod. Not used."""


class PrefillDecodeSpec(Model):
    """Prefill/decode disaggregation: adds a kv-transfer-config for each role to the ConfigMap."""

    nixl_side_channel_port: Port = 5558
    """Port of the NIXL side channel of the vLLM pods. Two roles on one node need two ports."""

    nixl_load_failure_policy: Literal["fail", "ignore"] = "fail"
    """What the NIXL connector does when its peer is gone: fail the request, or ignore and prefill
    locally."""

    enforce_handshake_compat: Bool | None = None
    """Strict check of the NIXL versions of both sides. Left to the connector if not given."""


class RollingUpdateSpec(Model):
    """How many nodes may be without a cache server during an update."""

    model_config = ConfigDict(json_schema_extra=ROLLING_UPDATE_RULES)

    max_unavailable: Annotated[
        Int | str,
        Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
    ] = 1
    """Number of nodes, at least 1, or a percentage such as 10%."""


class UpdateStrategySpec(Model):
    """How a change reaches the running cache servers; a restart empties their L1."""

    model_config = ConfigDict(json_schema_extra=UPDATE_RULES)

    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    """RollingUpdate restarts node by node; OnDelete waits until you delete a pod."""

    rolling_update: RollingUpdateSpec | None = None
    """Pace of a rolling update."""


class EngineSpec(Model):
    """What the user wants: one cache server per selected node."""

    model_config = ConfigDict(json_schema_extra=SPEC_RULES)

    image: ImageSpec = ImageSpec()
    """Image of the cache server."""

    image_pull_secrets: tuple[LocalObjectReference, ...] = Field(
        default=(), max_length=32, json_schema_extra=list_map("name")
    )
    """Pull secrets of the pods, in the engine's namespace."""

    gpu_vendor: Literal["nvidia", "amd"] = "nvidia"
    """Vendor of the GPUs: decides the default runtime class and the GPU environment variables."""

    runtime_class_name: (
        Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$")] | None
    ) = None
    """Runtime class of the pods. If left out: nvidia with gpuVendor nvidia, none with amd. An empty
    string leaves the pods without one."""

    server: ServerSpec = ServerSpec()
    """The cache server process."""

    l1: L1Spec
    """The first cache tier: host memory."""

    eviction: EvictionSpec = EvictionSpec()
    """Eviction from the first tier."""

    prometheus: PrometheusSpec = PrometheusSpec()
    """Metrics."""

    l2_backend: L2BackendSpec | None = None
    """The second cache tier. None if left out."""

    coordinator: CoordinatorSpec | None = None
    """Registration with an LMCache fleet coordinator. None if left out."""

    pd: PrefillDecodeSpec | None = None
    """Prefill/decode disaggregation. Off if left out."""

    injection: InjectionSpec | None = None
    """Refused: this operator injects nothing into vLLM pods. Mount the ConfigMap
    <engine>-connection instead."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Log level of the cache server."""

    extra_args: tuple[Annotated[str, Field(max_length=8192)], ...] = Field(
        default=(), max_length=128, json_schema_extra=ATOMIC
    )
    """Arguments appended to the server's own; of a repeated flag the last one counts. Flags that
    Service, probes and gateway rely on (--host, --port, --http-host, --http-port) are refused."""

    env: tuple[EnvVar, ...] = Field(default=(), max_length=128, json_schema_extra=list_map("name"))
    """Environment variables added to the cache server's container."""

    resource_overrides: ResourceRequirements | None = None
    """Resources of the cache server's container, in place of the computed ones."""

    node_selector: Labels | None = None
    """Labels of the nodes that get a cache server. Every node if left out."""

    affinity: Affinity | None = None
    """Affinity of the pods."""

    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=64, json_schema_extra=ATOMIC)
    """Tolerations of the pods."""

    priority_class_name: ObjectName | None = None
    """Priority class of the pods, for example system-node-critical."""

    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods. The namespace's default one if left out."""

    pod_labels: Labels = Field(default_factory=dict)
    """Labels added to the pods. The operator's own labels win."""

    pod_annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the pods."""

    privileged: Bool | None = None
    """Run the cache server privileged. True if left out: that is how it sees the GPUs without
    taking them from the scheduler."""

    host_ipc: Bool | None = None
    """Share the host's IPC namespace, and with it /dev/shm, with vLLM. True if left out. False
    mounts the host's /dev/shm instead."""

    isolated_ipc: Bool | None = None
    """Exchange GPU memory handles without a shared IPC namespace or /dev/shm (NVIDIA only). False
    if left out. Wins over hostIPC; vLLM reads it from the ConfigMap at its next start."""

    host_network: Bool = False
    """Use the node's network. Two engines on one node then need different ports."""

    init_containers: tuple[Container, ...] = Field(
        default=(), max_length=16, json_schema_extra=list_map("name")
    )
    """Init containers of the pods."""

    volumes: tuple[Volume, ...] = Field(
        default=(), max_length=64, json_schema_extra=list_map("name")
    )
    """Volumes added to the pods."""

    volume_mounts: tuple[VolumeMount, ...] = Field(
        default=(), max_length=64, json_schema_extra=list_map("mountPath")
    )
    """Volume mounts added to the cache server's container. Nothing but the host's own /dev/shm may
    be mounted at /dev/shm."""

    update_strategy: UpdateStrategySpec = UpdateStrategySpec()
    """How a change reaches the running cache servers."""
