"""Certificates on a real API server: made, raced for, renewed, rotated under a real agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import yaml

from coordinator.errors import StartupError
from coordinator.health.assignment import Assignment, AssignmentBook
from coordinator.health.authentication import Refused, TokenAuthenticator
from coordinator.health.certificates import AUTHORITY_LIFE, LEAF_LIFE
from coordinator.health.server import NodeHealthService, serve
from coordinator.health.store import ReportStore
from coordinator.health.tls import ServerCertificate
from coordinator.health.trust_store import CONFIG_MAP, SECRET, TrustStore, server_names
from coordinator.kube.client import KubeClient
from coordinator.kube.session import load_cluster
from coordinator.metrics import Metrics
from coordinator.settings import Address
from hack.controlplane import wait_until
from tests.integration.harness import NAMESPACE, REPOSITORY, Cluster, kubeconfig_with_token
from tests.integration.trust.parties import AgentPod, outcome, report, running_agent, stub

NAMES = server_names(NAMESPACE, "cluster.local")


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def nothing_stored(cluster: Cluster) -> Iterator[None]:
    def remove() -> None:
        for kind, name in (("secret", SECRET), ("configmap", CONFIG_MAP)):
            cluster.kubectl("delete", kind, name, "-n", NAMESPACE, "--ignore-not-found")

    remove()
    yield
    remove()


@pytest.fixture
async def client(coordinator_kubeconfig: Path) -> AsyncIterator[KubeClient]:
    """The API server as the shipped roles allow it."""
    result = KubeClient(load_cluster(str(coordinator_kubeconfig)))
    yield result
    await result.close()


def trust_store(client: KubeClient, clock: Clock, names: tuple[str, ...] = NAMES) -> TrustStore:
    return TrustStore(client, namespace=NAMESPACE, names=names, now=clock)


def bundle(cluster: Cluster) -> str:
    return str(cluster.get("configmap", CONFIG_MAP, "-n", NAMESPACE)["data"]["ca.crt"])


async def test_what_is_made_is_kept_and_read_again(cluster: Cluster, client: KubeClient) -> None:
    clock = Clock()
    made = await trust_store(client, clock).ensure()
    assert cluster.get("secret", SECRET, "-n", NAMESPACE)["type"] == "kubernetes.io/tls"
    assert bundle(cluster) == made.bundle
    version = cluster.get("secret", SECRET, "-n", NAMESPACE)["metadata"]["resourceVersion"]
    again = await trust_store(client, clock).ensure()
    assert again.leaf.certificate == made.leaf.certificate
    found = cluster.get("secret", SECRET, "-n", NAMESPACE)["metadata"]
    assert found["resourceVersion"] == version, "an unchanged certificate costs no write"


async def test_replicas_that_start_at_once_agree(cluster: Cluster, client: KubeClient) -> None:
    stores = [trust_store(client, Clock()) for _ in range(8)]
    materials = await asyncio.gather(*(store.ensure() for store in stores))
    assert len({material.bundle for material in materials}) == 1
    assert len({material.leaf.certificate_pem for material in materials}) == 1
    assert bundle(cluster) == materials[0].bundle


async def test_replicas_that_renew_at_once_agree(cluster: Cluster, client: KubeClient) -> None:
    clock = Clock()
    before = await trust_store(client, clock).ensure()
    clock.now += LEAF_LIFE * 0.7
    stores = [trust_store(client, clock) for _ in range(8)]
    materials = await asyncio.gather(*(store.ensure() for store in stores))
    leaves = {material.leaf.certificate_pem for material in materials}
    assert len(leaves) == 1
    assert leaves != {before.leaf.certificate_pem}
    assert {material.bundle for material in materials} == {before.bundle}


@pytest.mark.parametrize("damage", ["certificate", "key", "no text"])
async def test_a_secret_that_makes_no_sense_is_made_anew(
    cluster: Cluster, client: KubeClient, damage: str
) -> None:
    await trust_store(client, Clock()).ensure()
    name = {"certificate": "ca.crt", "key": "tls.key", "no text": "ca.key"}[damage]
    value = "/w==" if damage == "no text" else "bm8="
    cluster.kubectl(
        "patch", "secret", SECRET, "-n", NAMESPACE, "-p", f'{{"data":{{"{name}":"{value}"}}}}'
    )
    mended = await trust_store(client, Clock()).ensure()
    assert bundle(cluster) == mended.bundle
    assert (await trust_store(client, Clock()).ensure()).bundle == mended.bundle


async def test_a_config_map_that_was_edited_or_deleted_comes_back(
    cluster: Cluster, client: KubeClient
) -> None:
    made = await trust_store(client, Clock()).ensure()
    cluster.kubectl(
        "patch", "configmap", CONFIG_MAP, "-n", NAMESPACE, "-p", '{"data":{"ca.crt":"mine"}}'
    )
    await trust_store(client, Clock()).ensure()
    assert bundle(cluster) == made.bundle
    cluster.kubectl("delete", "configmap", CONFIG_MAP, "-n", NAMESPACE)
    await trust_store(client, Clock()).ensure()
    assert bundle(cluster) == made.bundle


async def test_both_belong_to_the_deployment(cluster: Cluster, client: KubeClient) -> None:
    deployment = next(
        document
        for document in yaml.safe_load_all(
            cluster.kubectl("kustomize", str(REPOSITORY / "deploy/base"))
        )
        if document["kind"] == "Deployment"
    )
    deployment["spec"]["replicas"] = 0
    cluster.apply(deployment)
    try:
        await trust_store(client, Clock()).ensure()
        uid = cluster.get("deployment", "lmcache-coordinator", "-n", NAMESPACE)["metadata"]["uid"]
        for kind, name in (("secret", SECRET), ("configmap", CONFIG_MAP)):
            (owner,) = cluster.get(kind, name, "-n", NAMESPACE)["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["uid"]) == ("Deployment", uid)
            assert "blockOwnerDeletion" not in owner
    finally:
        cluster.kubectl("delete", "deployment", "lmcache-coordinator", "-n", NAMESPACE)


async def test_a_namespace_that_is_not_there_is_told_in_one_sentence(client: KubeClient) -> None:
    store = TrustStore(client, namespace="nowhere", names=NAMES, now=Clock())
    with pytest.raises(StartupError, match=r"namespace nowhere does not exist.*--namespace"):
        await ServerCertificate(store, namespace="nowhere", now=Clock()).load()


async def test_a_role_that_is_missing_is_told_in_one_sentence(
    cluster: Cluster, tmp_path: Path
) -> None:
    token = cluster.kubectl("create", "token", "lmcache-node-agent", "-n", NAMESPACE).strip()
    kubeconfig = kubeconfig_with_token(cluster, token, tmp_path / "kubeconfig")
    client = KubeClient(load_cluster(str(kubeconfig)))
    try:
        store = trust_store(client, Clock())
        certificate = ServerCertificate(store, namespace=NAMESPACE, now=Clock())
        with pytest.raises(StartupError, match=r"lmcache-coordinator-tls.*Apply deploy/base"):
            await certificate.load()
    finally:
        await client.close()


async def test_the_shipped_manifests_are_accepted(cluster: Cluster) -> None:
    said = cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-k",
        str(REPOSITORY / "deploy/base"),
    )  # fmt: skip
    for part in ("daemonset.apps/lmcache-node-agent", "deployment.apps/lmcache-coordinator"):
        assert f"{part} serverside-applied" in said


async def test_the_authority_is_replaced_under_a_real_agent_without_a_lost_report(
    cluster: Cluster,
    client: KubeClient,
    agent_pod: Callable[..., AgentPod],
    nodes: tuple[str, ...],
    library: Path,
    tmp_path: Path,
) -> None:
    """A year in one test: agents that read a ConfigMap late by an hour never notice."""
    today = datetime.now(UTC).replace(microsecond=0)
    clock = Clock()
    clock.now = today - AUTHORITY_LIFE * 0.7
    await trust_store(client, clock).ensure()
    clock.now = today - timedelta(hours=2)
    first = bundle(cluster)

    certificate = ServerCertificate(
        trust_store(client, clock), namespace=NAMESPACE, now=clock, look_every_seconds=0.1
    )
    await certificate.load()
    announced = bundle(cluster)
    assert first in announced
    assert first != announced
    service = NodeHealthService(
        store=ReportStore(clock=asyncio.get_running_loop().time, now=Clock(), fastest_seconds=1),
        assignments=AssignmentBook(compute=lambda _node: Assignment((), expected_gpus=8)),
        authenticator=TokenAuthenticator(client, namespace=NAMESPACE),
        metrics=Metrics(),
    )
    server, address = await serve(
        service, Address("127.0.0.1", 0), credentials=certificate.credentials()
    )
    renewing = asyncio.create_task(certificate.run())
    try:
        await asyncio.to_thread(
            _watch_rotation, str(address), agent_pod(nodes[0]), library, tmp_path,
            first=first, announced=announced, rotate=lambda: setattr(clock, "now", today),
            bundle=lambda: bundle(cluster),
        )  # fmt: skip
    finally:
        renewing.cancel()
        await server.stop(grace=0.5)


def _watch_rotation(
    address: str,
    pod: AgentPod,
    library: Path,
    folder: Path,
    *,
    first: str,
    announced: str,
    rotate: Callable[[], Any],
    bundle: Callable[[], str],
) -> None:
    def answer(trusted: str) -> grpc.StatusCode:
        with stub(address, trusted.encode()) as service:
            return outcome(service, report(pod.node), None)[0]

    mounted, token = folder / "ca.crt", folder / "token"
    mounted.write_text(announced)
    token.write_text(pod.token())
    options = (f"--ca-file={mounted}", f"--token-file={token}", "--server-name=localhost")
    # Whoever gets through TLS is asked for its token.
    trusted, untrusted = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE
    with running_agent(
        folder / "agent", library, *options, node=pod.node, address=address
    ) as agent:
        agent.wait_reports()
        assert (answer(first), answer(announced)) == (trusted, trusted)
        rotate()
        wait_until(lambda: bundle() != announced, within=20, what="the new authority to sign")
        wait_until(lambda: answer(first) is untrusted, within=20, what="the new certificate")
        assert answer(announced) is trusted
        agent.wait_reports(2)
        rotated = bundle()
        mounted.write_text(rotated)
        agent.wait_reports(2)
        assert answer(rotated) is trusted
        assert agent.metric("lmcache_node_agent_report_failures_total") == 0


async def test_without_the_informer_a_deleted_pods_token_ends_with_the_cache(
    client: KubeClient, agent_pod: Callable[..., AgentPod], nodes: tuple[str, ...]
) -> None:
    """The second line of defence; the API server itself remembers a token for some seconds."""

    class Call:
        def __init__(self, token: str) -> None:
            self._token = token

        def peer(self) -> str:
            return "ipv4:10.0.0.1:1"

        def invocation_metadata(self) -> Any:
            return (("authorization", f"Bearer {self._token}"),)

    pod = agent_pod(nodes[0])
    call = Call(await asyncio.to_thread(pod.token))
    tokens = TokenAuthenticator(client, namespace=NAMESPACE, accepted_seconds=0.5)
    assert await tokens.node_of(call) == nodes[0]
    await asyncio.to_thread(pod.delete)

    async def code() -> grpc.StatusCode:
        try:
            await tokens.node_of(call)
        except Refused as refused:
            return refused.code
        return grpc.StatusCode.OK

    found = grpc.StatusCode.OK
    for _ in range(120):
        found = await code()
        if found is not grpc.StatusCode.OK:
            break
        await asyncio.sleep(0.5)
    assert found is grpc.StatusCode.UNAUTHENTICATED
