"""Install the operator with given images: `python -m hack.deploy --image …`.

A throw-away kustomization sets the images, so that deploy/base stays as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
COORDINATOR = "lmcache-operator-coordinator"
AGENT = "lmcache-operator-agent"
NAMESPACE = "lmcache-operator-system"
COORDINATOR_DEPLOYMENT = "lmcache-coordinator"
GATEWAY_SETTING = "LMCACHE_OPERATOR_GATEWAY_IMAGE"


def split_image(image: str) -> tuple[str, dict[str, str]]:
    """Return repository and kustomize's fields for tag or digest of an image reference.

    A colon before the last slash belongs to a registry's port.
    """
    name, at, digest = image.partition("@")
    if at:
        return name, {"digest": digest}
    repository, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return repository, {"newTag": tag}
    return name, {"newTag": "latest"}


def kustomization(base: str, *, image: str, agent_image: str) -> dict[str, object]:
    """Return the kustomization that puts images into the base."""
    images = []
    for name, given in ((COORDINATOR, image), (AGENT, agent_image)):
        repository, version = split_image(given)
        images.append({"name": name, "newName": repository, **version})
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "images": images,
        # A setting, which `images` does not reach.
        "patches": [{"patch": json.dumps(_gateway_patch(agent_image))}],
    }


def _gateway_patch(image: str) -> dict[str, object]:
    """Return the patch that makes the gateway run from the agent's image."""
    env = [{"name": GATEWAY_SETTING, "value": image}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": COORDINATOR_DEPLOYMENT, "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"containers": [{"name": "coordinator", "env": env}]}}},
    }


def main() -> int:
    """Apply deploy/base with the images; returns kubectl's exit code."""
    parser = argparse.ArgumentParser(prog="python -m hack.deploy", description=__doc__)
    parser.add_argument("--image", required=True, help="image of the coordinator")
    parser.add_argument("--agent-image", required=True, help="image of the node agent")
    parser.add_argument("--kubectl", default="kubectl", help="kubectl to use (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.relpath(REPOSITORY / "deploy/base", folder)
        content = kustomization(base, image=given.image, agent_image=given.agent_image)
        (Path(folder) / "kustomization.yaml").write_text(json.dumps(content))
        try:
            return subprocess.run(
                [given.kubectl, "apply", "--server-side", "-k", folder], check=False
            ).returncode
        except FileNotFoundError:
            sys.stderr.write(
                f"deploy: there is no {given.kubectl}: install kubectl, or run `make controlplane`"
                " and set KUBECTL=hack/controlplane/bin/kubectl.\n"
            )
            return 1


if __name__ == "__main__":
    sys.exit(main())
