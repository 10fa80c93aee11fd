"""Write coordinator/api/corev1_schema.json: the core types that an LMCacheEngine embeds.

The source is Kubernetes' published OpenAPI, as the development package kubernetes-validate carries
it. References are put inline, null branches and most descriptions dropped, and quantities become
int-or-string, so that both `cpu: 8` and `cpu: "8"` are accepted.

Usage: python hack/corev1_schema.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate

RELEASE = "v1.36.0-local"
TARGET = Path(__file__).resolve().parents[1] / "coordinator" / "api" / "corev1_schema.json"
KINDS = (
    "Affinity",
    "Container",
    "EnvVar",
    "ResourceRequirements",
    "Toleration",
    "Volume",
    "VolumeMount",
)

CORE = "io.k8s.api.core.v1."
SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"x-kubernetes-int-or-string": True},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": True},
    # Only in the template of an ephemeral volume's claim.
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    },
}
KEPT = (
    "format",
    "enum",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)
LIST_LIMIT = 1024
# The API server estimates the cost of CEL rules from the bounds of what they read.
LENGTHS = {
    ("EnvVar", "name"): 1024,
    ("VolumeMount", "mountPath"): 4096,
    ("VolumeMount", "name"): 63,
    ("Volume", "name"): 63,
    ("HostPathVolumeSource", "path"): 4096,
}


def first_sentence(text: str) -> str:
    """Return the first sentence of a description, at most 160 characters of it."""
    sentence = re.split(r"(?<=[a-z)])\.(?:\s|$)", " ".join(text.split()), maxsplit=1)[0]
    return sentence if len(sentence) <= 160 else sentence[:157].rsplit(" ", 1)[0] + "..."


def plain_type(schema: dict[str, Any]) -> str:
    kinds = schema.get("type", "object")
    return kinds if isinstance(kinds, str) else next(kind for kind in kinds if kind != "null")


def structural(
    schema: dict[str, Any], definitions: dict[str, Any], *, depth: int
) -> dict[str, Any]:
    """Return the schema without references; descriptions only at the first two levels."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name in SPECIAL:
        return dict(SPECIAL[name])
    if name:
        result = structural(definitions[name], definitions, depth=depth)
        for (kind, field), length in LENGTHS.items():
            if name == CORE + kind:
                result["properties"][field]["maxLength"] = length
        return result
    result = {"type": plain_type(schema)}
    result |= {key: schema[key] for key in KEPT if key in schema}
    if result["type"] == "array":
        result["items"] = structural(schema["items"], definitions, depth=depth + 1)
        result["maxItems"] = LIST_LIMIT
        keys = result.get("x-kubernetes-list-map-keys", ())
        if any(key not in result["items"].get("required", ()) for key in keys):
            # The key of a list-map must be required or have a default; such lists stay plain.
            del result["x-kubernetes-list-map-keys"], result["x-kubernetes-list-type"]
    if "additionalProperties" in schema:
        result["additionalProperties"] = structural(
            schema["additionalProperties"], definitions, depth=depth + 1
        )
    if "properties" in schema:
        result["properties"] = {}
        for key, value in sorted(schema["properties"].items()):
            child = structural(value, definitions, depth=depth + 1)
            if depth == 0 and "description" in value:
                child = {"description": first_sentence(value["description"]), **child}
            result["properties"][key] = child
        if "required" in schema:
            result["required"] = sorted(schema["required"])
    return result


def excerpt() -> dict[str, Any]:
    """Return kind -> structural schema for the embedded kinds."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / RELEASE
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return {
        kind: structural({"$ref": f"#/$defs/{CORE}{kind}"}, definitions, depth=0) for kind in KINDS
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(excerpt(), indent=1, ensure_ascii=False) + "\n")
    print(f"wrote {TARGET.name}: {TARGET.stat().st_size} bytes")
