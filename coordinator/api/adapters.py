"""The L2 adapters of the cache server, and the settings without which each refuses to start.

Found by calling the parsers of LMCache 0.5.6 with missing keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Adapter type -> what it requires. A tuple inside means: one of these.
REQUIRED: Mapping[str, tuple[str | tuple[str, ...], ...]] = {
    "aerospike": ("hosts",),
    "bigtable": ("bigtable_project_id", "bigtable_instance_id", "bigtable_table_name"),
    "dax": ("slot_bytes", ("device_path", "devices"), "max_dax_size_gb"),
    "fault_inject": ("inner",),
    "fs": ("base_path",),
    "fs_native": ("base_path",),
    "hf3fs": ("mount_point", "base_paths"),
    "hfbucket": ("bucket_handle",),
    "mock": ("max_size_gb", "mock_bandwidth_gb"),
    "mooncake_store": (),
    "native_plugin": ("module_path", "class_name"),
    "nixl_native": ("backend",),
    # The nixl adapters come with an extra package; what their parsers insist on is not known here.
    "nixl_store": (),
    "nixl_store_dynamic": (),
    "p2p": ("peer_mq_server_url", "peer_transfer_channel_server_url"),
    "plugin": ("module_path", "class_name"),
    "raw_block": ("device_path", "slot_bytes"),
    "resp": ("host", "port"),
    "s3": ("s3_endpoint", "s3_region"),
    "sagemaker-hyperpod": ("url",),
    "valkey": ("startup_nodes",),
}


def missing_keys(type_: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the required settings that an adapter's config lacks; none for unknown adapters."""
    missing = []
    for required in REQUIRED.get(type_, ()):
        names = (required,) if isinstance(required, str) else required
        if all(config.get(name) is None for name in names):
            missing.append(" or ".join(names))
    return tuple(missing)
