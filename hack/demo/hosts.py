"""The simulated nodes' files, kept in step with the pods that run on them.

kwok plays the kubelet, but a kwok pod has no process. The agents look for the engine's process by
its pod's UID, so each node's tree gets one for every engine pod that the API server shows there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from hack.controlplane import ControlPlane
from hack.demo.scene import NodeScene

EVERY_SECONDS = 0.5
ENGINE_PODS = "/api/v1/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dcache-engine"


class Hosts:
    """The trees of all nodes below one folder."""

    def __init__(self, folder: Path, scenes: tuple[NodeScene, ...]) -> None:
        self._folder = folder
        self._scenes = scenes
        self._written: dict[str, tuple[str, ...]] = {}

    def root(self, node: str) -> Path:
        """Return a node's host root."""
        return self._folder / node / "root"

    def scenario(self, node: str) -> Path:
        """Return the file that a node's driver answers from."""
        return self._folder / node / "gpus.scenario"

    def write_all(self) -> None:
        """Write every node as it is without pods, GPUs included."""
        for scene in self._scenes:
            self.root(scene.name).mkdir(parents=True, exist_ok=True)
            scene.gpus.write(self.scenario(scene.name))
            scene.host(()).write(self.root(scene.name))

    def follow(self, pods: list[Any]) -> None:
        """Bring the trees to where these pods run."""
        by_node: dict[str, list[Any]] = defaultdict(list)
        for pod in pods:
            if pod["status"].get("phase") == "Running":
                by_node[pod["spec"].get("nodeName", "")].append(pod)
        for scene in self._scenes:
            here = by_node[scene.name]
            uids = tuple(sorted(pod["metadata"]["uid"] for pod in here))
            if self._written.get(scene.name) != uids:
                scene.host(here).write(self.root(scene.name))
                self._written[scene.name] = uids

    def follow_for_ever(self, control_plane: ControlPlane) -> None:
        """Follow until the API server is gone for good."""
        missed = 0
        while missed < 60:
            try:
                answer = control_plane.api.request("GET", ENGINE_PODS)
                self.follow(answer.body["items"] if answer.ok else [])
                missed = 0 if answer.ok else missed + 1
            except OSError:
                missed += 1
            time.sleep(EVERY_SECONDS)
