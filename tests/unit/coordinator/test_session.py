"""Finding the cluster: what cannot be used is told in one sentence."""

import base64
from typing import Any

import pytest
import yaml

from coordinator.errors import StartupError
from coordinator.kube.session import load_cluster


@pytest.fixture(autouse=True)
def no_cluster_of_this_machine(monkeypatch, tmp_path):
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def document(**parts) -> Any:
    cluster = {"server": "https://127.0.0.1:6443/"} | parts.get("cluster", {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": parts.get("current", "c"),
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": parts.get("user", {"token": "hunter2"})}],
    }


@pytest.fixture
def kubeconfig(tmp_path):
    def write(content) -> Any:
        path = tmp_path / "kubeconfig"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return str(path)

    return write


def encoded(text) -> Any:
    return base64.b64encode(text.encode()).decode()


def test_a_kubeconfig_gives_server_and_credential(kubeconfig):
    cluster = load_cluster(kubeconfig(document()))
    assert cluster.server == "https://127.0.0.1:6443"
    assert cluster.authorization() == "Bearer hunter2"


def test_the_environment_names_the_kubeconfig(kubeconfig, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", kubeconfig(document()))
    assert load_cluster(None).server == "https://127.0.0.1:6443"


def test_an_option_wins_over_the_environment(kubeconfig, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert load_cluster(kubeconfig(document())).server == "https://127.0.0.1:6443"


BAD = {
    "empty file": ("", "kubeconfig"),
    "broken YAML": ("a: [", "cannot be used"),
    "no mapping": ("just text", "cannot be used"),
    "unknown context": (document(current="nope"), "nope"),
    "no server": (document(cluster={"server": None}), "cannot be used"),
    "authority is no base64": (
        document(cluster={"certificate-authority-data": "%%%"}),
        "certificates|cannot be used",
    ),
    "authority is no certificate": (
        document(cluster={"certificate-authority-data": encoded("nonsense")}),
        "certificates",
    ),
    "client certificate is none": (
        document(
            user={
                "client-certificate-data": encoded("nonsense"),
                "client-key-data": encoded("nonsense"),
            }
        ),
        "certificates",
    ),
    "authority file is missing": (
        document(cluster={"certificate-authority": "/nowhere/ca.crt"}),
        "/nowhere/ca.crt",
    ),
}


@pytest.mark.parametrize(("content", "names"), BAD.values(), ids=BAD)
def test_a_kubeconfig_that_cannot_be_used_is_told_in_one_sentence(kubeconfig, content, names):
    with pytest.raises(StartupError, match=names) as raised:
        load_cluster(kubeconfig(content))
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("named", ["option", "environment"])
def test_a_missing_kubeconfig_is_named(monkeypatch, named):
    if named == "environment":
        monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with pytest.raises(StartupError, match="/nowhere/kubeconfig does not exist"):
        load_cluster("/nowhere/kubeconfig" if named == "option" else None)


def test_without_any_hint_the_default_file_is_named():
    with pytest.raises(StartupError, match="kube/config"):
        load_cluster(None)


def test_a_pod_without_a_token_is_told_what_to_set(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(StartupError, match="automountServiceAccountToken"):
        load_cluster(None)


def test_an_empty_variable_is_no_kubeconfig(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(StartupError, match="ServiceAccount"):
        load_cluster(None)
