"""Events of the DaemonSet controller and the kubelets, as far as they explain anything. Pure.

An Event says what was true when it was written, and stays for an hour. Whether its trouble can
still be there is for its reader to decide (coordinator/status/failures.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coordinator.status.containers import moment, one_line

# What pods and DaemonSets do not tell by themselves. All else stands in the objects' status.
_OF_DAEMON_SETS = frozenset({"FailedCreate"})
_OF_PODS = frozenset({"FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume"})
_OF_CONTAINERS = frozenset({"Unhealthy", "Failed"})
_CONTAINERS = ("spec.containers{lmcache}", "spec.containers{gateway}")

_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Trace:
    """What is kept of an Event: about whom, why, when last, in its writer's words."""

    kind: str
    namespace: str
    name: str
    uid: str
    reason: str
    container: str
    message: str
    at: datetime


def is_kept(event: Mapping[str, Any]) -> bool:
    """Tell whether an Event can be about one of our pods and would explain something.

    The API server cannot select by labels of the object that an Event is about, and a pod's Event
    may come before the pod; so names of containers are looked at, and the UID by whoever asks.
    """
    about = event.get("involvedObject") or {}
    reason = event.get("reason", "")
    if about.get("kind") == "DaemonSet":
        return reason in _OF_DAEMON_SETS
    if reason in _OF_CONTAINERS:
        return about.get("fieldPath") in _CONTAINERS
    return reason in _OF_PODS


def trace_from(event: Mapping[str, Any]) -> Trace:
    """Project an Event (core/v1, whichever API it was written through)."""
    about = event["involvedObject"]
    series = event.get("series") or {}
    when = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
    path = about.get("fieldPath") or ""
    return Trace(
        kind=about.get("kind", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        uid=about.get("uid", ""),
        reason=event.get("reason", ""),
        container=path.partition("{")[2].rstrip("}"),
        message=one_line(event.get("message") or "").removeprefix(
            "(combined from similar events): "
        ),
        at=moment(when) or _LONG_AGO,
    )
