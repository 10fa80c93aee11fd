"""From an engine to the objects that make it true. Pure: no client, clock, environment or logger.

`render` is the whole; the Secret copy is apart (`secret.credential_copy`), because only its caller
has the credential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.render.connection import connection_config_map
from coordinator.render.daemonset import daemon_set
from coordinator.render.servicemonitor import is_monitored, service_monitor
from coordinator.render.services import lookup_service, metrics_service

if TYPE_CHECKING:
    from coordinator.api.engine import Engine
    from coordinator.render.facts import Facts
    from coordinator.render.manifest import Manifest

__all__ = ["render"]


def render(engine: Engine, facts: Facts) -> tuple[Manifest, ...]:
    """Return every object that the engine should have, in the order in which to apply them.

    What is not in it any more should not be in the cluster either.
    """
    # The Services before the pods and the ConfigMap: what points at a thing comes after it.
    manifests = [
        lookup_service(engine),
        metrics_service(engine),
        connection_config_map(engine, facts),
        daemon_set(engine, facts),
    ]
    if is_monitored(engine, facts):
        manifests.append(service_monitor(engine))
    return tuple(manifests)
