"""The managed credential copy on a real API server, under the shipped ServiceAccount."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.controlplane import wait_until
from tests.integration.harness import (
    Cluster,
    Coordinator,
    engine_manifest,
    running_coordinator,
)

PASSWORD = "hunter2-Tr0ub4dor"
ROTATED = "correct-horse-battery"
COPY = "my-cache-resp-auth"
REVISION = "lmcache.lmcache.ai/resp-auth-revision"
# One look is due every 30 s.
LOOK = 40.0


@pytest.fixture(scope="module")
def coordinator(
    cluster: Cluster, coordinator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Coordinator]:
    """At the level debug, where a careless line would show."""
    log = tmp_path_factory.mktemp("coordinator") / "log"
    with running_coordinator(coordinator_kubeconfig, log, debug=True) as process:
        yield process


@pytest.fixture
def source_namespace(cluster: Cluster, namespace: str) -> Iterator[str]:
    name = cluster.namespace(f"{namespace[:50]}-redis")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _secret(name: str, **values: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": values,
    }


def _engine(namespace: str | None = None, **resp: Any) -> dict[str, Any]:
    reference = {"name": "redis-auth"} | ({"namespace": namespace} if namespace else {})
    return engine_manifest(
        l2Backend={
            "resp": {"host": "redis.redis", "port": 6379, "authSecretRef": reference, **resp}
        }
    )


def _values(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def _revision(cluster: Cluster, namespace: str) -> str:
    daemon_set = cluster.get("daemonset", "my-cache", "-n", namespace)
    return str(daemon_set["spec"]["template"]["metadata"]["annotations"][REVISION])


def _pods(cluster: Cluster, namespace: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.get("pods", "-n", namespace)["items"]}


def test_a_credential_of_another_namespace_is_copied_rotated_and_shown_nowhere(
    cluster: Cluster, coordinator: Coordinator, namespace: str, source_namespace: str
) -> None:
    cluster.apply(
        _secret("redis-auth", password=PASSWORD, username="me", other="not-for-others"),
        namespace=source_namespace,
    )
    cluster.apply(_engine(source_namespace), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running")

    copy = cluster.get("secret", COPY, "-n", namespace)
    assert _values(copy) == {"password": PASSWORD, "username": "me"}
    engine = cluster.engine("my-cache", namespace)
    assert [owner["uid"] for owner in copy["metadata"]["ownerReferences"]] == [
        engine["metadata"]["uid"]
    ]
    assert copy["metadata"]["labels"]["app.kubernetes.io/instance"] == "my-cache"
    first, pods = _revision(cluster, namespace), _pods(cluster, namespace)

    cluster.apply(_secret("redis-auth", password=ROTATED), namespace=source_namespace)
    # What stringData leaves out stays in the source: take the user name away on purpose.
    cluster.kubectl(
        "patch", "secret", "redis-auth", "-n", source_namespace, "--type=json",
        "-p", '[{"op": "remove", "path": "/data/username"}]',
    )  # fmt: skip
    wait_until(
        lambda: _values(cluster.get("secret", COPY, "-n", namespace)) == {"password": ROTATED},
        within=LOOK,
        what="the copy to follow its source",
    )
    wait_until(
        lambda: (
            not pods & _pods(cluster, namespace)
            and cluster.condition("my-cache", namespace).get("status") == "True"
        ),
        within=LOOK,
        what="all pods to be replaced",
    )
    assert _revision(cluster, namespace) != first

    _assert_secret(cluster, coordinator, namespace)


def _assert_secret(cluster: Cluster, coordinator: Coordinator, namespace: str) -> None:
    """Look for the passwords wherever somebody could who may not read the Secret."""
    everything = [
        cluster.kubectl("get", kind, "-n", namespace, "-o", "json", "--show-managed-fields")
        for kind in ("lmc", "daemonsets", "pods", "configmaps", "services", "events",
                     "controllerrevisions")
    ]  # fmt: skip
    everything += [coordinator.log.read_text(), coordinator.metrics()]
    copy = cluster.get("secret", COPY, "-n", namespace)
    everything.append(json.dumps(copy["metadata"]))
    forms = [
        form
        for password in (PASSWORD, ROTATED)
        for form in (password, base64.b64encode(password.encode()).decode())
    ]
    # The scan finds what is there: the Secret itself holds the newer one.
    assert any(form in json.dumps(copy["data"]) for form in forms)
    for text in everything:
        assert len(text) > 2
        assert not [form for form in forms if form in text]


def test_a_source_that_comes_late_is_named_and_then_found(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    cluster.apply(_engine(), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "CredentialMissing")
    assert condition["status"] == "False"
    assert (
        f"Secret redis-auth in namespace {namespace} does not exist, but"
        " spec.l2Backend.resp.authSecretRef names it: correct the reference, or create it with"
        f" `kubectl create secret generic redis-auth -n {namespace} --from-file=password=FILE`."
    ) in condition["message"]
    assert cluster.condition("my-cache", namespace, "ConfigValid")["status"] == "True"
    assert cluster.find("daemonset", "my-cache", "-n", namespace) is None

    cluster.apply(_secret("redis-auth", username="me"), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "CredentialIncomplete", within=LOOK)
    assert f"namespace {namespace} has no key password, or it is empty" in condition["message"]

    cluster.apply(_secret("redis-auth", password=PASSWORD), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running", within=LOOK)
    assert cluster.condition("my-cache", namespace)["status"] == "True"


def test_what_runs_keeps_running_while_a_source_is_away_and_the_copy_goes_with_the_reference(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    cluster.apply(_secret("redis-auth", password=PASSWORD), namespace=namespace)
    cluster.apply(_engine(), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running")
    pods = _pods(cluster, namespace)
    revision = _revision(cluster, namespace)

    # Another source that does not exist: the whole spec waits, also its new host.
    changed = _engine(host="elsewhere.redis")
    changed["spec"]["l2Backend"]["resp"]["authSecretRef"] = {"name": "not-there"}
    cluster.apply(changed, namespace=namespace)
    cluster.wait_reason("my-cache", namespace, "CredentialMissing")
    daemon_set = cluster.get("daemonset", "my-cache", "-n", namespace)
    assert "elsewhere.redis" not in json.dumps(daemon_set)

    # The source that the copy is from goes: the copy serves on, also for a changed spec.
    cluster.kubectl("delete", "secret", "redis-auth", "-n", namespace)
    cluster.apply(_engine(), namespace=namespace)
    wait_until(
        lambda: "Secret redis-auth " in cluster.condition("my-cache", namespace).get("message", ""),
        within=LOOK,
        what="the absence of the source to be reported",
    )
    assert cluster.condition("my-cache", namespace)["reason"] == "CredentialMissing"
    assert _pods(cluster, namespace) == pods
    assert _revision(cluster, namespace) == revision

    cluster.apply(engine_manifest(), namespace=namespace)
    wait_until(
        lambda: cluster.find("secret", COPY, "-n", namespace) is None,
        within=30,
        what="the copy to be pruned",
    )
    cluster.wait_reason("my-cache", namespace, "AllReady")


def test_a_secret_of_the_copys_name_that_is_not_ours_is_left_alone(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    cluster.apply(_secret("redis-auth", password=PASSWORD), namespace=namespace)
    cluster.apply(_secret(COPY, password="somebody-elses"), namespace=namespace)
    cluster.apply(_engine(), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "Conflict")
    assert f"Secret {COPY} exists in namespace {namespace}" in condition["message"]
    assert _values(cluster.get("secret", COPY, "-n", namespace)) == {"password": "somebody-elses"}

    # Nor is it pruned when the engine does not want a credential any more.
    cluster.apply(engine_manifest(), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running")
    assert cluster.find("secret", COPY, "-n", namespace) is not None
