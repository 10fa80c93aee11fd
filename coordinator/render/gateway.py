"""The gateway: the container that shows health, status and metrics of the cache server beside it.

The server's admin API has no authentication and stays on loopback. The gateway listens on the same
port number of the pod's own address: nothing else can be there, so it needs no port of its own that
could collide, and two engines on the node's network, which differ in httpPort anyway, stay apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coordinator.render.names import GATEWAY_CONTAINER, GATEWAY_PORT, METRICS_PORT
from coordinator.render.release import LAST_WITH_PROMETHEUS_PORT, server_release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coordinator.api.engine import Engine
    from coordinator.api.spec import EngineSpec
    from coordinator.render.facts import Facts

GENERATION = "lmcache.lmcache.ai/engine-generation"
IMAGE = "lmcache.lmcache.ai/gateway-image"
PULL_SECRETS = "lmcache.lmcache.ai/gateway-pull-secrets"

_USER = 65532
_PERIOD_SECONDS = 5
# Longer than the gateway gives the server (2 s), so that its verdict comes back.
_TIMEOUT_SECONDS = 4


def gateway_port(spec: EngineSpec, facts: Facts) -> int:
    """Return the port of /healthz and /status at the pod's address, 0 without a gateway."""
    return spec.server.http_port if facts.gateway_image else 0


def passes_metrics(spec: EngineSpec, facts: Facts) -> bool:
    """Tell whether the gateway serves the metrics; older servers open that port themselves."""
    return bool(
        facts.gateway_image
        and spec.prometheus.enabled
        and server_release(spec).release > LAST_WITH_PROMETHEUS_PORT
    )


def gateway(spec: EngineSpec, facts: Facts) -> dict[str, Any]:
    """Return the container."""
    port = spec.server.http_port
    arguments = [f"--server-port={port}", "--address=$(POD_IP)", f"--port={port}"]
    ports = {GATEWAY_PORT: port}
    if passes_metrics(spec, facts):
        arguments.append(f"--metrics-port={spec.prometheus.port}")
        ports[METRICS_PORT] = spec.prometheus.port
    env: list[dict[str, Any]] = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    ]
    if spec.gpu_vendor == "nvidia":
        # The pod's runtime class would inject the GPUs into this container too.
        env.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    return {
        "name": GATEWAY_CONTAINER,
        "image": facts.gateway_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["lmcache-gateway"],
        "args": arguments,
        "ports": [
            {"name": name, "containerPort": number, "protocol": "TCP"}
            for name, number in ports.items()
        ],
        "env": env,
        "resources": {
            "requests": {"cpu": "5m", "memory": "24Mi"},
            "limits": {"memory": "64Mi"},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": GATEWAY_PORT},
            "periodSeconds": _PERIOD_SECONDS,
            "timeoutSeconds": _TIMEOUT_SECONDS,
            "failureThreshold": 3,
        },
        # What it says when it cannot start, into the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def pull_secrets(spec: EngineSpec, facts: Facts) -> list[dict[str, str]]:
    """Return the engine's pull secrets, then those of the gateway's image."""
    names = [secret.name for secret in spec.image_pull_secrets]
    if facts.gateway_image:
        names += [name for name in facts.gateway_pull_secrets if name not in names]
    return [{"name": name} for name in names]


def daemon_set_annotations(engine: Engine, facts: Facts) -> dict[str, str]:
    """Return what a DaemonSet says about its render. Not part of the pods: they do not roll."""
    found = {GENERATION: str(engine.generation)}
    if facts.gateway_image:
        found[IMAGE] = facts.gateway_image
        if facts.gateway_pull_secrets:
            found[PULL_SECRETS] = ",".join(facts.gateway_pull_secrets)
    return found


def as_annotated(facts: Facts, annotations: Mapping[str, str]) -> Facts:
    """Return the facts with the gateway that a DaemonSet was rendered with."""
    names = annotations.get(PULL_SECRETS, "")
    return replace(
        facts,
        gateway_image=annotations.get(IMAGE, ""),
        gateway_pull_secrets=tuple(names.split(",")) if names else (),
    )
