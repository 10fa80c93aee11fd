"""Does a live object already say what the render says? Pure.

A live object differs from the manifest that made it: the server fills in defaults, rewrites
quantities, and others own fields of their own. Three questions are answered here:

* `is_covered`: is everything that we render there, with our values?
* `has_stale_fields`: do we own a field that we no longer render?
* `foreign_fields`: has somebody added something to a part of the object that is ours alone?

The parts that are ours alone are the pod template's spec of a DaemonSet and what routes a Service:
forced server-side apply leaves there what others added (an emptyDir on /dev/shm, say), and it would
decide over whether the cache works.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coordinator.kube.client import FIELD_MANAGER
from coordinator.kube.quantities import parse_quantity
from coordinator.kube.resources import Manifest

Path = tuple[str, ...]

_OWN_AREAS: dict[str, tuple[Path, ...]] = {
    "DaemonSet": (("spec", "template", "spec"),),
    "Service": (("spec", "selector"), ("spec", "ports")),
}

_QUANTITY_PARENTS = frozenset({"limits", "requests"})
_QUANTITY_KEYS = frozenset({"sizeLimit", "divisor", "storage"})

# What the API server fills in where a pod template, a Service port or a probe says nothing
# (k8s.io/kubernetes/pkg/apis/core/v1/defaults.go). A field with such a value is nobody's addition.
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "dnsPolicy": ("ClusterFirst",),
    "restartPolicy": ("Always",),
    "schedulerName": ("default-scheduler",),
    "securityContext": ({},),
    "terminationGracePeriodSeconds": (30,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "imagePullPolicy": ("IfNotPresent", "Always"),
    "resources": ({},),
    "protocol": ("TCP",),
    "timeoutSeconds": (1,),
    "periodSeconds": (10,),
    "successThreshold": (1,),
    "failureThreshold": (3,),
    "scheme": ("HTTP",),
    "apiVersion": ("v1",),
    "divisor": ("0",),
    "defaultMode": (420,),
    "type": ("",),
    "volumeMode": ("Filesystem",),
    "service": ("",),
    "procMount": ("Default",),
}


def is_covered(live: Any, desired: Any, *, path: Path = ()) -> bool:
    """Tell whether everything in `desired` stands in `live` with an equal value.

    Lists must agree item by item, except owner references, where others may have added theirs.
    """
    if isinstance(desired, Mapping):
        # The server drops empty values: an absent key equals {}, [], "" and null.
        if not isinstance(live, Mapping):
            return _is_empty(live) and all(_is_empty(value) for value in desired.values())
        return all(
            is_covered(live.get(key), value, path=(*path, key)) for key, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        live = live or []
        if path[-1:] == ("ownerReferences",):
            return all(any(is_covered(item, wanted) for item in live) for wanted in desired)
        return len(live) == len(desired) and all(
            is_covered(item, wanted, path=path) for item, wanted in zip(live, desired, strict=True)
        )
    if _is_empty(desired) and _is_empty(live):
        return True
    return bool(live == desired) or _is_same_quantity(live, desired, path)


def has_stale_fields(live: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Tell whether our manager owns a field by apply that the render no longer has."""
    for entry in live["metadata"].get("managedFields") or ():
        if (
            entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            return any(_stale(entry["fieldsV1"], desired))
    # Adopted from another manager: the first apply makes the fields ours.
    return True


def foreign_fields(live: Mapping[str, Any], desired: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what somebody else added to the parts of this object that are ours alone.

    Returns paths such as "spec.template.spec.volumes[shm]", sorted.
    """
    found: list[str] = []
    pod_spec = _at(desired, ("spec", "template", "spec"))
    for area in _OWN_AREAS.get(desired["kind"], ()):
        found += _surplus(_at(live, area), _at(desired, area), ".".join(area))
    if not pod_spec.get("hostNetwork"):
        return tuple(sorted(found))
    # In the host's network the server fills in a hostPort beside each containerPort.
    return tuple(sorted(path for path in found if not path.endswith(".hostPort")))


def reclaimed(live: Mapping[str, Any], desired: Mapping[str, Any]) -> Manifest:
    """Return the live object with our own parts as rendered; the server fills in defaults anew."""
    result: Manifest = copy.deepcopy(dict(live))
    for area in _OWN_AREAS.get(desired["kind"], ()):
        parent = _at(result, area[:-1])
        parent[area[-1]] = copy.deepcopy(_at(desired, area))
    return result


def _is_empty(value: Any) -> bool:
    return value is None or value == {} or value == [] or value == ""


def _is_same_quantity(live: Any, desired: Any, path: Path) -> bool:
    if not (set(path[-2:-1]) & _QUANTITY_PARENTS or set(path[-1:]) & _QUANTITY_KEYS):
        return False
    try:
        return parse_quantity(live) == parse_quantity(desired)
    except ValueError:
        return False


def _at(manifest: Any, path: Path) -> Any:
    for key in path:
        manifest = manifest.get(key) or {}
    return manifest


def _surplus(live: Any, desired: Any, path: str) -> Iterator[str]:
    if isinstance(live, Mapping):
        wanted: Mapping[str, Any] = desired if isinstance(desired, Mapping) else {}
        for key, value in live.items():
            here = f"{path}.{key}"
            if key in wanted:
                yield from _surplus(value, wanted[key], here)
            elif not _is_default(key, value, wanted):
                yield from _named(value, here)
    elif isinstance(live, list) and isinstance(desired, Sequence) and not isinstance(desired, str):
        remaining = [*desired]
        for index, item in enumerate(live):
            name = _name_of(item)
            match = next((other for other in remaining if _name_of(other) == name), None)
            here = f"{path}[{index if name is None else name}]"
            if match is None:
                yield here
                continue
            remaining.remove(match)
            yield from _surplus(item, match, here)


def _named(value: Any, path: str) -> Iterator[str]:
    """Name what was added: the items of a list one by one, so that a mount shows its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            name = _name_of(item) if isinstance(item, Mapping) else index
            yield f"{path}[{name}]"
    else:
        yield path


def _is_default(key: str, value: Any, siblings: Mapping[str, Any]) -> bool:
    if _is_empty(value) or any(value == default for default in _DEFAULTS.get(key, ())):
        return True
    # Filled in from a sibling: the deprecated twin of serviceAccountName, requests from limits,
    # a Service's targetPort from its port.
    match key:
        case "serviceAccount":
            return bool(value == siblings.get("serviceAccountName"))
        case "targetPort":
            return bool(value == siblings.get("port"))
        case "requests":
            limits = siblings.get("limits") or {}
            return all(
                name in limits and parse_quantity(amount) == parse_quantity(limits[name])
                for name, amount in value.items()
            )
    return False


def _name_of(item: Any) -> Any:
    """Return what identifies an item of a list, as the API's merge keys do."""
    if not isinstance(item, Mapping):
        return item
    for key in ("mountPath", "name", "containerPort", "port", "key"):
        if key in item:
            return item[key]
    return json.dumps(item, sort_keys=True)


def _stale(owned: Mapping[str, Any], desired: Any) -> Iterator[bool]:
    """Yield for each owned leaf whether `desired` lacks it (fieldsV1 of managed fields).

    The format: https://pkg.go.dev/sigs.k8s.io/structured-merge-diff/v6/fieldpath
    """
    for element, below in owned.items():
        if element == ".":
            continue
        kind, _, rest = element.partition(":")
        child = _select(kind, rest, desired)
        if child is _ABSENT:
            yield True
        elif below:
            yield from _stale(below, child)


_ABSENT = object()


def _select(kind: str, rest: str, desired: Any) -> Any:
    match kind:
        case "f" if isinstance(desired, Mapping) and rest in desired:
            return desired[rest]
        case "k" if isinstance(desired, Sequence):
            keys = json.loads(rest)
            # A merge key may be defaulted: {"containerPort": 1, "protocol": "TCP"}.
            for item in desired:
                if all(
                    item.get(name) == value or (name not in item and _is_default(name, value, {}))
                    for name, value in keys.items()
                ):
                    return item
        case "v" if isinstance(desired, Sequence):
            value = json.loads(rest)
            if value in desired:
                return value
    return _ABSENT
