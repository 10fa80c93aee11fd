"""The command line of the coordinator: options to Settings, errors to one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from coordinator.errors import StartupError
from coordinator.settings import Settings, parse_address

_PREFIX = "LMCACHE_OPERATOR_"
_NAMESPACE = "lmcache-operator-system"


def parser() -> argparse.ArgumentParser:
    """Return the parser; every option can also come from the environment."""
    result = argparse.ArgumentParser(
        prog="lmcache-coordinator",
        description="Operator coordinator: turns LMCacheEngine objects into cache servers and says"
        " whether they work.",
        epilog=f"Each option can be set by environment too: --http-address as"
        f" {_PREFIX}HTTP_ADDRESS. An option on the command line wins.",
    )
    result.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="kubeconfig of the cluster (default: KUBECONFIG, else the pod's ServiceAccount, else"
        " ~/.kube/config)",
    )
    result.add_argument(
        "--http-address",
        metavar="HOST:PORT",
        default="0.0.0.0:8080",
        help="where /metrics, /healthz and /readyz are served (default: %(default)s)",
    )
    result.add_argument(
        "--agents-address",
        metavar="HOST:PORT",
        default=None,
        help="where node agents call (default: 0.0.0.0:9443; 127.0.0.1:9443 without TLS, which is"
        " accepted on loopback only)",
    )
    result.add_argument(
        "--agents-tls",
        choices=("auto", "off"),
        default="auto",
        help="auto: TLS with a certificate that the operator makes and renews itself, and agents"
        " that prove who they are by their ServiceAccount token; off: neither, on loopback only"
        " (default: %(default)s)",
    )
    result.add_argument("--no-agents", action="store_true", help="do not listen for node agents")
    result.add_argument(
        "--report-interval",
        metavar="SECONDS",
        default="10",
        help="pace of the node agents' reports in a small cluster (default: %(default)s)",
    )
    result.add_argument(
        "--namespace",
        metavar="NAME",
        default=None,
        help="namespace of the operator itself, for its certificates and its agents (default:"
        " POD_NAMESPACE, else lmcache-operator-system)",
    )
    result.add_argument(
        "--cluster-domain",
        metavar="DOMAIN",
        default="cluster.local",
        help="DNS domain of the cluster's Services (default: %(default)s)",
    )
    result.add_argument(
        "--gateway-image",
        metavar="IMAGE",
        default="",
        help="image of the read-only gateway beside each new or changed cache server: the agent's"
        " image (default: none, and no gateway)",
    )
    result.add_argument(
        "--gateway-pull-secrets",
        metavar="NAMES",
        default="",
        help="names of Secrets in the engines' namespaces with which the gateway's image is pulled,"
        " separated by commas; an engine's own imagePullSecrets apply too",
    )
    result.add_argument(
        "--workers",
        metavar="N",
        default="8",
        help="engines that are worked on at a time (default: %(default)s)",
    )
    result.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="default: %(default)s"
    )
    result.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="default: %(default)s",
    )
    return result


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings. Raises StartupError; exits 2 for unknown options, as argparse does."""
    options = parser()
    for action in options._actions:
        value = environment.get(_PREFIX + action.dest.upper())
        if value is None or action.dest == "help":
            continue
        if action.choices is not None and value not in action.choices:
            raise StartupError(
                f"{_PREFIX}{action.dest.upper()}={value!r} is not one of"
                f" {', '.join(map(str, action.choices))}."
            )
        action.default = _switch(action.dest, value) if action.nargs == 0 else value
    given = options.parse_args(arguments)
    has_tls = given.agents_tls == "auto"
    agents = given.agents_address
    if agents is None:
        agents = "0.0.0.0:9443" if has_tls else "127.0.0.1:9443"
    return Settings(
        kubeconfig=given.kubeconfig,
        http=parse_address("--http-address", given.http_address),
        agents=None if given.no_agents else parse_address("--agents-address", agents),
        agents_tls=has_tls,
        namespace=given.namespace or environment.get("POD_NAMESPACE") or _NAMESPACE,
        cluster_domain=given.cluster_domain,
        gateway_image=given.gateway_image,
        gateway_pull_secrets=tuple(filter(None, given.gateway_pull_secrets.split(","))),
        workers=_whole("--workers", given.workers),
        log_format=given.log_format,
        log_level=given.log_level,
        report_interval_seconds=_number("--report-interval", given.report_interval),
    )


def _switch(name: str, value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("", "0", "false", "no", "off"):
        return False
    raise StartupError(f"{_PREFIX}{name.upper()}={value!r} is neither true nor false.")


def _whole(option: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise StartupError(f"{option} {text!r} is not a whole number.")
    return int(text)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise StartupError(f"{option} {text!r} is not a number.") from error


def complain(sentence: str) -> None:
    """Print one sentence for a person to standard error."""
    sys.stderr.write(f"lmcache-coordinator: {' '.join(sentence.split())}\n")
