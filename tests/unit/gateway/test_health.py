"""/healthz tells a server that works from one that is gone, ill or hung, each by its own code."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from tests.standin.cache_server import running, standing_in
from tests.unit.gateway.conftest import free_port, running_gateway


def test_a_healthy_server(gateway, server):
    answer = gateway.ask("/healthz")
    assert (answer.status, answer.text) == (200, "healthy\n")
    assert server.requests == ["GET /healthcheck"]


def test_a_server_of_an_older_release_is_asked_by_its_path(gateway, server):
    server.behaviour.prefix = "/api"
    assert gateway.ask("/healthz").status == 200
    assert gateway.ask("/status").status == 200
    assert server.requests == [
        "GET /healthcheck",
        "GET /api/healthcheck",
        "GET /status",
        "GET /api/status",
    ]


def test_the_path_that_worked_is_asked_first(gateway, server):
    server.behaviour.prefix = "/api"
    gateway.ask("/healthz")
    time.sleep(1.1)  # as long as a verdict holds
    gateway.ask("/healthz")
    assert server.requests[2:] == ["GET /api/healthcheck"]


def test_a_server_that_is_not_there(tmp_path):
    port = free_port()
    with running_gateway(tmp_path / "log", port) as gateway:
        answer = gateway.ask("/healthz")
        assert answer.status == 502
        assert answer.text == (
            f"the cache server refuses connections on 127.0.0.1:{port}:"
            " it is starting, or it has ended\n"
        )
        # And one that comes later is found.
        with standing_in(port=port):
            time.sleep(1.1)
            assert gateway.ask("/healthz").status == 200


def test_a_hung_server_is_named_in_time(tmp_path):
    with running() as server, running_gateway(tmp_path / "log", server.port) as gateway:
        assert gateway.ask("/healthz").status == 200
        server.process.send_signal(signal.SIGSTOP)
        # What a TCP probe sees: all is well.
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        time.sleep(1.1)
        begun = time.monotonic()
        answer = gateway.ask("/healthz")
        took = time.monotonic() - begun
        assert answer.status == 504
        assert answer.text == "the cache server does not answer within 2 s: it hangs\n"
        assert 1.5 < took < 3
        server.process.send_signal(signal.SIGCONT)
        time.sleep(1.1)
        assert gateway.ask("/healthz").status == 200
        log = gateway.log.read_text()
        assert log.count("it hangs") == 1
        assert log.count("healthy") == 2


@pytest.mark.parametrize(
    ("health", "words"),
    [
        ((503, {"status": "unhealthy", "reason": "engine not initialized"}), "engine not initial"),
        ((500, {}), "it answers its health check with 500"),
        ((200, {"status": "unhealthy", "reason": "a\nb\x1b[31m" + "x" * 9000}), "a b [31mxxx"),
        ((302, {}), "it answers its health check with 302"),
        ((404, {}), "it answers its health check with 404"),
    ],
    ids=["unhealthy", "error", "unhealthy with 200", "redirect", "no such page"],
)
def test_an_ill_server_is_told_with_its_reason(gateway, server, health, words):
    server.behaviour.health = health
    answer = gateway.ask("/healthz")
    assert answer.status == 503
    assert answer.text.startswith("the cache server says that it is unhealthy: ")
    assert words in answer.text
    assert answer.text.count("\n") == 1
    assert len(answer.text) < 300


def test_no_redirect_is_followed(gateway, server):
    server.behaviour.redirects_to = f"http://127.0.0.1:{server.port}/env"
    assert gateway.ask("/healthz").status == 503
    assert gateway.ask("/status").status == 503
    assert gateway.metrics().status == 503
    assert set(server.requests) == {"GET /healthcheck", "GET /status", "GET /metrics"}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "closes the connection"),
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "ends too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000, "larger than 64 KiB"),
    ],
    ids=["nothing", "other protocol", "length", "short", "chunk", "head", "body"],
)
def test_an_answer_that_makes_no_sense_is_told(tmp_path, sent, words):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        with running_gateway(tmp_path / "log", server.getsockname()[1]) as gateway:
            asking = gateway.connect()
            asking.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            accepted, _ = server.accept()
            with accepted, asking:
                assert accepted.recv(4096).startswith(b"GET /healthcheck HTTP/1.1\r\n")
                accepted.sendall(sent)
                accepted.close()
                answer = asking.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert words.encode() in answer


def test_many_probes_are_one_call(gateway, server):
    answers = [gateway.ask("/healthz").status for _ in range(50)]
    assert set(answers) == {200}
    assert len(server.requests) <= 3
