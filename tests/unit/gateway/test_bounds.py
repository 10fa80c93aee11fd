"""Nothing but three pages is reachable, whoever asks, and nobody can keep the kubelet out."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nodeagent.gateway.cli import CannotStart, bind, parse
from tests.standin.cache_server import REPOSITORY, SECRET
from tests.unit.gateway.conftest import POD_IP, free_port

ADMIN = [
    "/",
    "/env",
    "/config",
    "/cache/objects",
    "/cache/clear",
    "/run_script",
    "/metrics/reset",
    "/loglevel?level=DEBUG",
    "/threads",
    "/openapi.json",
    "/status/../env",
    "/status/",
    "/healthz/../env",
    "//status",
    "/%65nv",
    "/metrics%2f..%2fenv",
    "/healthz%00",
]


@pytest.mark.parametrize("metrics", [False, True], ids=["gateway port", "metrics port"])
def test_no_other_page_and_no_other_method_reaches_the_server(gateway, server, metrics):
    for path in ADMIN:
        for method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"):
            answer = gateway.ask(path, method=method, metrics=metrics, body=b"x" * 100)
            assert answer.status == 404, (method, path)
            assert SECRET not in answer.text
    known = ["/metrics"] if metrics else ["/healthz", "/status"]
    for path in known:
        for method in ("POST", "DELETE", "PUT", "PATCH", "OPTIONS"):
            answer = gateway.ask(path, method=method, metrics=metrics)
            assert answer.status == 405
            assert answer.headers["allow"] == "GET, HEAD"
    assert server.requests == []


def test_each_port_has_its_own_pages(gateway, server):
    assert gateway.ask("/metrics").status == 404
    assert gateway.ask("/healthz", metrics=True).status == 404
    assert gateway.ask("/status", metrics=True).status == 404
    assert server.requests == []


def test_head_is_get_without_a_body(gateway):
    for path, metrics in (("/healthz", False), ("/status", False), ("/metrics", True)):
        answer = gateway.ask(path, method="HEAD", metrics=metrics)
        assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET http://127.0.0.1/env HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT 127.0.0.1:8080 HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /env HTTP/1.1\r\nX-Original-URL: /env\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\n\r\nGET /env HTTP/1.1\r\n\r\n", 200),
    ],
    ids=["absolute", "connect", "0.9", "tls", "header", "long", "1.0", "pipelined"],
)
def test_odd_requests(gateway, server, sent, status):
    with gateway.connect() as asking:
        asking.sendall(sent)
        answer = b""
        try:
            while piece := asking.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"\r\nConnection: close\r\n") == 1
    assert set(server.requests) <= {"GET /healthcheck"}


def test_who_does_not_finish_the_request_is_closed(gateway):
    begun = time.monotonic()
    with gateway.connect() as silent, gateway.connect() as stuck, gateway.connect() as dripping:
        stuck.sendall(b"GET /he")
        dripping.settimeout(0.25)
        assert _drip(dripping, b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 100)
        assert 4 < time.monotonic() - begun < 7
        assert (silent.recv(1), stuck.recv(1)) == (b"", b"")
        assert time.monotonic() - begun < 7


def _drip(connection: socket.socket, content: bytes) -> bool:
    """Send a byte at each time-out; tell whether the other side put an end to it."""
    for byte in content:
        try:
            connection.sendall(bytes([byte]))
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_crowd_of_silent_connections_does_not_keep_the_kubelet_out(gateway):
    crowd = [gateway.connect() for _ in range(200)]
    try:
        begun = time.monotonic()
        assert gateway.ask("/healthz").status == 200
        assert time.monotonic() - begun < 2
        held = len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))
        assert held < 60
    finally:
        for one in crowd:
            one.close()


def test_who_does_not_read_is_closed_and_holds_no_memory(gateway, server):
    server.behaviour.metrics_lines = (10 << 20) // 60
    before = gateway.memory_kib()
    crowd = []
    for _ in range(3):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect((POD_IP, gateway.metrics_port))
        one.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        crowd.append(one)
    assert gateway.metrics().status == 200
    assert gateway.memory_kib() - before < 3 * 1024
    for one in crowd:
        one.close()


def test_it_ends_at_once_when_told(gateway):
    with gateway.connect():
        begun = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
        assert time.monotonic() - begun < 1
    assert "Traceback" not in gateway.log.read_text()


def test_it_imports_no_more_than_it_needs():
    code = (
        "import sys, nodeagent.gateway.cli;"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    extra = {name for name in found.stdout.split() if not name.startswith(("_", "sitecustomize"))}
    assert extra == {"nodeagent"}


OWN = ["--server-port=8080", "--port=8080"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*OWN, "--address=127.0.0.1"], "would take the cache server's own port"),
        ([*OWN, "--address=0.0.0.0"], "would take the cache server's own port"),
        ([*OWN, "--address=::"], "would take the cache server's own port"),
        ([*OWN, "--address="], "is no IP address"),
        ([*OWN, "--address=$(POD_IP)"], "is no IP address"),
        ([*OWN, "--address=10.0.0.1", "--metrics-port=8080"], "give another"),
    ],
)
def test_what_would_harm_the_server_is_refused(arguments, words):
    with pytest.raises(CannotStart, match=words):
        parse(arguments)


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
def test_the_port_of_the_server_is_good_at_the_pods_address(address):
    assert parse([*OWN, f"--address={address}"]).metrics_port == 0


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
def test_a_port_is_a_number(port, capsys):
    with pytest.raises(SystemExit):
        parse([f"--server-port={port}", "--port=1", "--address=10.0.0.1"])
    assert "is no port" in capsys.readouterr().err


def test_all_addresses_are_both_families():
    port = free_port()
    with bind("", port) as bound:
        connection = http.client.HTTPConnection(POD_IP, port, timeout=5)
        connection.connect()
        connection.close()
        if bound.family == socket.AF_INET6:
            socket.create_connection(("::1", port), timeout=5).close()


def test_a_port_that_is_taken_is_named():
    with (
        socket.create_server((POD_IP, 0)) as taken,
        pytest.raises(CannotStart, match=f"port {taken.getsockname()[1]} at {POD_IP}"),
    ):
        bind(*taken.getsockname())
