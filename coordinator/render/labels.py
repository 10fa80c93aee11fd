"""The labels of an engine's children and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.api.engine import Engine

NAME = ("app.kubernetes.io/name", "lmcache")
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = ("app.kubernetes.io/managed-by", "lmcache-operator")
COMPONENT = ("app.kubernetes.io/component", "cache-engine")


def selector_labels(engine: Engine) -> dict[str, str]:
    """Return the labels by which DaemonSet and Services find the pods.

    Kept apart from the other labels because a DaemonSet's selector can never be changed: one more
    label here would make every existing DaemonSet unmanageable, those that we adopt from the Go
    operator included.
    """
    return dict((NAME, (INSTANCE, engine.name), MANAGED_BY))


def standard_labels(engine: Engine) -> dict[str, str]:
    """Return the labels of every child and pod."""
    return {**selector_labels(engine), **dict((COMPONENT,))}


def pod_labels(engine: Engine) -> dict[str, str]:
    """Return the labels of the pods: the user's, with the operator's own restored on top.

    A pod that lost a selector label would leave its DaemonSet and Services, and one that lost the
    component would be invisible to the operator, which watches pods by it.
    """
    standard = standard_labels(engine)
    return {**standard, **engine.spec.pod_labels, **standard}
