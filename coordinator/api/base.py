"""What the API models are built from: the base model, bounded scalars and embedded core types."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, WithJsonSchema
from pydantic.config import JsonDict

# Words that Kubernetes writes in capitals inside a camelCase name: sizeGB, hostIP, isolatedIPC.
_CAPITALS = frozenset({"gb", "ip", "ipc"})

# The key that marks an embedded core type in the models' JSON schema; crd.py puts the vendored
# schema of that type in its place.
CORE_TYPE_KEY = "x-core-type"


def camel(name: str) -> str:
    """Return the JSON name of a Python attribute: size_gb -> sizeGB, host_ipc -> hostIPC."""
    first, *rest = name.split("_")
    return first + "".join(part.upper() if part in _CAPITALS else part.title() for part in rest)


class Model(BaseModel):
    """A frozen value of the API; what it does not know, it refuses."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=camel,
        populate_by_name=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def rules(*triples: tuple[str, str, str]) -> JsonDict:
    """Return CEL rules for a model's schema, from (rule, message, field path) triples."""
    return {
        "x-kubernetes-validations": [
            {"rule": rule, "message": message, **({"fieldPath": path} if path else {})}
            for rule, message, path in triples
        ]
    }


def list_map(*keys: str) -> JsonDict:
    """Return the schema extras of a list whose items are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: JsonDict = {"x-kubernetes-list-type": "atomic"}

# Strict, because the API server is: "5555" is not a number and 1 is not a truth value.
Bool = Annotated[bool, Strict()]
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]

# A port that an unprivileged process may open.
Port = Annotated[Int, Field(ge=1024, le=65535)]
# Somebody else's port.
RemotePort = Annotated[Int, Field(ge=1, le=65535)]
Fraction = Annotated[Float, Field(gt=0, le=1)]
Seconds = Annotated[Float, Field(gt=0, le=86400)]

# Names of namespaced objects (DNS-1123 subdomains) and of namespaces and the like (labels).
OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
LABEL_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=OBJECT_NAME_PATTERN)]
LabelName = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_NAME_PATTERN)]
LabelValue = Annotated[str, Field(max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=65536)]], Field(max_length=128)]

# Core types are passed through as the user wrote them: opaque here, checked by the API server
# against the vendored schema (corev1_schema.json). The client's models would refuse `cpu: 8`.
Affinity = Annotated[dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "Affinity"})]
Container = Annotated[dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "Container"})]
EnvVar = Annotated[dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "EnvVar"})]
ResourceRequirements = Annotated[
    dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "ResourceRequirements"})
]
Toleration = Annotated[dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "Toleration"})]
Volume = Annotated[dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "Volume"})]
VolumeMount = Annotated[dict[str, Any], WithJsonSchema({CORE_TYPE_KEY: "VolumeMount"})]


class LocalObjectReference(Model):
    """The name of an object in the engine's namespace."""

    name: ObjectName
    """Name of the object."""
