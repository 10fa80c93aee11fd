"""Warning Events about our DaemonSets and pods: what the objects themselves do not tell."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.kube.client import KubeClient
from coordinator.kube.informer import Informer
from coordinator.kube.resources import EVENTS, ObjectKey
from coordinator.status.traces import Trace, is_kept, trace_from


class EventWatch:
    """Keeps the Events that may explain something, by the UID of what they are about.

    Two informers, because field selectors know no "or"; each server-side filter that can be had is
    used, the rest is dropped on arrival. `on_trace` is called with each that came or was repeated.
    """

    def __init__(self, client: KubeClient, *, on_trace: Callable[[Trace], None]) -> None:
        def changed(_key: ObjectKey, _old: Trace | None, new: Trace | None) -> None:
            # An Event that has expired is no news about its object.
            if new is not None:
                on_trace(new)

        self.informers: tuple[Informer[Trace], ...] = tuple(
            Informer(
                client,
                EVENTS,
                field_selector=f"type=Warning,involvedObject.kind={kind}",
                keep=is_kept,
                project=trace_from,
                index=lambda trace: ObjectKey("", trace.uid),
                on_change=changed,
            )
            for kind in ("DaemonSet", "Pod")
        )

    def about(self, uid: str) -> tuple[Trace, ...]:
        """Return what is known about an object, newest first."""
        found = [
            trace
            for informer in self.informers
            for trace in informer.group(ObjectKey("", uid)).values()
        ]
        return tuple(sorted(found, key=lambda trace: trace.at, reverse=True))
