"""The pod of a cache server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.api.effective import ipc_mode, privileged, runtime_class
from coordinator.render.args import arguments
from coordinator.render.env import env
from coordinator.render.gateway import gateway, passes_metrics, pull_secrets
from coordinator.render.labels import pod_labels
from coordinator.render.manifest import as_given, without_empty
from coordinator.render.names import ADMIN_PORT, CONTAINER, METRICS_PORT, SERVER_PORT
from coordinator.render.probes import readiness_probe, startup_probe
from coordinator.render.resources import resources
from coordinator.render.volumes import volume_mounts, volumes

if TYPE_CHECKING:
    from coordinator.api.engine import Engine
    from coordinator.api.spec import EngineSpec
    from coordinator.render.facts import Facts

# Named in full because the image's entry point starts vLLM.
_COMMAND = ("/opt/venv/bin/lmcache", "server")
# The server leaves about 4 s after SIGTERM when idle; what is under way to L2 may take longer.
_GRACE_SECONDS = 30

RESP_AUTH_REVISION = "lmcache.lmcache.ai/resp-auth-revision"


def pod_template(engine: Engine, facts: Facts) -> dict[str, Any]:
    """Return the template of the DaemonSet's pods."""
    annotations = dict(engine.spec.pod_annotations)
    if facts.resp_auth_revision:
        # Environment variables do not follow their Secret: only a new pod has the new credential.
        annotations[RESP_AUTH_REVISION] = facts.resp_auth_revision
    return {
        "metadata": without_empty({"labels": pod_labels(engine), "annotations": annotations}),
        "spec": pod_spec(engine, facts),
    }


def pod_spec(engine: Engine, facts: Facts) -> dict[str, Any]:
    """Return what runs in the pod, and where it may run."""
    spec = engine.spec
    return without_empty(
        {
            "runtimeClassName": runtime_class(spec),
            "serviceAccountName": spec.service_account_name,
            # The server never speaks to the Kubernetes API, and it is privileged: no token. Whoever
            # names a ServiceAccount has a reason, and its own setting then decides.
            "automountServiceAccountToken": None if spec.service_account_name else False,
            # Off: an engine called lmcache-resp would give every pod of the namespace
            # LMCACHE_RESP_PORT=tcp://..., which the server takes for its own setting.
            "enableServiceLinks": False,
            "priorityClassName": spec.priority_class_name,
            # False is left out where the API server drops it.
            "hostIPC": True if ipc_mode(spec) == "hostIPC" else None,
            "hostNetwork": True if spec.host_network else None,
            "dnsPolicy": "ClusterFirstWithHostNet" if spec.host_network else "ClusterFirst",
            "nodeSelector": dict(spec.node_selector or {}),
            "affinity": as_given(spec.affinity),
            "tolerations": as_given(spec.tolerations),
            "imagePullSecrets": pull_secrets(spec, facts),
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "initContainers": as_given(spec.init_containers),
            # The server first: it is the one that `kubectl logs` shows unless told otherwise.
            "containers": [
                cache_server(engine, facts),
                *([gateway(spec, facts)] if facts.gateway_image else ()),
            ],
            "volumes": volumes(spec),
        }
    )


def cache_server(engine: Engine, facts: Facts) -> dict[str, Any]:
    """Return the container of the cache server."""
    spec = engine.spec
    return without_empty(
        {
            "name": CONTAINER,
            "image": f"{spec.image.repository}:{spec.image.tag}",
            "imagePullPolicy": spec.image.pull_policy,
            "command": [*_COMMAND],
            "args": [*arguments(spec).args],
            "ports": _ports(spec, facts),
            "env": env(engine),
            "resources": resources(spec),
            "securityContext": {"privileged": privileged(spec)},
            "startupProbe": startup_probe(spec.l1.size_gb),
            # A TCP probe does not see a server that hangs; the gateway's readiness is the pod's.
            "readinessProbe": None if facts.gateway_image else readiness_probe(),
            # The server writes no termination file: without this a crash loop's status could only
            # give an exit code, and not the last line of the log.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": volume_mounts(spec),
        }
    )


def _ports(spec: EngineSpec, facts: Facts) -> list[dict[str, Any]]:
    ports = {SERVER_PORT: spec.server.port}
    if spec.host_network and not facts.gateway_image:
        # On loopback, but on the node's: declared, so that the scheduler keeps two engines with the
        # same port apart instead of letting the second one crash. A gateway declares it itself.
        ports[ADMIN_PORT] = spec.server.http_port
    if spec.prometheus.enabled and not passes_metrics(spec, facts):
        ports[METRICS_PORT] = spec.prometheus.port
    return [
        {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
    ]
