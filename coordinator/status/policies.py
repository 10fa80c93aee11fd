"""What Ready is, as an ordered chain: the first policy that has something to say decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coordinator.api.conditions import ConditionState
from coordinator.health.model import NodeState
from coordinator.status import failures, reasons
from coordinator.status.observed import Observed
from coordinator.status.reasons import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition's status, its reason, and the sentence for a person."""

    status: ConditionState
    reason: Reason
    message: str


Policy = Callable[[Observed], Verdict | None]


def invalid_spec(observed: Observed) -> Verdict | None:
    """Refuse what cannot be rendered."""
    if observed.problems:
        return Verdict("False", reasons.VALIDATION_FAILED, " ".join(observed.problems))
    return None


def name_taken(observed: Observed) -> Verdict | None:
    """Report objects of our names that are not ours."""
    if observed.conflicts:
        return Verdict("False", reasons.CONFLICT, " ".join(observed.conflicts))
    return None


def object_refused(observed: Observed) -> Verdict | None:
    """Report what the API server does not accept."""
    if observed.refused:
        return Verdict("False", reasons.OBJECT_REFUSED, observed.refused)
    return None


def credential_unusable(observed: Observed) -> Verdict | None:
    """Report a credential that cannot be copied."""
    if observed.credential is not None:
        return Verdict("False", observed.credential.reason, observed.credential.message)
    return None


def no_daemon_set(observed: Observed) -> Verdict | None:
    """Wait for the DaemonSet and for its controller to have looked at it."""
    if observed.rollout is None:
        return Verdict("False", reasons.DAEMON_SET_MISSING, "The DaemonSet is being created.")
    if not observed.rollout.is_current:
        return Verdict(
            "False", reasons.ROLLING_OUT, "The DaemonSet controller has not seen the spec yet."
        )
    return None


def no_nodes(observed: Observed) -> Verdict | None:
    """Say so when no node is meant."""
    if observed.rollout is not None and observed.rollout.desired == 0:
        return Verdict(
            "False",
            reasons.NO_MATCHING_NODES,
            "No node fits spec.nodeSelector, spec.affinity and spec.tolerations: compare them with"
            " `kubectl get nodes --show-labels`.",
        )
    return None


def pods_failing(observed: Observed) -> Verdict | None:
    """Say what is known to be wrong with pods, before saying only that they are not ready."""
    failure = failures.first(observed)
    return Verdict("False", failure.reason, failure.message) if failure else None


def rolling_out(observed: Observed) -> Verdict | None:
    """Wait until every pod is of the newest spec."""
    rollout = observed.rollout
    if rollout is not None and rollout.updated < rollout.desired:
        return Verdict(
            "False",
            reasons.ROLLING_OUT,
            f"{rollout.updated} of {rollout.desired} pods run with the newest spec,"
            f" {rollout.ready} are ready.",
        )
    return None


def instances_not_ready(observed: Observed) -> Verdict | None:
    """Wait until every pod is ready."""
    rollout = observed.rollout
    if rollout is not None and rollout.ready < rollout.desired:
        return Verdict(
            "False",
            reasons.INSTANCES_NOT_READY,
            f"{rollout.ready}/{rollout.desired} instances ready{_missing_on(observed)}.",
        )
    return None


def node_failing(observed: Observed) -> Verdict | None:
    """Hold Ready back while a node that should serve cannot."""
    failing = [node for node in observed.fleet.nodes if node.state is NodeState.FAILING]
    if failing:
        first = failing[0]
        return Verdict(
            "False",
            reasons.NODE_FAILING,
            f"{len(failing)} of {len(observed.fleet.nodes)} nodes cannot serve the cache:"
            f" {first.name}: {first.message}",
        )
    return None


def all_ready(observed: Observed) -> Verdict:
    """Everything else has been ruled out."""
    rollout = observed.rollout
    count = rollout.desired if rollout is not None else 0
    return Verdict("True", reasons.ALL_READY, f"{count}/{count} instances ready.")


READY: tuple[Policy, ...] = (
    invalid_spec,
    name_taken,
    object_refused,
    credential_unusable,
    no_daemon_set,
    no_nodes,
    pods_failing,
    rolling_out,
    instances_not_ready,
    node_failing,
)


def ready(observed: Observed) -> Verdict:
    """Return the verdict of the first policy that has one."""
    for policy in READY:
        verdict = policy(observed)
        if verdict is not None:
            return verdict
    return all_ready(observed)


def _missing_on(observed: Observed) -> str:
    nodes = sorted(pod.node for pod in observed.pods if not pod.is_ready and pod.node)
    if not nodes:
        return ""
    shown = ", ".join(nodes[:3])
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return f"; not on {shown}{more}"
