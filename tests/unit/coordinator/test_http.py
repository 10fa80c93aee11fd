"""The HTTP endpoints, over a real connection."""

import socket
from typing import Any

import aiohttp
import pytest

from coordinator.errors import StartupError
from coordinator.http import serve
from coordinator.metrics import Metrics
from coordinator.settings import Address

LOOPBACK = Address("127.0.0.1", 0)


class Bench:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.dead: list[str] = []
        self.unready: list[str] = []
        self.url = ""
        self.session: Any = None

    async def get(self, path, method="GET") -> Any:
        async with self.session.request(method, self.url + path) as response:
            return response.status, await response.text()


@pytest.fixture
async def bench():
    result = Bench()
    runner, address = await serve(
        LOOPBACK, result.metrics, alive=lambda: result.dead, ready=lambda: result.unready
    )
    result.url = f"http://{address}"
    async with aiohttp.ClientSession() as result.session:
        yield result
    await runner.cleanup()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_all_is_well(bench, path):
    assert await bench.get(path) == (200, "ok\n")


async def test_not_ready_says_what_is_missing_and_is_still_alive(bench):
    bench.unready = ["waiting for pods", "waiting for nodes"]
    assert await bench.get("/readyz") == (503, "waiting for pods\nwaiting for nodes\n")
    assert await bench.get("/healthz") == (200, "ok\n")


async def test_not_alive_says_why(bench):
    bench.dead = ["an engine has waited for 400 s"]
    assert await bench.get("/healthz") == (503, "an engine has waited for 400 s\n")


async def test_metrics_are_served_in_the_text_format(bench):
    bench.metrics.status_writes.inc(3)
    async with bench.session.get(bench.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        assert "lmcache_operator_status_writes_total 3.0\n" in await response.text()


@pytest.mark.parametrize(("path", "method", "code"), [("/", "GET", 404), ("/metrics", "POST", 405)])
async def test_there_is_nothing_else(bench, path, method, code):
    assert (await bench.get(path, method))[0] == code


async def test_a_port_in_use_is_told_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(StartupError, match=f"Cannot listen on {address}.*--http-address"):
            await serve(address, Metrics(), alive=list, ready=list)


async def test_an_address_of_another_machine_is_told_in_one_sentence():
    with pytest.raises(StartupError, match=r"192\.0\.2\.1:1 .*--http-address\.$"):
        await serve(Address("192.0.2.1", 1), Metrics(), alive=list, ready=list)
