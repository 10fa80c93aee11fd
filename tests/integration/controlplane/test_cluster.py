"""What a started control plane can do."""

import json
from pathlib import Path
from typing import Any

import pytest

from hack.controlplane import ControlPlane, FakeNodes, wait_until
from hack.controlplane.errors import CommandFailed


def _daemon_set(name: str) -> str:
    labels = {"app": name}
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "nodeSelector": {"nvidia.com/gpu.present": "true"},
                        "containers": [{"name": "main", "image": "nothing.invalid/is:pulled"}],
                    },
                },
            },
        }
    )


def _pods(cluster: ControlPlane, app: str) -> list[dict[str, Any]]:
    listed = json.loads(cluster.kubectl("get", "pods", "-l", f"app={app}", "-o", "json"))
    found: list[dict[str, Any]] = listed["items"]
    return found


def test_it_is_ready_and_its_version_is_told(cluster):
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    version = json.loads(cluster.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]
    assert version["serverVersion"]["gitVersion"].startswith("v1.")


def test_everything_listens_on_loopback_only(cluster):
    pids = cluster.servers()
    assert set(pids) == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
    }
    for name, pid in pids.items():
        addresses = _listening(pid)
        # etcd's two are sockets in the private folder, which are in other tables.
        assert addresses <= {"0100007F"}, (name, addresses)
        assert bool(addresses) is (name != "etcd")


def _listening(pid: int) -> set[str]:
    """Return the local addresses, as the kernel writes them, on which a process listens."""
    links = (one.readlink() for one in Path(f"/proc/{pid}/fd").iterdir())
    inodes = {link.name[8:-1] for link in links if link.name.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_secrets_are_for_the_owner_only(cluster):
    for name in ("kubeconfig", "tokens.csv", "service-account.key", "state.json"):
        assert (cluster.folder / name).stat().st_mode & 0o077 == 0
    assert cluster.folder.stat().st_mode & 0o077 == 0


def test_a_daemon_set_runs_on_all_fake_nodes_and_goes_again(cluster):
    cluster.kubectl("create", "-f", "-", stdin=_daemon_set("everywhere"))
    wait_until(
        lambda: (
            cluster.kubectl("get", "ds", "everywhere", "-o", "jsonpath={.status.numberReady}")
            == "4"
        ),
        within=60,
        what="the DaemonSet 4/4 Ready",
    )
    pods = _pods(cluster, "everywhere")
    assert {pod["spec"]["nodeName"] for pod in pods} == set(FakeNodes(count=4).names())
    assert len({pod["status"]["podIP"] for pod in pods}) == 4
    cluster.kubectl("delete", "ds", "everywhere", "--cascade=foreground")
    wait_until(lambda: not _pods(cluster, "everywhere"), within=60, what="the pods' end")


def test_fake_nodes_hold_leases_as_kubelets_do(cluster):
    wait_until(
        lambda: (
            set(FakeNodes(count=4).names())
            <= set(
                cluster.kubectl(
                    "-n",
                    "kube-node-lease",
                    "get",
                    "leases",
                    "-o",
                    "jsonpath={.items[*].metadata.name}",
                ).split()
            )
        ),
        within=30,
        what="a lease per node",
    )


def test_adding_a_node_twice_does_no_harm(cluster):
    assert cluster.add_nodes(FakeNodes(count=1)) == ("gpu-node-0",)


def test_a_pods_token_tells_its_node(cluster):
    cluster.kubectl("create", "-f", "-", stdin=_daemon_set("token"))
    pod = wait_until(lambda: next(iter(_pods(cluster, "token")), None), within=60, what="a pod")
    pod = wait_until(
        lambda: next((one for one in _pods(cluster, "token") if "nodeName" in one["spec"]), None),
        within=60,
        what="a pod on a node",
    )
    bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"]}
    bound["uid"] = pod["metadata"]["uid"]
    issued = cluster.api.request(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts/default/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": ["coordinator"], "boundObjectRef": bound},
        },
    )
    assert issued.ok, issued.body
    token = issued.body["status"]["token"]

    def review(audience: str) -> dict[str, Any]:
        answer = cluster.api.request(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [audience]},
            },
        )
        assert answer.ok, answer.body
        reviewed: dict[str, Any] = answer.body["status"]
        return reviewed

    status = review("coordinator")
    assert status["authenticated"]
    assert status["audiences"] == ["coordinator"]
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    extra = status["user"]["extra"]
    assert extra["authentication.kubernetes.io/node-name"] == [pod["spec"]["nodeName"]]
    assert extra["authentication.kubernetes.io/pod-name"] == [pod["metadata"]["name"]]
    assert not review("somebody-else").get("authenticated")
    cluster.kubectl("delete", "ds", "token")


def test_the_audit_log_counts_requests(cluster):
    def written() -> list[tuple[Any, ...]]:
        return [
            (event.verb, event.user, event.namespace, event.code, event.stage)
            for event in cluster.audit_events()
            if event.is_write and (event.resource, event.name) == ("configmaps", "counted")
        ]

    cluster.kubectl("create", "configmap", "counted")
    cluster.kubectl("label", "configmap", "counted", "a=b")
    cluster.kubectl("get", "configmap", "counted")
    cluster.kubectl("delete", "configmap", "counted")
    wait_until(lambda: len(written()) >= 3, within=10, what="three writes in the audit log")
    assert written() == [
        ("create", "admin", "default", 201, "ResponseComplete"),
        ("patch", "admin", "default", 200, "ResponseComplete"),
        ("delete", "admin", "default", 200, "ResponseComplete"),
    ]


def test_a_refused_command_says_why(cluster):
    with pytest.raises(CommandFailed, match=r'kubectl get pod absent: .*"absent" not found'):
        cluster.kubectl("get", "pod", "absent")
