"""What lies where in the folder of one control plane. Pure: names paths, touches none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Relative, because the servers run inside the folder: the path of a socket may have 107 bytes, and
# the folders of tests are often longer than that.
ETCD_SOCKET = "etcd.sock"
ETCD_PEER_SOCKET = "etcd-peer.sock"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one folder."""

    folder: Path

    @property
    def state(self) -> Path:
        """Who runs here; see `plan.State`."""
        return self.folder / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives.

        Made first and removed last: only beside a lock do we ever delete anything.
        """
        return self.folder / "lock"

    @property
    def kubeconfig(self) -> Path:
        """The admin's."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file per server, and the supervisor's."""
        return self.folder / "logs"

    @property
    def supervisor_log(self) -> Path:
        """Beside the logs of the servers, which are made anew by each supervisor."""
        return self.folder / "supervisor.log"

    @property
    def etcd_data(self) -> Path:
        """All objects of the cluster."""
        return self.folder / "etcd"

    @property
    def pki(self) -> Path:
        """The API server's own certificate and key."""
        return self.folder / "pki"

    @property
    def certificate(self) -> Path:
        """Made by the API server at its first start; holds its certificate authority too."""
        return self.pki / "apiserver.crt"

    @property
    def certificate_key(self) -> Path:
        """Belongs to `certificate`."""
        return self.pki / "apiserver.key"

    @property
    def service_account_key(self) -> Path:
        """Signs the tokens of service accounts."""
        return self.folder / "service-account.key"

    @property
    def tokens(self) -> Path:
        """Who may log in with which static token."""
        return self.folder / "tokens.csv"

    @property
    def scheduler_config(self) -> Path:
        """The scheduler takes its API request limits from a file only."""
        return self.folder / "scheduler.json"

    @property
    def audit_policy(self) -> Path:
        """What the API server writes to the audit log."""
        return self.folder / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        """One request per line."""
        return self.folder / "audit.log"

    @property
    def kubectl_cache(self) -> Path:
        """What kubectl remembers of the API; outside of the person's home."""
        return self.folder / "kubectl-cache"

    def kubeconfig_of(self, server: str) -> Path:
        """Return the kubeconfig with which one of the servers logs in."""
        return self.folder / f"{server}.kubeconfig"

    def log(self, server: str) -> Path:
        """Return the log of one of the servers."""
        return self.logs / f"{server}.log"

    def own_entries(self) -> tuple[Path, ...]:
        """Return everything that a control plane leaves in its folder, the lock last."""
        return (
            self.kubeconfig,
            self.logs,
            self.etcd_data,
            self.pki,
            self.service_account_key,
            self.tokens,
            self.scheduler_config,
            self.audit_policy,
            self.audit_log,
            self.kubectl_cache,
            self.folder / ETCD_SOCKET,
            self.folder / ETCD_PEER_SOCKET,
            # kwok and kubectl take the folder for their home.
            self.folder / ".kwok",
            self.folder / ".kube",
            *(
                self.kubeconfig_of(server)
                for server in ("kube-controller-manager", "kube-scheduler", "kwok")
            ),
            self.supervisor_log,
            self.state,
            self.lock,
        )
