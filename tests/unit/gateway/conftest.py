"""A gateway as a process, as it runs in a pod: at an address beside the server's loopback."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.standin.cache_server import REPOSITORY, Behaviour, CacheServer, standing_in

# All of 127/8 is loopback, so this stands for the pod's IP: the same port is free there.
POD_IP = "127.0.0.2"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Gateway:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    metrics_port: int

    def ask(
        self, path: str, *, method: str = "GET", metrics: bool = False, body: bytes | None = None
    ) -> Answer:
        port = self.metrics_port if metrics else self.port
        connection = http.client.HTTPConnection(POD_IP, port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            content = answer.read()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, content)

    def metrics(self) -> Answer:
        return self.ask("/metrics", metrics=True)

    def connect(self, *, metrics: bool = False) -> socket.socket:
        return socket.create_connection(
            (POD_IP, self.metrics_port if metrics else self.port), timeout=20
        )

    def memory_kib(self, what: str = "VmRSS") -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


def free_port() -> int:
    """Return a port that is free at the pod's address and on loopback."""
    with socket.socket() as probe:
        probe.bind((POD_IP, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_gateway(log: Path, server_port: int, *options: str) -> Iterator[Gateway]:
    """Run a gateway on the server's own port number of the pod's IP."""
    metrics_port = free_port()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nodeagent.gateway",
                f"--server-port={server_port}",
                f"--address={POD_IP}",
                f"--port={server_port}",
                f"--metrics-port={metrics_port}",
                f"--metrics-address={POD_IP}",
                *options,
            ],
            cwd=REPOSITORY,
            stderr=sink,
            env={
                **os.environ,
                # A proxy that would swallow everything, if it were asked.
                "http_proxy": "http://127.0.0.1:9",
                "HTTP_PROXY": "http://127.0.0.1:9",
            },
        )
    with process:
        try:
            gateway = Gateway(process, log, server_port, metrics_port)
            _wait_for(gateway)
            yield gateway
        finally:
            process.kill()


def _wait_for(gateway: Gateway) -> None:
    with gateway.log.open() as lines:
        begun = 0
        while begun < 2:
            line = lines.readline()
            begun += "serving /" in line
            if not line:
                assert gateway.process.poll() is None, gateway.log.read_text()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    gateway.process.wait(0.02)


@pytest.fixture
def server() -> Iterator[CacheServer]:
    with standing_in(Behaviour()) as found:
        yield found


@pytest.fixture
def gateway(server: CacheServer, tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "log", server.port) as found:
        yield found
