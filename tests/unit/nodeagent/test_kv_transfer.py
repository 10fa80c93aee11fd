"""What vLLM's command line says about its cache server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nodeagent.kv_transfer import Target, argument, target

if TYPE_CHECKING:
    from collections.abc import Mapping


def configuration(
    extra: Mapping[str, Any] | None = None, *, connector: str = "LMCacheMPConnector"
) -> str:
    return json.dumps({"kv_connector": connector, "kv_connector_extra_config": extra or {}})


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["vllm", "serve", "--kv-transfer-config", "{}"], "{}"),
        (["vllm", "serve", "--kv-transfer-config={}"], "{}"),
        (["vllm", "serve", "--kv-transfer-config"], None),
        (["vllm", "serve", "m"], None),
        ([], None),
    ],
    ids=["two words", "one word", "cut off", "absent", "empty"],
)
def test_argument(arguments: list[str], value: str | None) -> None:
    assert argument(arguments) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            configuration({"lmcache.mp.host": "tcp://c.d.svc", "lmcache.mp.port": "6000"}),
            Target("c.d.svc", 6000),
            id="host with scheme, port as text",
        ),
        pytest.param(
            configuration({"lmcache.mp.host": "c.d.svc", "lmcache.mp.port": 6000}),
            Target("c.d.svc", 6000),
            id="bare host, port as number",
        ),
        pytest.param(configuration(), Target("localhost", 5555), id="defaults"),
        pytest.param(
            configuration({"lmcache.mp.server_urls": ["tcp://c.d.svc:7000"]}),
            Target("c.d.svc", 7000),
            id="server_urls replace host and port",
        ),
        pytest.param(
            configuration(
                {"lmcache.mp.isolated_ipc": True, "lmcache.mp.hash_algorithm": "builtin"}
            ),
            Target("localhost", 5555, isolated_ipc=True, hash_algorithm="builtin"),
            id="isolated and hash",
        ),
        pytest.param(
            json.dumps(
                {
                    "kv_connector": "MultiConnector",
                    "kv_connector_extra_config": {
                        "connectors": [
                            {"kv_connector": "NixlConnector"},
                            json.loads(configuration({"lmcache.mp.port": 1})),
                        ]
                    },
                }
            ),
            Target("localhost", 1),
            id="inside a MultiConnector",
        ),
        pytest.param(configuration(connector="NixlConnector"), None, id="another connector"),
        pytest.param(configuration({"lmcache.mp.port": 0}), None, id="port zero"),
        pytest.param(configuration({"lmcache.mp.port": "x"}), None, id="port is no number"),
        pytest.param(configuration({"lmcache.mp.server_urls": ["x"]}), None, id="url is none"),
        pytest.param("[1]", None, id="not an object"),
        pytest.param("{", None, id="no json"),
        pytest.param("[" * 100_000, None, id="deep"),
    ],
)
def test_target(text: str, expected: Target | None) -> None:
    assert target(text) == expected
