"""A real Kubernetes control plane on this machine, for the demo, the tests and the benchmarks.

Standard library only: it runs before any virtual environment is there.

    with ControlPlane.start(ControlPlaneOptions(kwok=True), report=print) as cluster:
        cluster.add_nodes(FakeNodes(count=4))
        print(cluster.kubectl("get", "nodes"))
"""

from hack.controlplane.audit import AuditEvent
from hack.controlplane.binaries import missing as missing_programs
from hack.controlplane.cluster import ControlPlane, ControlPlaneOptions
from hack.controlplane.errors import ControlPlaneError
from hack.controlplane.nodes import FakeNodes
from hack.controlplane.waiting import wait_until

__all__ = [
    "AuditEvent",
    "ControlPlane",
    "ControlPlaneError",
    "ControlPlaneOptions",
    "FakeNodes",
    "missing_programs",
    "wait_until",
]
