"""The options of the agents' port, and the shipped manifests held against the code."""

import pathlib
from typing import Any

import pytest
import yaml

from coordinator.cli import parse
from coordinator.errors import StartupError
from coordinator.health import token_review, trust, trust_store
from coordinator.settings import Address
from nodeagent import settings as agent_settings

BASE = pathlib.Path(__file__).resolve().parents[3] / "deploy/base"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((BASE / name).read_text()))


def test_tls_is_the_default_and_listens_everywhere():
    chosen = parse([], {})
    assert (chosen.agents_tls, chosen.agents) == (True, Address("0.0.0.0", 9443))


def test_without_tls_loopback_is_the_default():
    for chosen in (
        parse(["--agents-tls=off"], {}),
        parse([], {"LMCACHE_OPERATOR_AGENTS_TLS": "off"}),
    ):
        assert (chosen.agents_tls, chosen.agents) == (False, Address("127.0.0.1", 9443))


@pytest.mark.parametrize(
    ("arguments", "environment", "namespace"),
    [
        ([], {}, "lmcache-operator-system"),
        ([], {"POD_NAMESPACE": "a"}, "a"),
        ([], {"POD_NAMESPACE": "a", "LMCACHE_OPERATOR_NAMESPACE": "b"}, "b"),
        (["--namespace=c"], {"POD_NAMESPACE": "a", "LMCACHE_OPERATOR_NAMESPACE": "b"}, "c"),
    ],
)
def test_the_namespace_is_the_pods_own_unless_named(arguments, environment, namespace):
    assert parse(arguments, environment).namespace == namespace


@pytest.mark.parametrize("name", ["A", "a.b", "-", "a" * 64])
def test_a_namespace_that_cannot_be_is_refused(name):
    with pytest.raises(StartupError, match="--namespace"):
        parse([f"--namespace={name}"], {})


def test_names_of_the_server_are_those_that_agents_call():
    names = trust_store.server_names("ns", "cluster.local")
    assert "lmcache-coordinator.ns.svc" in names
    assert "lmcache-coordinator.ns.svc.cluster.local" in names


def agent_pod_spec() -> tuple[Any, Any]:
    (daemon_set,) = documents("node-agent.yaml")
    return daemon_set, daemon_set["spec"]["template"]["spec"]


def test_the_agents_manifest_is_what_the_coordinator_expects():
    daemon_set, pod = agent_pod_spec()
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    name, _, value = trust.AGENT_SELECTOR.partition("=")
    assert labels[name] == value
    assert pod["serviceAccountName"] == token_review.AGENT_ACCOUNT
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (source,) = volumes["token"]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == token_review.AUDIENCE
    assert volumes["ca"]["configMap"] == {"name": trust_store.CONFIG_MAP, "optional": True}
    assert pod["automountServiceAccountToken"] is False


def test_the_agents_arguments_are_accepted_and_lead_to_its_mounts():
    import argparse

    _, pod = agent_pod_spec()
    (container,) = pod["containers"]
    words = [word.replace("$(POD_NAMESPACE)", "ns") for word in container["args"]]
    parser = argparse.ArgumentParser()
    agent_settings.add_arguments(parser)
    chosen = agent_settings.settings(parser.parse_args(words), {"NODE_NAME": "n1"})
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert chosen.ca_file is not None
    assert chosen.token_file is not None
    for path in (chosen.ca_file.parent, chosen.token_file.parent, chosen.state_directory):
        assert str(path) in mounts
    host, _, port = chosen.coordinator.rpartition(":")
    assert host in trust_store.server_names("ns", "cluster.local")
    service = next(d for d in documents("coordinator.yaml") if d["kind"] == "Service")
    assert service["metadata"]["name"] == trust_store.SERVICE
    assert [int(port)] == [entry["port"] for entry in service["spec"]["ports"]]


def test_the_role_covers_exactly_what_is_kept():
    role = next(d for d in documents("rbac.yaml") if d["kind"] == "Role")
    named = {
        (rule["resources"][0], name)
        for rule in role["rules"]
        for name in rule.get("resourceNames", ())
    }
    assert {
        ("secrets", trust_store.SECRET),
        ("configmaps", trust_store.CONFIG_MAP),
        ("deployments", trust_store.DEPLOYMENT),
    } <= named
    for rule in role["rules"]:
        if "resourceNames" not in rule and rule["resources"] == ["secrets", "configmaps"]:
            assert rule["verbs"] == ["create"]
