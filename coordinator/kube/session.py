"""Credentials and the one HTTP session; `kubernetes` reads the kubeconfig or the mounted token."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from coordinator.errors import StartupError

# A burst of 1,000 new engines must not open 1,000 TLS connections to the API server.
MAX_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the API server is and how to prove who we are.

    `authorization` returns the header's value anew for each request: mounted tokens are rotated by
    the kubelet, and a kubeconfig may name a program that makes them.
    """

    server: str
    ssl_context: ssl.SSLContext
    authorization: Callable[[], str | None]

    def open_session(self) -> aiohttp.ClientSession:
        """Return a new session with a bounded number of connections."""

        async def authorize(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            header = self.authorization()
            if header is not None:
                request.headers["Authorization"] = header
            return await handler(request)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, keepalive_timeout=75, ssl=self.ssl_context
            ),
            headers={"User-Agent": "lmcache-operator"},
            middlewares=(authorize,),
        )


def load_cluster(kubeconfig: str | None) -> Cluster:
    """Find the cluster: an explicit kubeconfig, else the pod's account, else the default file.

    Raises StartupError with one sentence when none of them can be used.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    explicit = kubeconfig or os.environ.get("KUBECONFIG") or None
    if explicit is None and in_cluster:
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise StartupError(
                f"The pod's ServiceAccount cannot be used ({error}): set"
                " automountServiceAccountToken to true, or pass --kubeconfig."
            ) from error
    else:
        _load_kubeconfig(explicit, configuration)
    return Cluster(
        server=str(configuration.host).rstrip("/"),
        ssl_context=_ssl_context(configuration),
        authorization=_authorization(configuration),
    )


def _load_kubeconfig(path: str | None, configuration: Any) -> None:
    from kubernetes import config

    shown = path or "~/.kube/config"
    if path is not None and not any(Path(part).is_file() for part in path.split(os.pathsep)):
        raise StartupError(
            f"The kubeconfig {shown} does not exist: pass --kubeconfig or set KUBECONFIG to a file"
            " that reaches the cluster."
        )
    try:
        config.load_kube_config(config_file=path, client_configuration=configuration)
    # The loader lets parse errors of YAML, base64 and its own look-ups through as they are.
    except Exception as error:
        sentence = " ".join(str(error).split())[:300]
        raise StartupError(
            f"The kubeconfig {shown} cannot be used: {sentence}. Pass --kubeconfig or set"
            " KUBECONFIG to a file that reaches the cluster."
        ) from error


def _ssl_context(configuration: Any) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise StartupError(
            f"The certificates of the kubeconfig cannot be loaded: {error}. Renew the kubeconfig."
        ) from error
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _authorization(configuration: Any) -> Callable[[], str | None]:
    def header() -> str | None:
        # "BearerToken" since kubernetes 36.0.1, "authorization" before. The call re-reads a mounted
        # token once a minute.
        for name in ("BearerToken", "authorization"):
            value = configuration.get_api_key_with_prefix(name)
            if value:
                return str(value)
        basic = configuration.get_basic_auth_token()
        return str(basic) if basic and configuration.username else None

    return header
