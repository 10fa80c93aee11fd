"""The API lmcache.lmcache.ai/v1alpha1: names, spec and status of LMCacheEngine, in one import."""

from __future__ import annotations

from coordinator.api.base import LocalObjectReference
from coordinator.api.l2 import (
    AesGcmSpec,
    L2BackendSpec,
    RawSpec,
    RespSpec,
    SecretReference,
    SerdeSpec,
)
from coordinator.api.server import (
    EvictionSpec,
    ImageSpec,
    L1Spec,
    PrometheusSpec,
    ServerSpec,
    ServiceMonitorSpec,
)
from coordinator.api.spec import (
    CoordinatorSpec,
    EngineSpec,
    InjectionSpec,
    PrefillDecodeSpec,
    RollingUpdateSpec,
    UpdateStrategySpec,
)
from coordinator.api.status import EndpointStatus, EngineStatus, NodeStatus, NodeSummary

GROUP = "lmcache.lmcache.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "LMCacheEngine"
PLURAL = "lmcacheengines"
SINGULAR = "lmcacheengine"
SHORT_NAME = "lmc"

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "SHORT_NAME",
    "SINGULAR",
    "VERSION",
    "AesGcmSpec",
    "CoordinatorSpec",
    "EndpointStatus",
    "EngineSpec",
    "EngineStatus",
    "EvictionSpec",
    "ImageSpec",
    "InjectionSpec",
    "L1Spec",
    "L2BackendSpec",
    "LocalObjectReference",
    "NodeStatus",
    "NodeSummary",
    "PrefillDecodeSpec",
    "PrometheusSpec",
    "RawSpec",
    "RespSpec",
    "RollingUpdateSpec",
    "SecretReference",
    "SerdeSpec",
    "ServerSpec",
    "ServiceMonitorSpec",
    "UpdateStrategySpec",
]
