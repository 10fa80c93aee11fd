"""The cache server itself: image, process, first tier, eviction, metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from coordinator.api.base import Bool, Float, Fraction, Int, Labels, Model, Port

Size = Annotated[Float, Field(gt=0, le=65536)]


class ImageSpec(Model):
    """The container image of the cache server."""

    repository: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^\S+$")] = (
        "lmcache/vllm-openai"
    )
    """Repository, with the registry's host if it is not the default one."""

    tag: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[A-Za-z0-9_][-.A-Za-z0-9_]{0,127}(@sha256:[0-9a-f]{64})?$",
        ),
    ] = "latest"
    """Tag, with a digest if you like (0.5.6@sha256:...). It also tells which flags the server
    understands, unless server.release says so."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""


class ServerSpec(Model):
    """The cache server process."""

    port: Port = 5555
    """Worker RPC port: where vLLM connects, through the node-local Service."""

    chunk_size: Annotated[Int, Field(ge=1, le=1048576)] = 256
    """Tokens per cached chunk."""

    max_workers: Annotated[Int, Field(ge=1, le=1024)] = 1
    """Number of worker threads."""

    hash_algorithm: Literal["builtin", "sha256_cbor", "blake3"] = "blake3"
    """Token hash. With builtin every vLLM pod needs PYTHONHASHSEED=0."""

    http_port: Port = 8080
    """Port of the server's admin HTTP API. It has no authentication, so it is open on loopback
    only; metrics and status leave the pod through the gateway."""

    release: Annotated[
        str | None,
        Field(max_length=32, pattern=r"^v?[0-9]+\.[0-9]+(\.[0-9]+)?([-.+]?[A-Za-z0-9]+)*$"),
    ] = None
    """LMCache release inside the image, for example 0.5.6: decides which flags the server gets.
    Read from the image tag if left out; set it for mirrors and for tags such as latest."""


class L1Spec(Model):
    """The first tier: pinned host memory on every node."""

    size_gb: Size
    """Size in GiB on each node. The pod's memory request and limit are derived from it."""

    init_size_gb: Size | None = None
    """Part of the size that is pinned before the server answers, in GiB; the rest grows in the
    background. Left to the server if not given (20 GiB, or the size if that is smaller)."""

    use_hugepages: Bool = False
    """Take the memory from the node's huge pages. Needs hugepages in resourceOverrides."""


class EvictionSpec(Model):
    """What happens when the first tier fills up."""

    policy: Literal["LRU", "ARC", "IsolatedLRU", "noop"] = "LRU"
    """Eviction policy. IsolatedLRU needs a cache salt in every request; noop never evicts."""

    trigger_watermark: Fraction = 0.8
    """Used share of L1 at which eviction begins, above 0 and at most 1."""

    eviction_ratio: Fraction = 0.2
    """Share of L1 that one eviction frees, above 0 and at most 1."""


class ServiceMonitorSpec(Model):
    """A ServiceMonitor for the Prometheus operator."""

    enabled: Bool = False
    """Create a ServiceMonitor (the Prometheus operator must be installed)."""

    interval: Annotated[
        str,
        Field(
            min_length=2,
            max_length=32,
            pattern=r"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        ),
    ] = "30s"
    """Scrape interval, a Prometheus duration."""

    labels: Labels = Field(default_factory=dict)
    """Labels added to the ServiceMonitor, for Prometheus' serviceMonitorSelector."""


class PrometheusSpec(Model):
    """Metrics of the cache servers."""

    enabled: Bool = True
    """Serve Prometheus metrics."""

    port: Port = 9090
    """Port of `/metrics`, on the pod and on the metrics Service."""

    service_monitor: ServiceMonitorSpec = ServiceMonitorSpec()
    """A ServiceMonitor for the Prometheus operator."""
