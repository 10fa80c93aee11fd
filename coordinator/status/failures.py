"""Why an engine's pods are not ready: one ordered table, the first hit decides. Pure.

The order goes along the life of a pod: created, scheduled, given a sandbox, volumes and images,
started, answering. What comes earlier explains what comes later.
"""

from __future__ import annotations

from coordinator.status import creation, image_pulls, pod_troubles, reasons
from coordinator.status.evidence import Detect, Hit
from coordinator.status.failure import Failure
from coordinator.status.observed import Observed, Pod
from coordinator.status.reasons import Reason

_SHOWN_NODES = 3

PODS: tuple[tuple[Reason, Detect], ...] = (
    # First, because whatever is known of a pod on such a node is old.
    (reasons.NODE_NOT_READY, pod_troubles.node_not_ready),
    (reasons.POD_REJECTED, pod_troubles.rejected),
    (reasons.UNSCHEDULABLE, pod_troubles.unschedulable),
    (reasons.RUNTIME_HANDLER_MISSING, pod_troubles.runtime_handler_missing),
    (reasons.SANDBOX_FAILED, pod_troubles.sandbox_failed),
    (reasons.SECRET_MISSING, pod_troubles.secret_missing),
    (reasons.VOLUME_NOT_MOUNTED, pod_troubles.volume_not_mounted),
    (reasons.CONTAINER_CONFIG_ERROR, pod_troubles.container_config_error),
    (reasons.GATEWAY_IMAGE_NOT_PULLABLE, image_pulls.gateway_image_not_pullable),
    (reasons.IMAGE_NOT_PULLABLE, image_pulls.image_not_pullable),
    # Both show as a crash loop too, and explain it.
    (reasons.OOM_KILLED, pod_troubles.oom_killed),
    (reasons.STARTUP_TIMED_OUT, pod_troubles.startup_timed_out),
    (reasons.CONTAINER_NOT_STARTED, pod_troubles.container_not_started),
    (reasons.CRASH_LOOPING, pod_troubles.crash_looping),
    (reasons.READINESS_FAILING, pod_troubles.readiness_failing),
)

# Hopeless where they are so on every node: nothing that waiting brings makes a server start.
_CRASHES = frozenset({reasons.OOM_KILLED, reasons.STARTUP_TIMED_OUT, reasons.CRASH_LOOPING})


def first(observed: Observed) -> Failure | None:
    """Return the first failure of the table, None while nothing is known to be wrong."""
    rollout = observed.rollout
    if rollout is None or (
        rollout.ready >= rollout.desired > 0 and not creation.missing_pods(observed)
    ):
        return None
    for policy in (creation.runtime_class_missing, creation.refused):
        failure = policy(observed)
        if failure is not None:
            return failure
    unready = sorted(
        (pod for pod in observed.pods if not pod.is_ready and not pod.is_terminating),
        key=lambda pod: (pod.node, pod.name),
    )
    for reason, detect in PODS:
        hits = [(pod, hit) for pod in unready if (hit := detect(observed, pod))]
        if hits:
            return Failure(
                reason,
                _message(hits, total=max(rollout.desired, len(hits))),
                is_hopeless=reason in _CRASHES
                and rollout.ready == 0
                and len(hits) >= rollout.desired,
            )
    return None


def _message(hits: list[tuple[Pod, Hit]], *, total: int) -> str:
    """Say where, what it is on the first of these nodes, and what to do."""
    nodes = [pod.node or pod.name for pod, _ in hits]
    shown = ", ".join(nodes[:_SHOWN_NODES])
    more = f" and {len(nodes) - _SHOWN_NODES} more" if len(nodes) > _SHOWN_NODES else ""
    hit = hits[0][1]
    where = f"{len(hits)} of {total} nodes ({shown}{more})"
    return f"On {where}: {hit.fact} {hit.remedy}"
