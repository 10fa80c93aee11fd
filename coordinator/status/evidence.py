"""What is looked at to find out why a pod is not ready, and what comes of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from coordinator.status.containers import Container
from coordinator.status.observed import Observed, Pod
from coordinator.status.traces import Trace

# The kubelet forgets a crash after twice its longest back-off.
CRASH_MEMORY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Hit:
    """A fact about one pod, and what to do. Both are sentences."""

    fact: str
    remedy: str


Detect = Callable[[Observed, Pod], Hit | None]


def waiting(pod: Pod, *reasons: str) -> Iterator[Container]:
    """Return the containers that wait for one of these reasons."""
    return (container for container in pod.containers if container.waiting in reasons)


def ended(observed: Observed, pod: Pod) -> Iterator[Container]:
    """Yield the containers whose last end may be why the pod is not ready."""
    for container in pod.containers:
        last = container.last
        if container.is_ready or last is None or (container.is_init and not last.exit_code):
            continue
        runs_long = (
            container.running_since is not None
            and observed.now is not None
            and observed.now - container.running_since > CRASH_MEMORY
        )
        if not runs_long:
            yield container


def newest(observed: Observed, pod: Pod, *reasons: str, container: str = "") -> Trace | None:
    """Return the newest Event with one of these reasons, about a container or about none."""
    return next(
        (
            trace
            for trace in observed.traces.get(pod.uid, ())
            if trace.reason in reasons and trace.container == container
        ),
        None,
    )


def before_start(observed: Observed, pod: Pod, *reasons: str) -> Trace | None:
    """Return the newest Event of a pod of which nothing has run yet."""
    for container in pod.containers:
        if (
            container.running_since is not None
            or container.last is not None
            or container.waiting not in ("", "ContainerCreating", "PodInitializing")
        ):
            return None
    return newest(observed, pod, *reasons)


def probe(observed: Observed, pod: Pod, container: Container, what: str) -> str:
    """Return what the kubelet said last about a probe of this container, empty if nothing."""
    for trace in observed.traces.get(pod.uid, ()):
        if (
            trace.reason == "Unhealthy"
            and trace.container == container.name
            and trace.message.startswith(what)
        ):
            return trace.message.removeprefix(what).lstrip(": ") or what
    return ""


def sentence(text: str) -> str:
    """Return a text with a full stop at its end."""
    text = text.strip() or "no reason given"
    return text if text[-1] in ".!?…" else f"{text}."
