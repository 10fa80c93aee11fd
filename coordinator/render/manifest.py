"""What every manifest is made of: a plain dictionary, and the metadata that all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.render.labels import standard_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coordinator.api.engine import Engine

Manifest = dict[str, Any]


def metadata(
    engine: Engine, name: str, *, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the metadata of a child: identity, owner, and labels with the operator's own on top.

    The owner reference is what makes Kubernetes delete the child with the engine.
    """
    return {
        "name": name,
        "namespace": engine.namespace,
        "labels": {**(labels or {}), **standard_labels(engine)},
        "ownerReferences": [engine.owner_reference()],
    }


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something; None, "", {} and [] do not.

    The API server drops such values, and a render that had them would never equal what is live.
    Only the given level is looked at: inside, an empty value may have a meaning (`emptyDir: {}`, or
    a namespaceSelector that selects all namespaces).
    """
    return {
        key: value
        for key, value in fields.items()
        if value is not None and value != "" and value != {} and value != []
    }


def as_given(value: Any) -> Any:
    """Return a fresh copy of what the user wrote, without nulls, which mean absence."""
    if isinstance(value, dict):
        return {key: as_given(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [as_given(item) for item in value]
    return value
