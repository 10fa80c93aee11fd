"""vLLM's --kv-transfer-config, as far as it says which cache server a process uses. Pure.

The keys are those of lmcache/integration/vllm/vllm_multi_process_adapter.py (LMCache 0.5.6).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FLAG = "--kv-transfer-config"
_CONNECTOR = "LMCacheMPConnector"
_DEFAULT_HOST = "localhost"
_DEFAULT_PORT = 5555
_LONGEST_HOST = 253


@dataclass(frozen=True, slots=True)
class Target:
    """The server that a client was started with; None where the command line does not say."""

    host: str
    port: int
    isolated_ipc: bool | None = None
    hash_algorithm: str | None = None


def argument(arguments: Sequence[str]) -> str | None:
    """Return the value of --kv-transfer-config, in both of argparse's spellings."""
    for position, text in enumerate(arguments):
        if text == _FLAG:
            return arguments[position + 1] if position + 1 < len(arguments) else None
        if text.startswith(f"{_FLAG}="):
            return text[len(_FLAG) + 1 :]
    return None


def target(text: str) -> Target | None:
    """Return the cache server that a configuration names; None where it uses none of ours.

    A MultiConnector carries its connectors under `connectors`; the first of ours counts.
    """
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _find(configuration, depth=0)


def _find(configuration: Any, *, depth: int) -> Target | None:
    if not isinstance(configuration, dict) or depth > 3:
        return None
    extra = configuration.get("kv_connector_extra_config")
    extra = extra if isinstance(extra, dict) else {}
    if configuration.get("kv_connector") == _CONNECTOR:
        return _target(extra)
    inner = extra.get("connectors")
    for each in inner if isinstance(inner, list) else ():
        found = _find(each, depth=depth + 1)
        if found is not None:
            return found
    return None


def _target(extra: Mapping[str, Any]) -> Target | None:
    urls = extra.get("lmcache.mp.server_urls")
    if isinstance(urls, list) and urls and isinstance(urls[0], str):
        host, _, port_text = _without_scheme(urls[0]).rpartition(":")
        port = _port(port_text)
    else:
        host = _without_scheme(str(extra.get("lmcache.mp.host", _DEFAULT_HOST)))
        port = _port(extra.get("lmcache.mp.port", _DEFAULT_PORT))
    if port is None or not host:
        return None
    isolated = extra.get("lmcache.mp.isolated_ipc")
    algorithm = extra.get("lmcache.mp.hash_algorithm")
    return Target(
        host=host[:_LONGEST_HOST],
        port=port,
        isolated_ipc=isolated if isinstance(isolated, bool) else None,
        hash_algorithm=algorithm if isinstance(algorithm, str) else None,
    )


def _without_scheme(address: str) -> str:
    return address.partition("://")[2] or address


def _port(value: Any) -> int | None:
    text = str(value)
    if not text.isdecimal() or len(text) > 5:
        return None
    port = int(text)
    return port if 0 < port < 65536 else None
