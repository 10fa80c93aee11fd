"""What a stranger, or an agent gone bad, can do to the agents' port: nothing."""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb

from hack.controlplane import wait_until
from tests.integration.harness import NAMESPACE, Cluster, Coordinator
from tests.integration.trust.parties import (
    AUDIENCE,
    AgentPod,
    AgentProcess,
    bearer,
    outcome,
    refusal,
    report,
    running_agent,
    stub,
)

Code = grpc.StatusCode
MakePod = Callable[..., AgentPod]


@pytest.fixture(scope="module")
def honest(
    cluster: Cluster,
    trusted: Coordinator,
    authority: Path,
    library: Path,
    nodes: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AgentProcess]:
    """A real agent on the last node: every test below ends with it still being heard."""
    folder = tmp_path_factory.mktemp("honest")
    pod = _pod(cluster, nodes[-1])
    token = folder / "token"
    token.write_text(pod.token())
    options = (f"--ca-file={authority}", f"--token-file={token}", "--server-name=localhost")
    with running_agent(folder, library, *options, node=nodes[-1], address=trusted.agents) as agent:
        agent.wait_reports()
        yield agent
    pod.delete()


def _pod(cluster: Cluster, node: str) -> AgentPod:
    name = "lmcache-node-agent-honest"
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/component": "node-agent"}},
        "spec": {
            "nodeName": node,
            "serviceAccountName": "lmcache-node-agent",
            "containers": [{"name": "agent", "image": "agent"}],
        },
    }
    cluster.apply(manifest, namespace=NAMESPACE)
    uid = cluster.get("pod", name, "-n", NAMESPACE)["metadata"]["uid"]
    return AgentPod(cluster, name, uid, node, "lmcache-node-agent")


@pytest.fixture(autouse=True)
def unaffected(honest: AgentProcess) -> Iterator[None]:
    failures = honest.metric("lmcache_node_agent_report_failures_total")
    yield
    honest.wait_reports()
    assert honest.metric("lmcache_node_agent_report_failures_total") == failures


@pytest.fixture
def refused(trusted: Coordinator, authority: Path) -> Callable[..., str]:
    """Make a call that must be refused with this code and counted under this word."""

    def call(request: pb.ReportRequest, token: str | None, code: grpc.StatusCode, word: str) -> str:
        series = f'lmcache_operator_agent_reports_total{{result="{word}"}}'
        before = trusted.metric(series)
        found, words = refusal(trusted.agents, authority.read_bytes(), request, token)
        assert (found, trusted.metric(series)) == (code, before + 1), words
        return words

    return call


Refused = Callable[[pb.ReportRequest, str | None, grpc.StatusCode, str], str]


def forged(**claims: Any) -> str:
    """A token that looks right and is signed by nobody."""

    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    body = {"aud": [AUDIENCE], "exp": time.time() + 600, "jti": secrets.token_hex(4), **claims}
    return f"{part({'alg': 'RS256'})}.{part(body)}.{part('signature')}"


def test_an_agent_with_its_own_token_is_heard_and_told_its_assignment(
    trusted: Coordinator, authority: Path, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    pod = agent_pod(nodes[0])
    with stub(trusted.agents, authority.read_bytes()) as service:
        answer = service.Report(report(nodes[0]), timeout=5, metadata=bearer(pod.token()))
    assert answer.next_report_after.seconds == 1


def test_without_a_token(refused: Refused, nodes: tuple[str, ...]) -> None:
    refused(report(nodes[0]), None, Code.UNAUTHENTICATED, "no_token")


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 9000, "..."], ids=lambda t: t[:8])
def test_garbage_for_a_token(refused: Refused, nodes: tuple[str, ...], token: str) -> None:
    refused(report(nodes[0]), token, Code.UNAUTHENTICATED, "malformed_token")


def test_a_forged_token(refused: Refused, nodes: tuple[str, ...]) -> None:
    refused(report(nodes[0]), forged(), Code.UNAUTHENTICATED, "unauthenticated")


def test_an_expired_token(refused: Refused, nodes: tuple[str, ...]) -> None:
    token = forged(exp=time.time() - 1)
    refused(report(nodes[0]), token, Code.UNAUTHENTICATED, "expired_token")


def test_a_token_for_another_audience(
    refused: Refused, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    token = agent_pod(nodes[0]).token(audience="vault")
    words = refused(report(nodes[0]), token, Code.UNAUTHENTICATED, "wrong_audience")
    assert "lmcache-coordinator" in words


def test_a_token_of_another_account(
    refused: Refused, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    token = agent_pod(nodes[0], account="lmcache-coordinator").token()
    refused(report(nodes[0]), token, Code.UNAUTHENTICATED, "wrong_account")


def test_a_token_of_an_account_of_the_same_name_elsewhere(
    cluster: Cluster, refused: Refused, namespace: str, nodes: tuple[str, ...]
) -> None:
    cluster.kubectl("create", "serviceaccount", "lmcache-node-agent", "-n", namespace)
    token = cluster.kubectl(
        "create", "token", "lmcache-node-agent", "-n", namespace, f"--audience={AUDIENCE}"
    ).strip()
    refused(report(nodes[0]), token, Code.UNAUTHENTICATED, "wrong_account")


def test_a_token_that_is_bound_to_no_pod(
    cluster: Cluster, refused: Refused, nodes: tuple[str, ...]
) -> None:
    token = cluster.kubectl(
        "create", "token", "lmcache-node-agent", "-n", NAMESPACE, f"--audience={AUDIENCE}"
    ).strip()
    refused(report(nodes[0]), token, Code.UNAUTHENTICATED, "no_pod")


def test_another_nodes_name(
    trusted: Coordinator, refused: Refused, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    token = agent_pod(nodes[0]).token()
    refused(report(nodes[1]), token, Code.PERMISSION_DENIED, "wrong_node")
    refused(report("nowhere"), token, Code.PERMISSION_DENIED, "wrong_node")


def test_a_name_with_control_characters_does_not_reach_the_log(
    trusted: Coordinator, refused: Refused, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    token = agent_pod(nodes[0]).token()
    name = f"{nodes[0]}\n\x1b[2Jforged=line\u202e"
    refused(report(name), token, Code.PERMISSION_DENIED, "wrong_node")
    log = trusted.log.read_text()
    assert "\x1b" not in log
    assert "\u202e" not in log
    assert not any(line.startswith("forged") for line in log.splitlines())


@pytest.mark.parametrize(
    "rest",
    [
        {"findings": [pb.Finding(check="gpu\x1b[2J", reason="R")]},
        {"findings": [pb.Finding(check="gpu", reason='x"} 1\nfake{a="')]},
        {"findings": [pb.Finding(check="gpu", reason="R")] * 513},
        {"clients": [pb.Client(host="h" * 254)]},
    ],
    ids=["control characters", "a label that breaks out", "513 findings", "a long host"],
)
def test_what_is_out_of_bounds(
    refused: Refused, agent_pod: MakePod, nodes: tuple[str, ...], rest: dict[str, Any]
) -> None:
    token = agent_pod(nodes[0]).token()
    refused(report(nodes[0], **rest), token, Code.INVALID_ARGUMENT, "out_of_bounds")


def test_a_label_bomb_adds_no_series(
    trusted: Coordinator, authority: Path, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    def series() -> set[str]:
        return {line.rsplit(" ", 1)[0] for line in trusted.metrics().splitlines()}

    token = agent_pod(nodes[0]).token()
    words = [secrets.token_hex(8) for _ in range(512)]
    bomb = [pb.Finding(check=word, reason=f"R{word}", outcome=pb.OUTCOME_FAIL) for word in words]
    before = series()
    with stub(trusted.agents, authority.read_bytes()) as service:
        service.Report(report(nodes[0], findings=bomb), timeout=5, metadata=bearer(token))
    assert not any(word in name for name in series() for word in words)
    assert len(series()) < len(before) + 10


@pytest.mark.parametrize("size", ["64 MiB", "1e6 findings"])
def test_a_message_too_large_to_be_read(
    trusted: Coordinator, refused: Refused, agent_pod: MakePod, nodes: tuple[str, ...], size: str
) -> None:
    token = agent_pod(nodes[0]).token()
    before = _memory(trusted)
    request = (
        report(nodes[0], boot_id="x" * (64 << 20))
        if size == "64 MiB"
        else report(nodes[0], findings=[pb.Finding(check="c", reason="R")] * 1_000_000)
    )
    refused(request, token, Code.RESOURCE_EXHAUSTED, "unread")
    assert _memory(trusted) - before < 32 << 20


def _memory(coordinator: Coordinator) -> int:
    """Return the resident bytes of the coordinator."""
    status = Path(f"/proc/{coordinator.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_a_large_message_without_a_token_is_not_even_read(
    refused: Refused, nodes: tuple[str, ...]
) -> None:
    request = report(nodes[0], boot_id="x" * (400 << 10))
    refused(request, None, Code.UNAUTHENTICATED, "no_token")


def test_calls_that_never_send_their_message(
    trusted: Coordinator, authority: Path, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    """Slow-loris: headers, and then nothing."""
    series = 'lmcache_operator_agent_reports_total{result="unread"}'
    before = trusted.metric(series)
    metadata = bearer(agent_pod(nodes[0]).token())
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait()
        yield from ()

    with grpc.secure_channel(trusted.agents, credentials) as channel:
        call: Any = channel.stream_unary("/lmcache_nodehealth.v1.NodeHealthService/Report")
        futures = [call.future(nothing(), metadata=metadata) for _ in range(3)]
        began = time.monotonic()
        codes = {future.code() for future in futures}
        took = time.monotonic() - began
        never.set()
    assert codes == {Code.DEADLINE_EXCEEDED}
    assert took < 8
    assert trusted.metric(series) == before + 3


def test_calls_in_the_clear(trusted: Coordinator, nodes: tuple[str, ...]) -> None:
    series = "lmcache_operator_agent_connections_total"
    before = trusted.metric(series)
    code, _ = refusal(trusted.agents, None, report(nodes[0]), None)
    assert code is Code.UNAVAILABLE
    assert trusted.metric(series) > before


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls(trusted: Coordinator, version: ssl.TLSVersion) -> None:
    assert _handshake(trusted, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(OSError, match=r"SSL|reset"):
        _handshake(trusted, version)


def _handshake(coordinator: Coordinator, version: ssl.TLSVersion) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    host, port = coordinator.agents.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.version()


def test_too_many_calls_of_one_node(
    trusted: Coordinator, authority: Path, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    token = agent_pod(nodes[2]).token()
    with stub(trusted.agents, authority.read_bytes()) as service:
        codes = [outcome(service, report(nodes[2]), token)[0] for _ in range(40)]
    assert codes[:10] == [Code.OK] * 10
    assert codes[-1] is Code.RESOURCE_EXHAUSTED
    assert trusted.metric('lmcache_operator_agent_reports_total{result="too_many_calls"}') >= 20


def test_an_agents_token_is_worth_nothing_once_its_pod_is_gone(
    trusted: Coordinator, authority: Path, agent_pod: MakePod, nodes: tuple[str, ...]
) -> None:
    pod = agent_pod(nodes[1])
    token = pod.token()
    with stub(trusted.agents, authority.read_bytes()) as service:
        service.Report(report(nodes[1]), timeout=5, metadata=bearer(token))
        pod.delete()

        def is_refused() -> bool:
            return outcome(service, report(nodes[1]), token)[0] is Code.UNAUTHENTICATED

        wait_until(is_refused, within=5, what="the token to be refused", every=0.7)
        assert is_refused()
    assert trusted.metric('lmcache_operator_agent_reports_total{result="pod_gone"}') >= 1


def test_a_wrong_authority_is_seen_by_the_agent_and_mended_without_a_restart(
    trusted: Coordinator,
    authority: Path,
    agent_pod: MakePod,
    nodes: tuple[str, ...],
    library: Path,
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    pod = agent_pod(nodes[0])
    file, token = tmp_path / "ca.crt", tmp_path / "token"
    options = (f"--ca-file={file}", f"--token-file={token}", "--server-name=localhost")
    with running_agent(
        tmp_path / "agent", library, *options, node=nodes[0], address=trusted.agents
    ) as agent:
        agent.wait_cause("authority_missing")
        file.write_text("not a certificate")
        agent.wait_cause("authority_unusable")
        file.write_bytes(Path(cluster.control_plane.certificate_authority).read_bytes())
        agent.wait_cause("token_missing")
        token.write_text("garbage")
        agent.wait_cause("certificate_untrusted")
        file.write_bytes(authority.read_bytes())
        agent.wait_cause("token_refused")
        token.write_text(pod.token())
        agent.wait_reports()
        assert "failure_info{" not in agent.metrics()
        log = agent.log.read_text()
    for sentence in (
        "cannot be read (No such file or directory)",
        "holds no certificate authority",
        "is not of the authority in",
        "UNAUTHENTICATED",
    ):
        assert sentence in log, log


def test_strangers_wait_after_a_few_refusals_and_the_log_stays_short(
    trusted: Coordinator, authority: Path, honest: AgentProcess, nodes: tuple[str, ...]
) -> None:
    """Last of this file: this test's address is not heard for a while."""

    def lines() -> int:
        return trusted.log.read_text().count("report refused")

    before, began = lines(), time.monotonic()
    reviews = (
        'lmcache_operator_api_requests_total{verb="create",resource="tokenreviews",code="201"}'
    )
    asked = trusted.metric(reviews)
    with stub(trusted.agents, authority.read_bytes()) as service:
        codes = [outcome(service, report(nodes[0]), forged())[0] for _ in range(300)]
    took = time.monotonic() - began
    assert codes[-1] is Code.RESOURCE_EXHAUSTED
    assert trusted.metric(reviews) - asked <= 11 + took
    assert lines() - before <= 6 + took
