"""The servers as parts to bring up: which program, with which arguments, and when it is ready."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.controlplane import programs, servers
from hack.controlplane.api import Api
from hack.controlplane.layout import ETCD_SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hack.controlplane.layout import Layout


@dataclass(frozen=True, slots=True)
class Part:
    """A server to bring up: its arguments and its test of readiness, given a port."""

    program: programs.Program
    arguments: Callable[[int], tuple[str, ...]]
    is_ready: Callable[[int], bool]

    @property
    def name(self) -> str:
        """The program's name, which is unique within a control plane."""
        return self.program.name


def api(layout: Layout, *, port: int, token: str = "") -> Api:
    """Return a client for one of the servers, which all show the same certificate."""
    return Api(
        url=f"https://{servers.LOOPBACK}:{port}",
        certificate_authority=layout.certificate,
        token=token,
    )


def etcd(layout: Layout) -> Part:
    """Return etcd, which needs no port; to be asked from inside the folder."""

    def accepts(_port: int) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(ETCD_SOCKET) == 0

    return Part(programs.ETCD, lambda _port: servers.etcd(layout), accepts)


def kube_apiserver(layout: Layout, *, token: str, audit: bool) -> Part:
    """Return the API server; it is ready when it says so to the owner of the token."""
    return Part(
        programs.KUBE_APISERVER,
        lambda port: servers.kube_apiserver(layout, port=port, audit=audit),
        lambda port: api(layout, port=port, token=token).is_ok("/readyz"),
    )


def kube_controller_manager(layout: Layout) -> Part:
    """Return the controller manager."""
    return Part(
        programs.KUBE_CONTROLLER_MANAGER,
        lambda port: servers.kube_controller_manager(layout, port=port),
        lambda port: api(layout, port=port).is_ok("/healthz"),
    )


def kube_scheduler(layout: Layout) -> Part:
    """Return the scheduler."""
    return Part(
        programs.KUBE_SCHEDULER,
        lambda port: servers.kube_scheduler(layout, port=port),
        lambda port: api(layout, port=port).is_ok("/healthz"),
    )


def kwok(layout: Layout, *, stages: Sequence[Path]) -> Part:
    """Return kwok."""
    return Part(
        programs.KWOK,
        lambda port: servers.kwok(layout, port=port, stages=stages),
        lambda port: api(layout, port=port).is_ok("/healthz"),
    )
