"""The second cache tier (`spec.l2Backend`): where chunks live that do not fit into host memory."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from coordinator.api.base import (
    Float,
    Int,
    LabelName,
    LocalObjectReference,
    Model,
    ObjectName,
    RemotePort,
    rules,
)


class SecretReference(Model):
    """The name of a Secret, in the engine's namespace or in another one."""

    name: ObjectName
    """Name of the Secret."""

    namespace: LabelName | None = None
    """Namespace of the Secret. The engine's own namespace if left out."""


class RespSpec(Model):
    """A Redis or Valkey server, spoken to by the RESP protocol."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s/@]+$")]
    """Host name or IP address of the server, without scheme and port."""

    port: RemotePort
    """TCP port of the server, usually 6379."""

    num_workers: Annotated[Int, Field(ge=1, le=1024)] = 8
    """Number of I/O threads."""

    max_capacity_gb: Annotated[Float, Field(ge=0, le=1048576)] = 0.0
    """Capacity used for accounting and eviction of this tier, in GiB. 0 switches both off."""

    auth_secret_ref: SecretReference | None = None
    """Secret with the key `password` and, optionally, `username`. It reaches the server as
    environment variables from a managed copy of the Secret, never as an argument."""


class RawSpec(Model):
    """Any adapter of the cache server, passed to `--l2-adapter` as written."""

    type: Annotated[
        str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][-_.A-Za-z0-9]*$")
    ]
    """Adapter type, for example fs, nixl_store, s3, mock."""

    config: Annotated[
        dict[str, Any],
        Field(max_length=128, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = Field(default_factory=dict)
    """Settings of the adapter: any JSON, put beside `type`. No secrets: the arguments of a pod are
    readable for everyone who may read pods."""


class AesGcmSpec(Model):
    """Encryption at rest of what goes to the second tier."""

    master_key_secret_ref: LocalObjectReference
    """Secret in the engine's namespace with the master key under the key `master`."""

    key_provider: Literal["hkdf"] = "hkdf"
    """How the key of each cache salt is derived from the master key."""

    aes_bits: Literal[128, 256] = 128
    """AES key size in bits."""


class SerdeSpec(Model):
    """A transformation of the bytes on their way to and from the second tier."""

    aesgcm: AesGcmSpec
    """Encrypt with AES-GCM."""


class L2BackendSpec(Model):
    """The second tier: exactly one of resp and raw."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.resp) != has(self.raw)",
                "spec.l2Backend needs exactly one of resp and raw: keep the one that you use, "
                "or remove l2Backend to run without a second tier",
                "",
            )
        )
    )

    resp: RespSpec | None = None
    """A Redis or Valkey server."""

    raw: RawSpec | None = None
    """Any other adapter of the cache server, as JSON."""

    store_policy: Literal["default", "skip_l1"] = "default"
    """How chunks go from L1 to L2: default keeps them in L1 too, skip_l1 drops them there (made for
    eviction.policy noop)."""

    prefetch_policy: Literal["default", "retain"] = "default"
    """How chunks come back from L2 to L1: retain keeps them in L1 after use."""

    prefetch_max_in_flight: Annotated[Int, Field(ge=1, le=65536)] = 8
    """Upper limit of concurrent prefetch requests."""

    serde: SerdeSpec | None = None
    """Transformation of the stored bytes, for either backend."""
