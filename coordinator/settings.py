"""The settings of the coordinator, validated once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from coordinator.errors import StartupError

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_IMAGE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._/:@]{0,510}")

# An example for sentences: the gateway is a program of the agent's image.
GATEWAY_IMAGE = "lmcache-operator-agent:0.1.0"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set from outside. Sizes and paces that users need not touch are constants."""

    kubeconfig: str | None = None
    http: Address = Address("0.0.0.0", 8080)
    agents: Address | None = Address("0.0.0.0", 9443)
    agents_tls: bool = True
    namespace: str = "lmcache-operator-system"
    cluster_domain: str = "cluster.local"
    gateway_image: str = ""
    gateway_pull_secrets: tuple[str, ...] = ()
    workers: int = 8
    log_format: str = "text"
    log_level: str = "info"
    report_interval_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot work, with one sentence."""
        if not _DNS_DOMAIN.fullmatch(self.cluster_domain):
            raise StartupError(
                f"--cluster-domain {self.cluster_domain!r} is not a DNS domain: give the domain of"
                " the cluster's Services, for example cluster.local."
            )
        if not _DNS_LABEL.fullmatch(self.namespace):
            raise StartupError(
                f"--namespace {self.namespace!r} is not the name of a namespace: give the one that"
                " the operator is installed in, for example lmcache-operator-system."
            )
        if self.gateway_image and not _IMAGE.fullmatch(self.gateway_image):
            raise StartupError(
                f"--gateway-image {self.gateway_image!r} is not an image reference: give for"
                f" example {GATEWAY_IMAGE}, or nothing for engines without a gateway."
            )
        for name in self.gateway_pull_secrets:
            if not _DNS_DOMAIN.fullmatch(name):
                raise StartupError(
                    f"--gateway-pull-secrets {name!r} is not the name of a Secret: give names"
                    " separated by commas, without spaces."
                )
        if not 1 <= self.workers <= 64:
            raise StartupError(f"--workers {self.workers} is out of range: give 1 to 64.")
        if not 1.0 <= self.report_interval_seconds <= 300.0:
            raise StartupError(
                f"--report-interval {self.report_interval_seconds:g} is out of range: give 1 to 300"
                " seconds."
            )


def parse_address(option: str, text: str) -> Address:
    """Read "host:port", ":port" or "[v6]:port". Raises StartupError naming the option."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise StartupError(
            f"{option} {text!r} is not an address: give host:port, for example 0.0.0.0:8080."
        )
    return Address(host.strip("[]") or "0.0.0.0", int(port))
