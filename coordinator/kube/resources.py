"""The kinds that the coordinator reads or writes, and their addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object with what its URL needs."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, *, namespace: str | None = None, name: str | None = None) -> str:
        """Return the URL path of one object, of all in a namespace, or of all in the cluster."""
        root = "/api" if "/" not in self.api_version else "/apis"
        parts = [root, self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        return "/".join(parts)


DAEMON_SETS = Resource("apps/v1", "DaemonSet", "daemonsets")
SERVICES = Resource("v1", "Service", "services")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
SECRETS = Resource("v1", "Secret", "secrets")
PODS = Resource("v1", "Pod", "pods")
NODES = Resource("v1", "Node", "nodes", namespaced=False)
NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
EVENTS = Resource("v1", "Event", "events")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
TOKEN_REVIEWS = Resource("authentication.k8s.io/v1", "TokenReview", "tokenreviews", False)
SERVICE_MONITORS = Resource("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", False
)
RUNTIME_CLASSES = Resource("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
ENGINES = Resource("lmcache.lmcache.ai/v1alpha1", "LMCacheEngine", "lmcacheengines")

_BY_KIND = {
    (resource.api_version, resource.kind): resource
    for resource in (DAEMON_SETS, SERVICES, CONFIG_MAPS, SECRETS, SERVICE_MONITORS)
}


def resource_of(manifest: Mapping[str, Any]) -> Resource:
    """Return the resource of a manifest that the coordinator renders.

    Raises KeyError for a kind that it never renders.
    """
    return _BY_KIND[(manifest["apiVersion"], manifest["kind"])]


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Namespace and name; the namespace of a cluster-scoped object is empty."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(manifest: Mapping[str, Any]) -> ObjectKey:
    """Return the key of an object as the API server sends it."""
    metadata = manifest["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def is_older(version: str, known: str | None) -> bool:
    """Tell whether a resourceVersion is older than, or equal to, the one that is known.

    Versions of one resource compare as integers: stated by the API since Kubernetes 1.35
    (KEP-5504) and true of etcd before. What is no integer counts as newer.
    """
    if known is None:
        return False
    if version.isdigit() and known.isdigit():
        return int(version) <= int(known)
    return version == known
