"""The schemas of the core types that an engine's spec embeds, from corev1_schema.json.

The file is made from Kubernetes' published OpenAPI by `python hack/corev1_schema.py`. Only the CRD
needs it: at run time those values are passed through as the user wrote them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, cast


@cache
def _excerpt() -> dict[str, dict[str, Any]]:
    text = files("coordinator.api").joinpath("corev1_schema.json").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, Any]]", json.loads(text))


def core_type(kind: str) -> dict[str, Any]:
    """Return the structural schema of a core/v1 type, for example EnvVar. Not to be changed.

    Raises:
        KeyError: the excerpt does not have the type.

    """
    return _excerpt()[kind]
