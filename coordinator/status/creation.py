"""Why pods do not even come to be: what the API server answered to the DaemonSet controller. Pure.

The controller writes each refusal as a FailedCreate Event, and retries at ever longer intervals of
up to 17 minutes, so an Event may be old and its trouble still there. It counts while pods are
missing, and while no pod has been created since.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coordinator.status import reasons
from coordinator.status.failure import Failure
from coordinator.status.observed import Observed
from coordinator.status.reasons import Reason

_PREFIX = re.compile(r"^Error creating: (pods \"[^\"]*\" is forbidden: )?")
_RETRY = (
    "The DaemonSet controller tries again by itself, within 17 minutes; `kubectl rollout restart"
    " daemonset/{name} -n {namespace}` makes it try now."
)


def missing_pods(observed: Observed) -> int:
    """Return how many pods the DaemonSet controller has still to create.

    A pod that is on its way out counts as there: only its end lets the controller make another.
    """
    rollout = observed.rollout
    return max(0, rollout.desired - len(observed.pods)) if rollout is not None else 0


def runtime_class_missing(observed: Observed) -> Failure | None:
    """Report a RuntimeClass that does not exist: seen directly, so it cannot be an old story."""
    if not observed.missing_runtime_class or not missing_pods(observed):
        return None
    name = observed.missing_runtime_class
    return _failure(
        observed,
        reasons.RUNTIME_CLASS_MISSING,
        f'RuntimeClass "{name}" does not exist.',
        "Install the NVIDIA GPU operator, which creates it, or set spec.runtimeClassName to one"
        ' that `kubectl get runtimeclass` lists ("" leaves it out).',
    )


def refused(observed: Observed) -> Failure | None:
    """Report what the API server said last when it refused a pod."""
    sentence = _refusal(observed)
    if sentence is None or not missing_pods(observed):
        return None
    for reason, pattern, fact, remedy in _REFUSALS:
        if hit := pattern.search(sentence):
            return _failure(
                observed,
                reason,
                fact.format(sentence=sentence, **hit.groupdict()),
                remedy(observed) if callable(remedy) else remedy,
            )
    return None


def _refusal(observed: Observed) -> str | None:
    traces = observed.traces.get("", ())
    if not traces:
        return None
    newest = max(
        (pod.created_at for pod in observed.pods if pod.created_at is not None), default=None
    )
    trace = traces[0]
    if newest is not None and trace.at.replace(microsecond=0) < newest:
        return None
    return _PREFIX.sub("", trace.message).rstrip(".")


def _retry(observed: Observed) -> str:
    return _RETRY.format(name=observed.name, namespace=observed.namespace)


def _label(observed: Observed) -> str:
    return (
        f"Allow it with `kubectl label namespace {observed.namespace} --overwrite"
        " pod-security.kubernetes.io/enforce=privileged`, or set spec.privileged: false and"
        " spec.isolatedIPC: true where the cluster's GPUs are visible without privileges."
    )


def _quota(observed: Observed) -> str:
    return (
        "Raise it, lower spec.l1.sizeGB, or set spec.resourceOverrides:"
        f" `kubectl describe quota,limitrange -n {observed.namespace}`."
    )


# In this order; the first pattern that is found decides. The last one finds everything.
_REFUSALS: tuple[tuple[Reason, re.Pattern[str], str, str | Callable[[Observed], str]], ...] = (
    (
        # The class is there by now, or `runtime_class_missing` would have spoken.
        reasons.PODS_REFUSED,
        re.compile(r'RuntimeClass "(?P<name>[^"]*)" not found'),
        'RuntimeClass "{name}" did not exist when they were tried last; it does now.',
        _retry,
    ),
    (
        reasons.POD_SECURITY,
        re.compile(r'violates PodSecurity "(?P<level>[^":]*)[^"]*": (?P<what>.*)'),
        'the namespace enforces Pod Security level "{level}", which forbids {what}.',
        _label,
    ),
    (
        reasons.QUOTA_EXCEEDED,
        re.compile(r"exceeded quota: (?P<what>.*)"),
        "ResourceQuota {what}.",
        _quota,
    ),
    (
        reasons.QUOTA_EXCEEDED,
        re.compile(r"failed quota: (?P<what>.*)"),
        "ResourceQuota {what}.",
        _quota,
    ),
    (
        reasons.QUOTA_EXCEEDED,
        re.compile(r"(?P<what>(maximum|minimum|max|min) \w+ .*(per|ratio).*)"),
        "a LimitRange says: {what}.",
        _quota,
    ),
    (
        reasons.PODS_REFUSED,
        re.compile(r'serviceaccount "(?P<name>[^"]*)" not found'),
        'ServiceAccount "{name}" does not exist.',
        "Create it, or correct spec.serviceAccountName.",
    ),
    (
        reasons.PODS_REFUSED,
        re.compile(r"no PriorityClass with name (?P<name>\S+) was found"),
        "PriorityClass {name} does not exist.",
        "Create it, or correct spec.priorityClassName.",
    ),
    (
        reasons.PODS_REFUSED,
        re.compile(r""),
        "the API server refuses them: {sentence}.",
        "Change what it names in the spec, or the admission policy.",
    ),
)

# What stays refused until somebody changes the cluster or the spec.
_LASTING = frozenset({reasons.RUNTIME_CLASS_MISSING, reasons.POD_SECURITY})


def _failure(observed: Observed, reason: Reason, fact: str, remedy: str) -> Failure:
    rollout = observed.rollout
    desired = rollout.desired if rollout is not None else 0
    nobody = rollout is None or rollout.ready == 0
    return Failure(
        reason,
        f"{missing_pods(observed)} of {desired} pods cannot be created: {fact} {remedy}",
        is_hopeless=nobody and reason in _LASTING,
    )
