"""Bad input gets one clear sentence, an exit code or a condition, and nothing is lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hack.controlplane import ControlPlane, ControlPlaneOptions
from hack.controlplane.errors import CommandFailed
from tests.integration.harness import REPOSITORY, Cluster, Coordinator, engine_manifest


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"l1": {"sizeGB": -1}}, "spec.l1.sizeGB", id="negative-size"),
        pytest.param({"l1": {}}, "spec.l1.sizeGB", id="no-size"),
        pytest.param(
            {"l1": {"sizeGB": 60}, "server": {"port": 80}}, "spec.server.port", id="low-port"
        ),
        pytest.param(
            {"l1": {"sizeGB": 60}, "prometheus": {"port": 5555}},
            "spec.prometheus.port",
            id="same-ports",
        ),
        pytest.param(
            {"l1": {"sizeGB": 60}, "l2Backend": {}}, "exactly one of", id="neither-resp-nor-raw"
        ),
        pytest.param({"l1": {"sizeGB": 60}, "sever": {}}, 'unknown field "spec.sever"', id="typo"),
    ],
)
def test_a_refused_engine_names_the_field(
    cluster: Cluster, namespace: str, spec: dict[str, Any], words: str
) -> None:
    manifest = engine_manifest() | {"spec": spec}
    with pytest.raises(CommandFailed) as refusal:
        cluster.apply(manifest, namespace=namespace)
    assert words in str(refusal.value)


def test_what_ran_keeps_running_when_the_spec_turns_invalid(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    cluster.apply(engine_manifest(), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running", readyInstances=4)
    before = cluster.get("daemonset", "my-cache", "-n", namespace)["metadata"]["generation"]
    # Beyond what the CRD's rules can see: the adapter would end the server at its start.
    raw = {"raw": {"type": "raw_block", "config": {"device_path": "/dev/nvme0n1"}}}
    cluster.kubectl(
        "patch", "lmc", "my-cache", "-n", namespace, "--type=merge",
        "-p", json.dumps({"spec": {"l2Backend": raw}}),
    )  # fmt: skip
    condition = cluster.wait_reason("my-cache", namespace, "ValidationFailed", type_="ConfigValid")
    assert "slot_bytes" in condition["message"]
    status = cluster.wait_for("my-cache", namespace, phase="Failed", observedGeneration=2)
    assert status["readyInstances"] == 4
    assert cluster.get("daemonset", "my-cache", "-n", namespace)["metadata"]["generation"] == before


def _run(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "coordinator", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=REPOSITORY,
        env={**clean, **(env or {})},
    )


def _sentence(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("lmcache-coordinator:")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_missing_kubeconfig_is_one_sentence(tmp_path: Path) -> None:
    assert "does not exist" in _sentence(_run("--kubeconfig", str(tmp_path / "none")))


def test_a_broken_kubeconfig_is_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_text("{: not yaml")
    assert "cannot be used" in _sentence(_run("--kubeconfig", str(broken)))


def test_an_api_server_that_is_away_is_one_sentence(
    cluster: Cluster, coordinator_kubeconfig: Path, tmp_path: Path
) -> None:
    config = json.loads(coordinator_kubeconfig.read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free.getsockname()[1]}"
    elsewhere = tmp_path / "config"
    elsewhere.write_text(json.dumps(config))
    assert "cannot be reached" in _sentence(_run("--kubeconfig", str(elsewhere)))


def test_a_refused_token_is_one_sentence(
    cluster: Cluster, coordinator_kubeconfig: Path, tmp_path: Path
) -> None:
    config = json.loads(coordinator_kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "expired"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    assert "check the credentials" in _sentence(_run("--kubeconfig", str(path)))


def test_a_busy_port_is_one_sentence(cluster: Cluster, coordinator_kubeconfig: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = _run(
            "--kubeconfig", str(coordinator_kubeconfig), "--http-address", f"127.0.0.1:{port}"
        )
    assert "--http-address" in _sentence(result)


def test_a_busy_port_for_agents_is_one_sentence(
    cluster: Cluster, coordinator_kubeconfig: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = _run(
            "--kubeconfig", str(coordinator_kubeconfig),
            "--http-address", "127.0.0.1:0", "--agents-address", f"127.0.0.1:{port}",
        )  # fmt: skip
    assert "--agents-address" in _sentence(result)


def test_a_missing_crd_is_one_sentence() -> None:
    with ControlPlane.start(ControlPlaneOptions()) as bare:
        sentence = _sentence(_run("--kubeconfig", str(bare.kubeconfig)))
    assert "make install" in sentence


def test_a_setting_that_the_image_does_not_have_is_refused_before_any_pod_restarts(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    old = {"repository": "lmcache/vllm-openai", "tag": "v0.4.5"}
    cluster.apply(engine_manifest(image=old, isolatedIPC=True), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "ValidationFailed", type_="ConfigValid")
    assert "spec.isolatedIPC" in condition["message"]
    assert "0.4.5" in condition["message"]
    assert cluster.find("daemonset", "my-cache", "-n", namespace) is None
