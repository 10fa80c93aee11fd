"""What a render depends on besides the engine itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """Settings of the operator and findings about the cluster, as values."""

    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster's Services."""

    service_monitor_supported: bool = False
    """The cluster knows the kind ServiceMonitor."""

    resp_auth_revision: str = ""
    """Opaque revision of the managed credential copy; empty without one. Pods roll when it changes.
    Never derived from the credential alone: everyone who may read pods can read it and guess."""

    gateway_image: str = ""
    """Image of the gateway beside the cache server; empty: no gateway."""

    gateway_pull_secrets: tuple[str, ...] = ()
    """Names of pull secrets for that image, beside the engine's own."""
