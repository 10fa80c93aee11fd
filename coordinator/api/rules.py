"""The problems of a spec that only show when its fields are looked at together.

Each rule is a pure function from a subject to the problems that it sees; `problems_of` asks them
all. Every CEL rule of the CRD has its mirror here, for objects that were stored before the rule.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.api.adapters import missing_keys
from coordinator.api.cel import NAME_LIMIT
from coordinator.api.effective import ipc_mode
from coordinator.api.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from coordinator.api.spec import EngineSpec

SHM = "/dev/shm"  # noqa: S108 - the subject of this operator, not a temporary file
MASTER_KEY_PATH = "/etc/lmcache/keys"

# What Service, probes and gateway rely on, and the field to use instead.
MANAGED_FLAGS: Mapping[str, str] = {
    "--host": "the server must listen on all addresses of its pod",
    "--port": "use spec.server.port",
    "--http-host": "the admin API has no authentication and stays on loopback",
    "--http-port": "use spec.server.httpPort",
}
RESP_ENV = ("LMCACHE_RESP_USERNAME", "LMCACHE_RESP_PASSWORD")
# Names of the operator's own parts of the pod.
SHM_VOLUME = "lmcache-dev-shm"
MASTER_KEY_VOLUME = "l2-master-key"
CONTAINERS = ("lmcache", "gateway")

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_UNAVAILABLE = re.compile(r"([1-9][0-9]?|100)%")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule looks at."""

    name: str
    namespace: str
    spec: EngineSpec


def name_problems(name: str) -> Iterator[Problem]:
    """Services are named after the engine, so its name must leave room in a DNS label."""
    if len(name) > NAME_LIMIT:
        yield Problem(
            "metadata.name",
            f"has {len(name)} characters, but at most {NAME_LIMIT} leave room for the Service "
            "<name>-metrics; create the engine under a shorter name",
        )
    if not _NAME.fullmatch(name):
        yield Problem(
            "metadata.name",
            "must begin with a lower-case letter, end with a letter or digit and hold only "
            "lower-case letters, digits and '-', because Services are named after it; create the "
            "engine under another name",
        )


def _ports(subject: Subject) -> Iterator[Problem]:
    server, prometheus = subject.spec.server, subject.spec.prometheus
    used = {server.port: "spec.server.port"}
    others = [("spec.server.httpPort", server.http_port)]
    if prometheus.enabled:
        others.append(("spec.prometheus.port", prometheus.port))
    for field, port in others:
        if port in used:
            yield Problem(
                field,
                f"{port} is also {used[port]}, and both are opened in the same pod; choose "
                "another port for one of them",
            )
        used.setdefault(port, field)


def _l2_backend(subject: Subject) -> Iterator[Problem]:
    backend = subject.spec.l2_backend
    if backend is None:
        return
    if (backend.resp is None) == (backend.raw is None):
        found = "both are set" if backend.resp else "neither is set"
        yield Problem(
            "spec.l2Backend",
            f"needs exactly one of resp and raw, but {found}; keep the one that you use, or remove "
            "l2Backend to run without a second tier",
        )
    if backend.raw is None:
        return
    raw, field = backend.raw, "spec.l2Backend.raw.config"
    for key in missing_keys(raw.type, raw.config):
        yield Problem(f"{field}.{key.partition(' ')[0]}", f"adapter {raw.type} needs {key}; add it")
    if "type" in raw.config:
        yield Problem(
            f"{field}.type", "the adapter's type belongs into spec.l2Backend.raw.type; remove it"
        )
    if "serde" in raw.config and backend.serde is not None:
        yield Problem(
            f"{field}.serde", "spec.l2Backend.serde is set as well; remove one of the two"
        )


def _coordinator(subject: Subject) -> Iterator[Problem]:
    coordinator = subject.spec.coordinator
    if coordinator is None:
        return
    if coordinator.ref is not None:
        address = f"http://{coordinator.ref.name}.{subject.namespace}.svc:9300"
        yield Problem(
            "spec.coordinator.ref",
            "this operator does not run LMCacheCoordinators; give the address of yours as "
            f"spec.coordinator.url, for example {address}",
        )
    elif coordinator.url is None:
        yield Problem(
            "spec.coordinator.url",
            "is required with spec.coordinator; set it, or remove spec.coordinator to run without "
            "a fleet coordinator",
        )


def _injection(subject: Subject) -> Iterator[Problem]:
    if subject.spec.injection is not None:
        yield Problem(
            "spec.injection",
            "this operator injects nothing into vLLM pods; remove it, and mount the ConfigMap "
            f"{subject.name}-connection into them instead",
        )


def _extra_args(subject: Subject) -> Iterator[Problem]:
    for index, argument in enumerate(subject.spec.extra_args):
        flag = argument.partition("=")[0]
        # The server's parser takes any beginning of a flag that is unique: --http-p is --http-port.
        for managed, remedy in MANAGED_FLAGS.items():
            if flag == managed or (len(flag) > 2 and managed.startswith(flag)):
                yield Problem(
                    f"spec.extraArgs[{index}]",
                    f"{flag} would set {managed}, on which Service, probes and metrics rely: "
                    f"{remedy}; remove it from extraArgs",
                )
                break


def _env(subject: Subject) -> Iterator[Problem]:
    backend = subject.spec.l2_backend
    if backend is None or backend.resp is None or backend.resp.auth_secret_ref is None:
        return
    for index, variable in enumerate(subject.spec.env):
        if variable.get("name") in RESP_ENV:
            yield Problem(
                f"spec.env[{index}]",
                f"{variable['name']} comes from spec.l2Backend.resp.authSecretRef; remove one of "
                "the two",
            )


def _duplicates(subject: Subject) -> Iterator[Problem]:
    spec = subject.spec
    lists: tuple[tuple[str, str, Iterable[Any]], ...] = (
        ("env", "name", (item.get("name") for item in spec.env)),
        ("volumes", "name", (item.get("name") for item in spec.volumes)),
        ("volumeMounts", "mountPath", (item.get("mountPath") for item in spec.volume_mounts)),
        ("initContainers", "name", (item.get("name") for item in spec.init_containers)),
        ("imagePullSecrets", "name", (item.name for item in spec.image_pull_secrets)),
    )
    for field, key, values in lists:
        seen: set[str] = set()
        for index, value in enumerate(values):
            if not isinstance(value, str) or not value:
                yield Problem(f"spec.{field}[{index}].{key}", "is required")
            elif value in seen:
                yield Problem(
                    f"spec.{field}[{index}].{key}",
                    f"{value} appears more than once in spec.{field}; keep one of them",
                )
            else:
                seen.add(value)


def _volumes(subject: Subject) -> Iterator[Problem]:
    spec = subject.spec
    own = {MASTER_KEY_VOLUME} if spec.l2_backend and spec.l2_backend.serde else set()
    if ipc_mode(spec) == "hostPath":
        own.add(SHM_VOLUME)
    for index, volume in enumerate(spec.volumes):
        if volume.get("name") in own and not _is_host_shm(volume):
            yield Problem(
                f"spec.volumes[{index}].name",
                f"{volume['name']} is the name of a volume of the operator; choose another one",
            )
    names = own | {volume.get("name") for volume in spec.volumes}
    mounts = [("spec.volumeMounts", spec.volume_mounts)]
    mounts += [
        (f"spec.initContainers[{index}].volumeMounts", tuple(item.get("volumeMounts") or ()))
        for index, item in enumerate(spec.init_containers)
    ]
    for field, items in mounts:
        for index, mount in enumerate(items):
            if mount.get("name") not in names:
                yield Problem(
                    f"{field}[{index}].name",
                    f"spec.volumes has no volume {mount.get('name')}; add it, or remove the mount",
                )


def _mount_points(subject: Subject) -> Iterator[Problem]:
    spec = subject.spec
    volumes = {volume.get("name"): volume for volume in spec.volumes}
    encrypted = spec.l2_backend is not None and spec.l2_backend.serde is not None
    for index, mount in enumerate(spec.volume_mounts):
        path = posixpath.normpath(str(mount.get("mountPath") or "."))
        field = f"spec.volumeMounts[{index}].mountPath"
        if path == SHM and ipc_mode(spec) != "isolated":
            if not _is_host_shm(volumes.get(mount.get("name"), {})):
                yield Problem(
                    field,
                    "a volume of the pod's own (such as an emptyDir) at /dev/shm hides the host's "
                    "/dev/shm and breaks CUDA IPC; remove the mount, or set spec.isolatedIPC: true",
                )
        elif path == MASTER_KEY_PATH and encrypted:
            yield Problem(
                field, f"{MASTER_KEY_PATH} holds the master key of serde.aesgcm; mount elsewhere"
            )


def _is_host_shm(volume: Mapping[str, Any]) -> bool:
    path = (volume.get("hostPath") or {}).get("path")
    return isinstance(path, str) and posixpath.normpath(path) == SHM


def _init_containers(subject: Subject) -> Iterator[Problem]:
    for index, container in enumerate(subject.spec.init_containers):
        if container.get("name") in CONTAINERS:
            yield Problem(
                f"spec.initContainers[{index}].name",
                f"{container['name']} is the name of a container of the operator; choose another",
            )


def _hugepages(subject: Subject) -> Iterator[Problem]:
    spec = subject.spec
    limits = (spec.resource_overrides or {}).get("limits") or {}
    if spec.l1.use_hugepages and not any(str(key).startswith("hugepages-") for key in limits):
        yield Problem(
            "spec.l1.useHugepages",
            "a pod gets huge pages only if it asks for them; set spec.resourceOverrides.limits "
            f"with hugepages-2Mi or hugepages-1Gi of at least {spec.l1.size_gb:g}Gi (and memory "
            "and cpu beside it), or remove useHugepages",
        )


def _update_strategy(subject: Subject) -> Iterator[Problem]:
    strategy = subject.spec.update_strategy
    if strategy.rolling_update is None:
        return
    if strategy.type != "RollingUpdate":
        yield Problem(
            "spec.updateStrategy.rollingUpdate",
            f"has no effect with type {strategy.type}; remove one of them",
        )
    value = strategy.rolling_update.max_unavailable
    good = value >= 1 if isinstance(value, int) else _MAX_UNAVAILABLE.fullmatch(value)
    if not good:
        yield Problem(
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            "must be a number of nodes of at least 1, or a percentage from 1% to 100%",
        )


def _labels(subject: Subject) -> Iterator[Problem]:
    spec = subject.spec
    monitor = spec.prometheus.service_monitor.labels
    for field, labels, values in (
        ("spec.nodeSelector", spec.node_selector or {}, True),
        ("spec.podLabels", spec.pod_labels, True),
        ("spec.podAnnotations", spec.pod_annotations, False),
        ("spec.prometheus.serviceMonitor.labels", monitor, True),
    ):
        for key, value in labels.items():
            prefix, slash, word = key.rpartition("/")
            good = len(word) <= 63 and _LABEL_WORD.fullmatch(word)
            if not good or (slash and not (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix))):
                yield Problem(field, f"{key!r} is not a valid key; use [prefix/]name")
            if values and value and not _LABEL_WORD.fullmatch(value):
                yield Problem(
                    f"{field}[{key}]",
                    f"{value!r} is not a valid label value; it may hold letters, digits, '-', '_' "
                    "and '.', and begins and ends with a letter or digit",
                )


_RULES: tuple[Callable[[Subject], Iterable[Problem]], ...] = (
    _ports,
    _l2_backend,
    _coordinator,
    _injection,
    _extra_args,
    _env,
    _duplicates,
    _volumes,
    _mount_points,
    _init_containers,
    _hugepages,
    _update_strategy,
    _labels,
)


def problems_of(subject: Subject) -> tuple[Problem, ...]:
    """Return everything that keeps the spec from being run."""
    return tuple(problem for rule in _RULES for problem in rule(subject))
