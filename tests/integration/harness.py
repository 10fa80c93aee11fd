"""What integration tests share: a cluster seen through kubectl, and coordinators as processes.

The coordinator runs under its shipped ServiceAccount, never as admin: a rule that its role lacks
fails a test.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hack.controlplane import ControlPlane, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
NAMESPACE = "lmcache-operator-system"
SERVICE_ACCOUNT = "lmcache-coordinator"


@dataclass
class Cluster:
    """The control plane as a test sees it: through kubectl, from outside."""

    control_plane: ControlPlane
    namespaces: list[str] = field(default_factory=list)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.control_plane.kubectl(*arguments, stdin=stdin)

    def apply(self, manifest: Mapping[str, Any] | str, *, namespace: str | None = None) -> str:
        text = manifest if isinstance(manifest, str) else yaml.safe_dump(dict(manifest))
        where = ("-n", namespace) if namespace else ()
        return self.kubectl("apply", *where, "-f", "-", stdin=text)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def find(self, *arguments: str) -> Any | None:
        """Return the object, None where it does not exist."""
        text = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def namespace(self, name: str) -> str:
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.namespaces.append(name)
        return name

    def engine(self, name: str, namespace: str) -> Any:
        return self.get("lmc", name, "-n", namespace)

    def condition(self, name: str, namespace: str, type_: str = "Ready") -> dict[str, Any]:
        conditions = self.engine(name, namespace).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    def wait_for(
        self, name: str, namespace: str, *, within: float = 30.0, **status: Any
    ) -> dict[str, Any]:
        """Wait until the engine's status has these values, and return it."""

        def look() -> dict[str, Any] | None:
            found = self.engine(name, namespace).get("status", {})
            hit = all(found.get(key) == value for key, value in status.items())
            return found if hit else None

        return wait_until(look, within=within, what=f"status of {namespace}/{name} {status}")

    def wait_reason(
        self, name: str, namespace: str, reason: str, *, type_: str = "Ready", within: float = 30.0
    ) -> dict[str, Any]:
        """Wait until a condition has this reason, and return it."""

        def look() -> dict[str, Any] | None:
            condition = self.condition(name, namespace, type_)
            return condition if condition.get("reason") == reason else None

        return wait_until(look, within=within, what=f"{type_} of {namespace}/{name} {reason}")

    def writes_by(self, user: str, namespace: str) -> int:
        """Count a user's write requests in a namespace, as the API server saw them."""
        return sum(
            1
            for event in self.control_plane.audit_events()
            if event.user == user and event.is_write and event.namespace == namespace
        )


@dataclass
class Coordinator:
    """A coordinator process."""

    process: subprocess.Popen[bytes]
    log: Path
    http: str
    agents: str

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def metric(self, series: str) -> float:
        for line in self.metrics().splitlines():
            if line.rsplit(" ", 1)[0] == series:
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


def install(cluster: Cluster) -> None:
    """Install what the operator needs, but for its Deployment: the tests run its processes."""
    rendered = list(
        yaml.safe_load_all(cluster.kubectl("kustomize", str(REPOSITORY / "deploy/base")))
    )
    wanted = [
        document for document in rendered if document["kind"] not in ("Deployment", "DaemonSet")
    ]
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(wanted))
    # Not `kubectl wait`: it fails where a CRD that was made just now has no conditions yet.
    wait_until(lambda: _is_established(cluster), within=30, what="the CRD to be established")


def _is_established(cluster: Cluster) -> bool:
    crd = cluster.get("crd", "lmcacheengines.lmcache.lmcache.ai")
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def kubeconfig_with_token(cluster: Cluster, token: str, path: Path) -> Path:
    """Write a kubeconfig that has nothing but this token."""
    certificate = Path(cluster.control_plane.certificate_authority).read_bytes()
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [
                    {
                        "name": "it",
                        "cluster": {
                            "server": cluster.control_plane.url,
                            "certificate-authority-data": base64.b64encode(certificate).decode(),
                        },
                    }
                ],
                "users": [{"name": "it", "user": {"token": token}}],
            }
        )
    )
    return path


@contextlib.contextmanager
def running_coordinator(
    kubeconfig: Path, log: Path, *options: str, debug: bool = False, agents_tls: str = "off"
) -> Iterator[Coordinator]:
    """Run a coordinator on free ports until the block ends."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "coordinator",
                "--http-address=127.0.0.1:0",
                "--agents-address=127.0.0.1:0",
                f"--agents-tls={agents_tls}",
                f"--log-level={'debug' if debug else 'info'}",
                *options,
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        )
    try:
        http = wait_until(
            lambda: _address(process, log, "serving metrics and health"),
            within=30,
            what="the coordinator's HTTP address",
        )
        agents = _address(process, log, "serving node agents") or ""
        coordinator = Coordinator(process, log, http, agents)
        wait_until(lambda: is_ready(coordinator), within=30, what="the coordinator to be ready")
        agents = _address(process, log, "serving node agents") or ""
        yield Coordinator(process, log, http, agents)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
    assert "Traceback" not in log.read_text(), log.read_text()


def is_ready(coordinator: Coordinator) -> bool:
    assert coordinator.process.poll() is None, coordinator.log.read_text()
    try:
        with urllib.request.urlopen(f"http://{coordinator.http}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _address(process: subprocess.Popen[bytes], log: Path, message: str) -> str | None:
    assert process.poll() is None, log.read_text()
    for line in log.read_text().splitlines():
        if f" {message} address=" in line:
            return line.split(" address=", 1)[1].strip()
    return None


def engine_manifest(name: str = "my-cache", **spec: Any) -> dict[str, Any]:
    """Return a minimal engine, with further spec fields."""
    return {
        "apiVersion": "lmcache.lmcache.ai/v1alpha1",
        "kind": "LMCacheEngine",
        "metadata": {"name": name},
        "spec": {"l1": {"sizeGB": 60}, **spec},
    }
