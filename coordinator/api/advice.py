"""Warnings about a spec: it runs, but hardly as its author expects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordinator.api.adapters import REQUIRED
from coordinator.api.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from coordinator.api.rules import Subject

# Flags that a field of the spec sets too, and what else follows from the field.
COVERED_FLAGS: Mapping[str, str] = {
    "--chunk-size": "use spec.server.chunkSize",
    "--max-workers": "use spec.server.maxWorkers",
    "--hash-algorithm": "use spec.server.hashAlgorithm, which reaches vLLM's configuration too",
    "--isolated-ipc": "use spec.isolatedIPC, which reaches vLLM's configuration too",
    "--no-isolated-ipc": "use spec.isolatedIPC, which reaches vLLM's configuration too",
    "--l1-size-gb": "use spec.l1.sizeGB, from which the pod's memory is computed",
    "--l1-init-size-gb": "use spec.l1.initSizeGB",
    "--l1-use-hugepages": "use spec.l1.useHugepages",
    "--eviction-policy": "use spec.eviction.policy",
    "--eviction-trigger-watermark": "use spec.eviction.triggerWatermark",
    "--eviction-ratio": "use spec.eviction.evictionRatio",
    "--prometheus-port": "use spec.prometheus.port, to which the metrics Service points",
    "--disable-prometheus": "use spec.prometheus.enabled; servers from 0.5 on exit at this flag",
    "--disable-metrics": "use spec.prometheus.enabled, or the metrics Service answers nothing",
    "--disable-observability": "use spec.prometheus.enabled, or the metrics Service has no data",
    "--l2-store-policy": "use spec.l2Backend.storePolicy",
    "--l2-prefetch-policy": "use spec.l2Backend.prefetchPolicy",
    "--l2-prefetch-max-in-flight": "use spec.l2Backend.prefetchMaxInFlight",
    "--coordinator-url": "use spec.coordinator.url",
    "--transport": "the connection ConfigMap tells vLLM to use zmq",
}
SELECTOR_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
)
_SECRET_WORDS = re.compile(r"password|passwd|secret|token|access_key|private_key", re.IGNORECASE)


def _eviction(subject: Subject) -> Iterator[Problem]:
    backend, policy = subject.spec.l2_backend, subject.spec.eviction.policy
    skips = backend is not None and backend.store_policy == "skip_l1"
    if skips and policy != "noop":
        yield Problem(
            "spec.l2Backend.storePolicy",
            f"skip_l1 drops chunks from L1 itself, so eviction.policy {policy} has nothing to "
            "evict; set spec.eviction.policy: noop",
        )
    if policy == "noop" and not skips:
        yield Problem(
            "spec.eviction.policy",
            "with noop nothing ever leaves L1, and a full L1 takes no new chunks; choose LRU, or "
            "set spec.l2Backend.storePolicy: skip_l1",
        )


def _l1(subject: Subject) -> Iterator[Problem]:
    l1 = subject.spec.l1
    if l1.init_size_gb is not None and l1.init_size_gb > l1.size_gb:
        yield Problem(
            "spec.l1.initSizeGB",
            f"{l1.init_size_gb:g} is more than spec.l1.sizeGB ({l1.size_gb:g}), which counts; "
            "lower it or remove it",
        )


def _raw_backend(subject: Subject) -> Iterator[Problem]:
    raw = subject.spec.l2_backend.raw if subject.spec.l2_backend else None
    if raw is None:
        return
    if raw.type not in REQUIRED:
        yield Problem(
            "spec.l2Backend.raw.type",
            f"LMCache 0.5.6 has no adapter {raw.type}, and a server without it does not start; "
            f"known are {', '.join(sorted(REQUIRED))}",
        )
    for key in sorted(raw.config):
        if _SECRET_WORDS.search(key):
            yield Problem(
                f"spec.l2Backend.raw.config.{key}",
                "the server gets it as an argument, which everyone who may read pods can see; give "
                "credentials by spec.env from a Secret, where the adapter allows it",
            )


def _ipc(subject: Subject) -> Iterator[Problem]:
    spec = subject.spec
    if not spec.isolated_ipc:
        return
    if spec.gpu_vendor == "amd":
        yield Problem(
            "spec.isolatedIPC",
            "isolated IPC works with NVIDIA GPUs only; remove it, or set spec.gpuVendor: nvidia",
        )
    if spec.host_ipc:
        yield Problem(
            "spec.hostIPC", "has no effect, because spec.isolatedIPC wins; remove one of the two"
        )


def _metrics(subject: Subject) -> Iterator[Problem]:
    prometheus = subject.spec.prometheus
    if prometheus.service_monitor.enabled and not prometheus.enabled:
        yield Problem(
            "spec.prometheus.serviceMonitor.enabled",
            "there is nothing to scrape while spec.prometheus.enabled is false; set it to true, or "
            "switch the ServiceMonitor off",
        )


def _extra_args(subject: Subject) -> Iterator[Problem]:
    for index, argument in enumerate(subject.spec.extra_args):
        flag = argument.partition("=")[0]
        if flag in COVERED_FLAGS:
            yield Problem(
                f"spec.extraArgs[{index}]",
                f"{flag} overrides what the operator sets; {COVERED_FLAGS[flag]}",
            )


def _env(subject: Subject) -> Iterator[Problem]:
    for index, variable in enumerate(subject.spec.env):
        name = variable.get("name")
        if name == "LMCACHE_LOG_LEVEL":
            yield Problem(f"spec.env[{index}]", f"{name} overrides spec.logLevel; use the field")
        if name == "NVIDIA_VISIBLE_DEVICES" and variable.get("value") != "all":
            yield Problem(
                f"spec.env[{index}]",
                f"{name} other than all hides GPUs from the server, and vLLM pods on hidden GPUs "
                "cannot use the cache; remove it",
            )


def _pod_labels(subject: Subject) -> Iterator[Problem]:
    for key in subject.spec.pod_labels:
        if key in SELECTOR_LABELS:
            yield Problem(
                "spec.podLabels",
                f"{key} is a label of the operator, whose value wins; remove it",
            )


_ADVICE: tuple[Callable[[Subject], Iterable[Problem]], ...] = (
    _eviction,
    _l1,
    _raw_backend,
    _ipc,
    _metrics,
    _extra_args,
    _env,
    _pod_labels,
)


def advice_for(subject: Subject) -> tuple[Problem, ...]:
    """Return everything in the spec that its author should think about again."""
    return tuple(problem for rule in _ADVICE for problem in rule(subject))
