"""The argument list of each server. Pure: layout and port in, arguments out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hack.controlplane import layout as names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hack.controlplane.layout import Layout

LOOPBACK = "127.0.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"
FAKE_NODE_ANNOTATION = ("kwok.x-k8s.io/node", "fake")

# A real cluster limits its controllers to spare its API server. Here a DaemonSet on hundreds of
# nodes should roll as fast as the machine can.
API_QPS = 1000
API_BURST = 2000


def etcd(layout: Layout) -> tuple[str, ...]:
    """Return the arguments of etcd, which listens on sockets in the private folder only."""
    return (
        f"--data-dir={layout.etcd_data}",
        "--name=controlplane",
        f"--listen-client-urls=unix://{names.ETCD_SOCKET}",
        # No other member ever connects; etcd wants some address here, and it has to be a TCP one.
        f"--advertise-client-urls=http://{LOOPBACK}:0",
        f"--listen-peer-urls=unix://{names.ETCD_PEER_SOCKET}",
        f"--initial-advertise-peer-urls=http://{LOOPBACK}:0",
        f"--initial-cluster=controlplane=http://{LOOPBACK}:0",
        # The data ends with the control plane: there is nothing to keep through a power cut.
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def kube_apiserver(layout: Layout, *, port: int, audit: bool = False) -> tuple[str, ...]:
    """Return the arguments of the API server."""
    auditing = (
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        # Never rotated: a reader that counts requests follows one file.
        "--audit-log-maxsize=0",
    )
    return (
        f"--etcd-servers=unix://{names.ETCD_SOCKET}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={port}",
        # An Endpoints object must not hold a loopback address, so there is none for this server.
        "--endpoint-reconciler-type=none",
        f"--cert-dir={layout.pki}",
        f"--token-auth-file={layout.tokens}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={layout.service_account_key}",
        f"--service-account-signing-key-file={layout.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,PodSecurity",
        "--profiling=false",
        *(auditing if audit else ()),
    )


def kube_controller_manager(layout: Layout, *, port: int) -> tuple[str, ...]:
    """Return the arguments of the controller manager."""
    return (
        f"--kubeconfig={layout.kubeconfig_of('kube-controller-manager')}",
        *_serving(layout, port=port),
        f"--root-ca-file={layout.certificate}",
        f"--service-account-private-key-file={layout.service_account_key}",
        "--leader-elect=false",
        f"--kube-api-qps={API_QPS}",
        f"--kube-api-burst={API_BURST}",
        "--profiling=false",
    )


def kube_scheduler(layout: Layout, *, port: int) -> tuple[str, ...]:
    """Return the arguments of the scheduler; the rest is in `scheduler_config`."""
    return (f"--config={layout.scheduler_config}", *_serving(layout, port=port))


def scheduler_config(layout: Layout) -> str:
    """Return the configuration file of the scheduler."""
    return json.dumps(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {
                "kubeconfig": str(layout.kubeconfig_of("kube-scheduler")),
                "qps": API_QPS,
                "burst": API_BURST,
            },
            "leaderElection": {"leaderElect": False},
            "enableProfiling": False,
            # A pod that found no node is tried again soon: tests wait for that.
            "podMaxBackoffSeconds": 2,
        },
        indent=2,
    )


def kwok(layout: Layout, *, port: int, stages: Sequence[Path]) -> tuple[str, ...]:
    """Return the arguments of kwok, which plays the kubelet of annotated nodes and of no other."""
    annotation, value = FAKE_NODE_ANNOTATION
    return (
        f"--kubeconfig={layout.kubeconfig_of('kwok')}",
        *(f"--config={stage}" for stage in stages),
        f"--manage-nodes-with-annotation-selector={annotation}={value}",
        f"--server-address={LOOPBACK}:{port}",
        # A port here is written into every node, and would be listened on at every address.
        "--node-port=0",
        # What a kubelet does. Without leases the nodes would be found lost after 50 s.
        "--node-lease-duration-seconds=40",
        f"--cidr={POD_RANGE}",
        f"--tls-cert-file={layout.certificate}",
        f"--tls-private-key-file={layout.certificate_key}",
    )


def audit_policy() -> str:
    """Return a policy that logs who did what to which object, without the objects."""
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        },
        indent=2,
    )


def _serving(layout: Layout, *, port: int) -> tuple[str, ...]:
    # The API server's certificate: it is for the same address, it saves making two more, and the
    # health of all servers can be asked with one certificate authority.
    return (
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={layout.certificate}",
        f"--tls-private-key-file={layout.certificate_key}",
    )
