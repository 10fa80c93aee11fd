"""Which gateway an engine's pods have: the operator's setting, or the one that they run with.

The gateway is part of the pod, and a new image of it restarts the cache server beside it. So an
upgrade of the operator changes nothing for engines that are there: a DaemonSet keeps its gateway
until the engine's spec changes the pods anyway.
"""

from __future__ import annotations

from coordinator.api.engine import Engine
from coordinator.kube.resources import Manifest
from coordinator.reconcile import drift
from coordinator.reconcile.view import controller_uid
from coordinator.render.daemonset import daemon_set
from coordinator.render.facts import Facts
from coordinator.render.gateway import GENERATION, as_annotated


def with_gateway(facts: Facts, engine: Engine, live: Manifest | None) -> Facts:
    """Return the facts of the operator with the gateway that this engine's pods are to have.

    What is kept is read from the DaemonSet's annotations, not from its containers: an image that
    somebody else has put there is drift.
    """
    if live is None or controller_uid(live) != engine.uid:
        return facts
    annotations = live["metadata"].get("annotations") or {}
    if GENERATION not in annotations:
        return facts
    kept = as_annotated(facts, annotations)
    if kept == facts or annotations[GENERATION] == str(engine.generation):
        return kept
    # A change of the spec that the pods do not see, such as a scrape interval, costs no cache.
    wanted = daemon_set(engine, kept)["spec"]["template"]
    return kept if drift.is_covered(live["spec"]["template"], wanted) else facts
