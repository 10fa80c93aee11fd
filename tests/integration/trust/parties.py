"""Who calls: an agent's pod with its tokens, and a client that says whatever it likes."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb
from lmcache_nodehealth.v1 import nodehealth_pb2_grpc as pb_grpc

from hack.controlplane import wait_until
from tests.fakenvml.scenario import healthy
from tests.integration.harness import NAMESPACE, REPOSITORY, Cluster

AUDIENCE = "lmcache-coordinator"


@dataclass(frozen=True)
class AgentPod:
    """A pod that runs nowhere, but has a node and can have tokens."""

    cluster: Cluster
    name: str
    uid: str
    node: str
    account: str

    def token(self, audience: str = AUDIENCE) -> str:
        """Return what the kubelet would project into this pod."""
        return self.cluster.kubectl(
            "create", "token", self.account, "-n", NAMESPACE, f"--audience={audience}",
            "--bound-object-kind=Pod", f"--bound-object-name={self.name}",
            f"--bound-object-uid={self.uid}",
        ).strip()  # fmt: skip

    def delete(self) -> None:
        self.cluster.kubectl(
            "delete", "pod", self.name, "-n", NAMESPACE, "--force", "--grace-period=0",
            "--ignore-not-found",
        )  # fmt: skip


@contextmanager
def stub(address: str, authority: bytes | None, **options: Any) -> Iterator[Any]:
    """Yield a stub over a connection of its own; without an authority in the clear."""
    # Connections of one process to one address are shared otherwise.
    settings = [("grpc.use_local_subchannel_pool", 1), *options.items()]
    channel = (
        grpc.insecure_channel(address, options=settings)
        if authority is None
        else grpc.secure_channel(address, grpc.ssl_channel_credentials(authority), options=settings)
    )
    with channel:
        yield pb_grpc.NodeHealthServiceStub(channel)


def report(node: str, **rest: Any) -> pb.ReportRequest:
    return pb.ReportRequest(node_name=node, agent_instance="stranger", sequence=1, **rest)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def refusal(
    address: str, authority: bytes | None, request: pb.ReportRequest, token: str | None
) -> tuple[grpc.StatusCode, str]:
    """Make one call that is to be refused; returns its code and words."""
    with stub(address, authority) as service:
        code, words = outcome(service, request, token)
    assert code is not grpc.StatusCode.OK
    return code, words


def outcome(
    service: Any, request: pb.ReportRequest, token: str | None
) -> tuple[grpc.StatusCode, str]:
    """Make one call; returns its code and words."""
    call = service.Report.future(request, timeout=8, metadata=bearer(token) if token else None)
    return call.code(), call.details() or ""


class AgentProcess:
    """The real agent, on a healthy simulated node."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def port(self) -> int | None:
        for line in self.log.read_text().splitlines():
            if " port='" in line:
                return int(line.partition(" port='")[2].partition("'")[0])
        return None

    def metrics(self) -> str:
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    def metric(self, start: str) -> float:
        for line in self.metrics().splitlines():
            if line.startswith(start):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def reports(self) -> float:
        return self.metric("lmcache_node_agent_reports_total")

    def wait_reports(self, more: float = 1, within: float = 20) -> None:
        before = self.reports()
        wait_until(
            lambda: self.reports() >= before + more, within=within, what="reports that arrive"
        )

    def wait_cause(self, cause: str) -> None:
        series = f'cause="{cause}"'
        wait_until(lambda: series in self.metrics(), within=20, what=f"{cause} in the metrics")


@contextmanager
def running_agent(
    folder: Path, library: Path, *words: str, node: str, address: str
) -> Iterator[AgentProcess]:
    """Run the real agent until the block ends."""
    folder.mkdir(exist_ok=True)
    log = folder / "agent.log"
    scenario = folder / "scenario"
    healthy().write(scenario)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "nodeagent", f"--coordinator={address}",
                f"--node-name={node}", "--listen=127.0.0.1:0", "--round-interval=1", *words,
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(library.parent),
                "FAKE_NVML_SCENARIO": str(scenario),
                "GRPC_VERBOSITY": "NONE",
            },
        )  # fmt: skip
    agent = AgentProcess(process, log)
    try:
        wait_until(lambda: agent.port, within=20, what="the agent's port")
        yield agent
    finally:
        process.terminate()
        process.wait(timeout=15)
    assert "Traceback" not in log.read_text(), log.read_text()
