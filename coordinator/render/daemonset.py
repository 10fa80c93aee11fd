"""The DaemonSet: one cache server on every selected node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.api.spec import RollingUpdateSpec
from coordinator.render.gateway import daemon_set_annotations
from coordinator.render.labels import selector_labels
from coordinator.render.manifest import Manifest, metadata
from coordinator.render.names import daemon_set_name
from coordinator.render.pod import pod_template

if TYPE_CHECKING:
    from coordinator.api.engine import Engine
    from coordinator.api.spec import UpdateStrategySpec
    from coordinator.render.facts import Facts


def daemon_set(engine: Engine, facts: Facts) -> Manifest:
    """Return the DaemonSet of the cache servers."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            **metadata(engine, daemon_set_name(engine.name)),
            "annotations": daemon_set_annotations(engine, facts),
        },
        "spec": {
            "selector": {"matchLabels": selector_labels(engine)},
            "updateStrategy": _update_strategy(engine.spec.update_strategy),
            "template": pod_template(engine, facts),
        },
    }


def _update_strategy(strategy: UpdateStrategySpec) -> dict[str, Any]:
    if strategy.type == "OnDelete":
        return {"type": "OnDelete"}
    pace = strategy.rolling_update or RollingUpdateSpec()
    # No surge: two servers on one node would need twice the pinned memory.
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": pace.max_unavailable, "maxSurge": 0},
    }
