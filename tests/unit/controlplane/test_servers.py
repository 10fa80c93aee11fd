"""Argument lists, credentials and node manifests: pure functions."""

import base64
import json
from pathlib import Path

import pytest

from hack.controlplane import credentials, nodes, servers
from hack.controlplane.layout import Layout

LAYOUT = Layout(Path("/somewhere"))
ALL = {
    "etcd": servers.etcd(LAYOUT),
    "kube-apiserver": servers.kube_apiserver(LAYOUT, port=1001),
    "kube-controller-manager": servers.kube_controller_manager(LAYOUT, port=1002),
    "kube-scheduler": servers.kube_scheduler(LAYOUT, port=1003),
    "kwok": servers.kwok(LAYOUT, port=1004, stages=[Path("/stages/node.yaml")]),
}


@pytest.mark.parametrize("name", ALL)
def test_no_argument_opens_a_server_to_the_network(name):
    text = " ".join(ALL[name])
    assert "0.0.0.0" not in text
    assert "--insecure" not in text
    assert f"{servers.LOOPBACK}" in text


def test_etcd_listens_on_sockets_whose_path_is_short_wherever_the_folder_is():
    listening = [one for one in servers.etcd(LAYOUT) if one.startswith("--listen")]
    assert len(listening) == 2
    assert all("=unix://etcd" in one and "somewhere" not in one for one in listening)


def test_auditing_is_asked_for_only_when_wanted():
    assert not any("audit" in one for one in ALL["kube-apiserver"])
    audited = servers.kube_apiserver(LAYOUT, port=1001, audit=True)
    assert f"--audit-log-path={LAYOUT.audit_log}" in audited
    policy = json.loads(servers.audit_policy())
    assert policy["rules"] == [{"level": "Metadata"}]
    assert policy["omitStages"] == ["RequestReceived"]


def test_kwok_leaves_real_nodes_alone_and_keeps_leases():
    assert "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake" in ALL["kwok"]
    assert "--node-lease-duration-seconds=40" in ALL["kwok"]
    assert "--config=/stages/node.yaml" in ALL["kwok"]


def test_the_signing_key_is_a_fresh_p256_number():
    keys = {credentials.new_signing_key() for _ in range(3)}
    assert len(keys) == 3
    for key in keys:
        first, *body, last = key.splitlines()
        assert (first, last) == (
            "-----BEGIN EC PRIVATE KEY-----",
            "-----END EC PRIVATE KEY-----",
        )
        der = base64.b64decode("".join(body))
        assert der[1] == len(der) - 2
        assert 0 < int.from_bytes(der[7:39], "big") < credentials.P256_ORDER


def test_everybody_has_a_token_and_a_name_of_their_own():
    users = credentials.new_users()
    assert len({user.token for user in users.values()}) == len(users)
    lines = credentials.token_file(users).splitlines()
    assert lines[0].endswith(',admin,admin,"system:masters"')
    assert len(lines) == len(users)


def test_a_kubeconfig_is_complete_in_itself():
    user = credentials.User("somebody", "s3cret", ())
    text = credentials.kubeconfig(user, url="https://127.0.0.1:1", certificate_authority=b"PEM")
    document = json.loads(text)
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert document["users"][0]["user"] == {"token": "s3cret"}
    assert "certificate-authority-data" in document["clusters"][0]["cluster"]


def test_a_fake_gpu_node_is_what_kwok_and_the_operator_look_for():
    fake = nodes.FakeNodes(count=2, prefix="n", gpus=4, memory="1Ti", labels={"zone": "a"})
    first, second = fake.manifests()
    assert [first["metadata"]["name"], second["metadata"]["name"]] == ["n-0", "n-1"]
    assert first["metadata"]["annotations"] == {"kwok.x-k8s.io/node": "fake"}
    labels = first["metadata"]["labels"]
    assert labels["nvidia.com/gpu.present"] == "true"
    assert labels["kubernetes.io/hostname"] == "n-0"
    assert labels["zone"] == "a"
    assert first["status"]["allocatable"] == {
        "cpu": "64",
        "memory": "1Ti",
        "pods": "110",
        "nvidia.com/gpu": "4",
    }
    addresses = [one["status"]["addresses"][0]["address"] for one in (first, second)]
    assert len(set(addresses)) == 2


def test_a_node_without_gpus_does_not_claim_any():
    (node,) = nodes.FakeNodes(count=1, gpus=0).manifests()
    assert "nvidia.com/gpu" not in node["status"]["capacity"]
    assert "nvidia.com/gpu.present" not in node["metadata"]["labels"]
